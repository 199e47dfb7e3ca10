/** What a Deployment says of itself (k8s.io/kubernetes/pkg/controller/deployment/{sync,progress}.go). */
import { same, type ApiObject, type Fields } from '../api/object.ts'
import { refOf, type Store } from '../api/store.ts'
import { condition, setCondition } from './pods.ts'
import { limitsOf } from './rolling.ts'

/** Returns when to look again: at the progress deadline. */
export function reportStatus(
  store: Store,
  deployment: ApiObject,
  sets: readonly ApiObject[],
  fresh: ApiObject | undefined,
): number | undefined {
  const nowMs = store.nowMs()
  const count = (field: string, of: readonly ApiObject[] = sets): number =>
    of.reduce((sum, set) => sum + (set['status']?.[field] ?? 0), 0)
  const { spec } = deployment
  const { maxSurge = 0, maxUnavailable = 0 } = spec.strategy.rollingUpdate ?? {}
  const allowed =
    spec.strategy.type === 'Recreate' ? spec.replicas : limitsOf(spec.replicas, maxSurge, maxUnavailable).maxUnavailable
  const counts = {
    observedGeneration: deployment.metadata.generation,
    replicas: count('replicas'),
    updatedReplicas: count('replicas', fresh ? [fresh] : []),
    readyReplicas: count('readyReplicas'),
    availableReplicas: count('availableReplicas'),
    unavailableReplicas: Math.max(
      0,
      sets.reduce((sum, set) => sum + set['spec'].replicas, 0) - count('availableReplicas'),
    ),
  }
  const isDone =
    counts.updatedReplicas === spec.replicas &&
    counts.replicas === spec.replicas &&
    counts.availableReplicas === spec.replicas
  const written = store.modify(
    refOf('deployments', deployment),
    (next) => {
      const status: Fields = { ...next['status'], ...counts }
      const isAvailable = counts.availableReplicas >= spec.replicas - allowed
      setCondition(status, nowMs, {
        type: 'Available',
        status: isAvailable ? 'True' : 'False',
        reason: isAvailable ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable',
        message: `Deployment ${isAvailable ? 'has' : 'does not have'} minimum availability.`,
      })
      setProgress(status, next['status'] ?? {}, nowMs, spec, fresh, isDone)
      next['status'] = status
    },
    'status',
  )
  copyRevision(store, deployment, fresh)
  if (isDone || spec.paused === true || !written.ok) return
  const since = Date.parse(condition(written.object, 'Progressing')?.['lastUpdateTime'] ?? '')
  const leftMs = since + spec.progressDeadlineSeconds * 1000 - nowMs
  return leftMs > 0 ? leftMs : undefined
}

function setProgress(
  status: Fields,
  old: Fields,
  nowMs: number,
  spec: Fields,
  fresh: ApiObject | undefined,
  isDone: boolean,
): void {
  const was = ((old['conditions'] ?? []) as Fields[]).find(({ type }) => type === 'Progressing')
  const counts = (of: Fields): unknown => PROGRESS.map((field) => of[field] ?? 0)
  const isMoving = !same(counts(old), counts(status)) || old['observedGeneration'] !== status['observedGeneration']
  const updated: string | undefined = isMoving ? undefined : was?.['lastUpdateTime']
  const lastUpdateTime = updated ?? new Date(nowMs).toISOString()
  const isLate = nowMs - Date.parse(lastUpdateTime) >= spec['progressDeadlineSeconds'] * 1000
  const name = fresh?.metadata.name ?? 'none yet'
  const set = (ok: 'True' | 'False', reason: string, message: string): void =>
    setCondition(status, nowMs, { type: 'Progressing', status: ok, reason, message, lastUpdateTime })
  if (isDone) set('True', 'NewReplicaSetAvailable', `ReplicaSet "${name}" has successfully progressed.`)
  else if (spec['paused'] === true) set('True', 'DeploymentPaused', 'Deployment is paused')
  else if (isLate) set('False', 'ProgressDeadlineExceeded', `ReplicaSet "${name}" has timed out progressing.`)
  else set('True', 'ReplicaSetUpdated', `ReplicaSet "${name}" is progressing.`)
}

function copyRevision(store: Store, deployment: ApiObject, fresh: ApiObject | undefined): void {
  const revision = fresh?.metadata.annotations?.[REVISION]
  if (revision === undefined || deployment.metadata.annotations?.[REVISION] === revision) return
  store.modify(refOf('deployments', deployment), (next) => {
    next.metadata.annotations = { ...next.metadata.annotations, [REVISION]: revision }
  })
}

const PROGRESS = ['updatedReplicas', 'replicas', 'availableReplicas', 'readyReplicas']
const REVISION = 'deployment.kubernetes.io/revision'
