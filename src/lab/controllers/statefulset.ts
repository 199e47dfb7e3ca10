/** StatefulSets: pods with an ordinal, made and replaced in order (k8s.io/kubernetes/pkg/controller/statefulset). */
import type { Change } from '../api/history.ts'
import { draft, type ApiObject, type Fields } from '../api/object.ts'
import { refOf, type Store } from '../api/store.ts'
import { objectAt, refAt, type Controller } from './controller.ts'
import { claim, createPod, isAvailable, isFinished, isReady, nextAvailableMs, ownersOf, podOf } from './pods.ts'
import { forgetRevisions, REVISION_LABEL, revisionOf, templateOf } from './revision.ts'

export const statefulSetController: Controller = {
  name: 'statefulset',

  *touched(change: Change, store: Store): Iterable<string> {
    const { resource, object } = change
    if (resource.plural === 'statefulsets') yield `${object.metadata.namespace}/${object.metadata.name}`
    if (resource.plural === 'pods') yield* ownersOf(change, store, 'statefulsets')
  },

  reconcile(key: string, store: Store): number | undefined {
    const set = objectAt(store, 'statefulsets', key)
    if (set === undefined) return
    const update = revisionOf(store, set)
    const current: string = set['status']?.currentRevision ?? update
    if (set.metadata.deletionTimestamp === undefined) drive(store, set, current, update)
    const pods = podsOf(store, set)
    report(store, key, set, pods, current, update)
    return nextAvailableMs(pods, set['spec'].minReadySeconds ?? 0, store.nowMs())
  },
}

/** One step in order (OrderedReady), or all steps at once (Parallel). */
function drive(store: Store, set: ApiObject, current: string, update: string): void {
  const { spec } = set
  const first: number = spec.ordinals?.start ?? 0
  const ordered = spec.podManagementPolicy !== 'Parallel'
  const pods = new Map(podsOf(store, set).map((pod) => [ordinalOf(pod), pod]))
  for (let ordinal = first; ordinal < first + spec.replicas; ordinal++) {
    const pod = pods.get(ordinal)
    if (pod === undefined) make(store, set, ordinal, revisionFor(set, ordinal, current, update))
    else if (isFinished(pod)) remove(store, pod)
    if (ordered && (pod === undefined || !isHealthy(store, set, pod))) return
  }
  const extra = [...pods.keys()].filter((ordinal) => ordinal < first || ordinal >= first + spec.replicas)
  for (const ordinal of extra.toSorted((a, b) => b - a)) {
    remove(store, pods.get(ordinal)!)
    if (ordered) return // the next one only when this one is gone
  }
  if (extra.length === 0 && spec.updateStrategy.type === 'RollingUpdate') replaceOne(store, set, pods, update)
}

/** From the highest ordinal down to the partition, one at a time: each must be healthy before the next goes. */
function replaceOne(store: Store, set: ApiObject, pods: ReadonlyMap<number, ApiObject>, update: string): void {
  const partition: number = set['spec'].updateStrategy.rollingUpdate?.partition ?? 0
  const first: number = set['spec'].ordinals?.start ?? 0
  for (let ordinal = first + set['spec'].replicas - 1; ordinal >= Math.max(first, partition); ordinal--) {
    const pod = pods.get(ordinal)
    if (pod === undefined) return // just made again
    if (pod.metadata.labels?.[REVISION_LABEL] !== update) return remove(store, pod)
    if (!isHealthy(store, set, pod)) return
  }
}

function make(store: Store, set: ApiObject, ordinal: number, revision: string): void {
  const { metadata, spec } = set
  const name = `${metadata.name}-${ordinal}`
  const labels = {
    [REVISION_LABEL]: revision,
    'statefulset.kubernetes.io/pod-name': name,
    'apps.kubernetes.io/pod-index': String(ordinal),
  }
  const pod = podOf(set, templateOf(store, set, revision), { name, labels })
  pod['spec'].hostname = name
  if (spec.serviceName) pod['spec'].subdomain = spec.serviceName
  for (const claimTemplate of (spec.volumeClaimTemplates ?? []) as Fields[]) {
    const claimName = `${claimTemplate['metadata'].name}-${name}`
    const others = ((pod['spec'].volumes ?? []) as Fields[]).filter(
      (volume) => volume['name'] !== claimTemplate['metadata'].name,
    )
    const volume = { name: claimTemplate['metadata'].name, persistentVolumeClaim: { claimName } }
    pod['spec'].volumes = [...others, volume]
    const claimed = { ...draft(claimTemplate), apiVersion: 'v1', kind: 'PersistentVolumeClaim' }
    store.create({
      ...claimed,
      metadata: { ...claimTemplate['metadata'], name: claimName, namespace: metadata.namespace },
    })
  }
  createPod(store, set, pod)
}

function report(
  store: Store,
  key: string,
  set: ApiObject,
  pods: readonly ApiObject[],
  current: string,
  update: string,
): void {
  const { spec, metadata } = set
  const nowMs = store.nowMs()
  const at = (revision: string): ApiObject[] => pods.filter((pod) => pod.metadata.labels?.[REVISION_LABEL] === revision)
  const ready = pods.filter(isReady)
  const isDone = at(update).length === spec.replicas && pods.length === spec.replicas && ready.length === spec.replicas
  store.modify(
    refAt('statefulsets', key),
    (next) => {
      next['status'] = {
        ...next['status'],
        observedGeneration: metadata.generation,
        replicas: pods.length,
        readyReplicas: ready.length,
        availableReplicas: pods.filter((pod) => isAvailable(pod, spec.minReadySeconds ?? 0, nowMs)).length,
        currentRevision: isDone ? update : current,
        currentReplicas: at(isDone ? update : current).length,
        updateRevision: update,
        updatedReplicas: at(update).length,
      }
    },
    'status',
  )
  if (isDone) forgetRevisions(store, set, [update])
}

/** Below the partition a lost pod comes back as it was. */
function revisionFor(set: ApiObject, ordinal: number, current: string, update: string): string {
  const { type, rollingUpdate } = set['spec'].updateStrategy
  if (type !== 'RollingUpdate') return update
  return ordinal < (rollingUpdate?.partition ?? 0) ? current : update
}

function podsOf(store: Store, set: ApiObject): ApiObject[] {
  return claim(store, set, 'pods').filter(
    (pod) => ordinalOf(pod) >= 0 && pod.metadata.name.startsWith(`${set.metadata.name}-`),
  )
}

function ordinalOf(pod: ApiObject): number {
  const match = /-(\d+)$/.exec(pod.metadata.name)
  return match === null ? -1 : Number(match[1])
}

function isHealthy(store: Store, set: ApiObject, pod: ApiObject): boolean {
  const isUp = pod['status']?.phase === 'Running' && pod.metadata.deletionTimestamp === undefined
  return isUp && isAvailable(pod, set['spec'].minReadySeconds ?? 0, store.nowMs())
}

function remove(store: Store, pod: ApiObject): void {
  if (pod.metadata.deletionTimestamp === undefined) store.delete(refOf('pods', pod), { uid: pod.metadata.uid })
}
