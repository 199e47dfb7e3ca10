/** Deployments: a ReplicaSet for each template, and pods moved from the old ones to the new one within the limits. */
import type { Change } from '../api/history.ts'
import { controllerOf, draft, same, type ApiObject, type Fields } from '../api/object.ts'
import { refOf, type Store } from '../api/store.ts'
import { hashOf } from '../api/suffix.ts'
import { objectAt, type Controller } from './controller.ts'
import { reportStatus } from './deployment-status.ts'
import { claim, isFinished, ownerKey, ownerReference, ownersOf } from './pods.ts'
import { limitsOf, nextNew, nextOld, proportions, type Limits, type Share } from './rolling.ts'

export const deploymentController: Controller = {
  name: 'deployment',

  *touched(change: Change, store: Store): Iterable<string> {
    const { resource, object, previous } = change
    if (resource.plural === 'deployments') yield `${object.metadata.namespace}/${object.metadata.name}`
    if (resource.plural === 'pods' && previous !== null) {
      // Recreate waits for pods that are gone.
      const set = store.get('replicasets', object.metadata.namespace ?? '', controllerOf(previous)?.name ?? '')
      if (set !== undefined) yield* ownerKey(set, 'Deployment')
    }
    if (resource.plural === 'replicasets') yield* ownersOf(change, store, 'deployments')
  },

  reconcile(key: string, store: Store): number | undefined {
    const deployment = objectAt(store, 'deployments', key)
    if (deployment === undefined) return
    if (deployment.metadata.deletionTimestamp === undefined) roll(store, deployment)
    const sets = claim(store, deployment, 'replicasets')
    return reportStatus(store, deployment, sets, newest(deployment, sets))
  },
}

function roll(store: Store, deployment: ApiObject): void {
  const { spec } = deployment
  const limits = limitsFor(deployment)
  const sets = claim(store, deployment, 'replicasets').toSorted(byAge)
  const fresh = newest(deployment, sets)
  const old = sets.filter((set) => set !== fresh)
  if (spec.paused === true || isScaling(deployment, sets)) return scale(store, limits, fresh, old)
  if (spec.strategy.type === 'Recreate') return recreate(store, deployment, limits, fresh, old)
  if (fresh === undefined) {
    const total = old.reduce((sum, set) => sum + set['spec'].replicas, 0)
    return make(store, deployment, limits, sets, nextNew(limits, 0, total))
  }
  replace(store, deployment, limits, fresh, old)
}

function replace(
  store: Store,
  deployment: ApiObject,
  limits: Limits,
  fresh: ApiObject,
  old: readonly ApiObject[],
): void {
  numberRevision(store, fresh, old)
  const total = [fresh, ...old].reduce((sum, set) => sum + set['spec'].replicas, 0)
  const wanted = nextNew(limits, fresh['spec'].replicas, total)
  if (resize(store, fresh, wanted, limits)) return
  // What a ReplicaSet says of itself must be news before pods are taken away on its word.
  const isStale = [fresh, ...old].some((set) => set['status']?.observedGeneration !== set.metadata.generation)
  if (isStale) return
  const next = nextOld(limits, shareOf(fresh), old.map(shareOf))
  let changed = false
  for (const [i, set] of old.entries()) changed = resize(store, set, next[i]!, limits) || changed
  if (!changed && isComplete(fresh, old, limits)) forget(store, deployment, old)
}

/** All old pods go, then the new ones come. */
function recreate(
  store: Store,
  deployment: ApiObject,
  limits: Limits,
  fresh: ApiObject | undefined,
  old: readonly ApiObject[],
): void {
  for (const set of old) resize(store, set, 0, limits)
  const remain = old.flatMap((set) => store.ownedBy(set.metadata.uid)).filter((pod) => !isFinished(pod))
  if (remain.length > 0) return
  if (fresh === undefined) return make(store, deployment, limits, old, limits.replicas)
  numberRevision(store, fresh, old)
  resize(store, fresh, limits.replicas, limits)
  if (isComplete(fresh, old, limits)) forget(store, deployment, old)
}

/** Only the size changes: of the one set there is, or of all in proportion amid a rollout. */
function scale(store: Store, limits: Limits, fresh: ApiObject | undefined, old: readonly ApiObject[]): void {
  const active = [...(fresh ? [fresh] : []), ...old].filter((set) => set['spec'].replicas > 0)
  if (active.length <= 1) {
    const only = active[0] ?? fresh ?? old.at(-1)
    if (only !== undefined) resize(store, only, limits.replicas, limits)
    return
  }
  if (
    fresh !== undefined &&
    fresh['spec'].replicas === limits.replicas &&
    shareOf(fresh).available === limits.replicas
  ) {
    for (const set of old) resize(store, set, 0, limits)
    return
  }
  const shares = active
    .toSorted((a, b) => b['spec'].replicas - a['spec'].replicas || byAge(b, a))
    .map((set) => ({
      set,
      replicas: set['spec'].replicas as number,
      max: Number(annotation(set, MAX)) || limits.replicas,
    }))
  const next = proportions(limits, shares)
  for (const [i, { set }] of shares.entries()) resize(store, set, next[i]!, limits)
}

function make(store: Store, deployment: ApiObject, limits: Limits, sets: readonly ApiObject[], replicas: number): void {
  const { metadata, spec } = deployment
  for (let collisions = 0; collisions < COLLISIONS_MAX; collisions++) {
    const hash = hashOf(spec.template, collisions)
    const template = draft(spec.template)
    template.metadata.labels = { ...template.metadata.labels, [HASH]: hash }
    const selector = draft(spec.selector)
    selector.matchLabels = { ...selector.matchLabels, [HASH]: hash }
    const made = store.create({
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      metadata: {
        name: `${metadata.name}-${hash}`,
        namespace: metadata.namespace,
        labels: template.metadata.labels,
        annotations: { ...sizes(limits), [REVISION]: String(lastRevision(sets) + 1) },
        ownerReferences: [ownerReference(deployment)],
      },
      spec: { replicas, selector, template, ...(spec.minReadySeconds && { minReadySeconds: spec.minReadySeconds }) },
    })
    if (made.ok || made.failure.reason !== 'AlreadyExists') return
  }
}

/** False: it was that size already. Annotations say for how many replicas it was sized, so that scaling is noticed. */
function resize(store: Store, set: ApiObject, replicas: number, limits: Limits): boolean {
  store.modify(refOf('replicasets', set), (next) => {
    next['spec'].replicas = replicas
    if (replicas > 0) next.metadata.annotations = { ...next.metadata.annotations, ...sizes(limits) }
  })
  return set['spec'].replicas !== replicas
}

/** A template that is wanted again (rollback) gets the next number. */
function numberRevision(store: Store, fresh: ApiObject, old: readonly ApiObject[]): void {
  const last = lastRevision(old)
  if (Number(annotation(fresh, REVISION)) > last) return
  store.modify(refOf('replicasets', fresh), (next) => {
    next.metadata.annotations = { ...next.metadata.annotations, [REVISION]: String(last + 1) }
  })
}

/** Keeps revisionHistoryLimit empty old sets, to go back to. */
function forget(store: Store, deployment: ApiObject, old: readonly ApiObject[]): void {
  const empty = old.filter((set) => set['spec'].replicas === 0 && (set['status']?.replicas ?? 0) === 0)
  const byRevision = empty.toSorted((a, b) => Number(annotation(a, REVISION)) - Number(annotation(b, REVISION)))
  const tooMany = Math.max(0, empty.length - deployment['spec'].revisionHistoryLimit)
  for (const set of byRevision.slice(0, tooMany)) store.delete(refOf('replicasets', set))
}

function limitsFor({ spec }: ApiObject): Limits {
  const { maxSurge = 0, maxUnavailable = 0 } = spec.strategy.rollingUpdate ?? {}
  if (spec.strategy.type === 'Recreate') return { replicas: spec.replicas, maxSurge: 0, maxUnavailable: 0 }
  return limitsOf(spec.replicas, maxSurge, maxUnavailable)
}

function isScaling(deployment: ApiObject, sets: readonly ApiObject[]): boolean {
  return sets.some((set) => {
    const desired = annotation(set, DESIRED)
    return set['spec'].replicas > 0 && desired !== undefined && Number(desired) !== deployment['spec'].replicas
  })
}

function isComplete(fresh: ApiObject, old: readonly ApiObject[], { replicas }: Limits): boolean {
  return shareOf(fresh).available === replicas && old.every((set) => set['spec'].replicas === 0)
}

/** The set whose template is the deployment's, the hash aside; the oldest of several. */
function newest(deployment: ApiObject, sets: readonly ApiObject[]): ApiObject | undefined {
  return sets.toSorted(byAge).find((set) => {
    const template = draft(set['spec'].template) as Fields
    delete template['metadata'].labels?.[HASH]
    return same(template, deployment['spec'].template)
  })
}

function shareOf(set: ApiObject): Share {
  return { replicas: set['spec'].replicas, available: set['status']?.availableReplicas ?? 0 }
}

function sizes({ replicas, maxSurge }: Limits): Record<string, string> {
  return { [DESIRED]: String(replicas), [MAX]: String(replicas + maxSurge) }
}

function lastRevision(sets: readonly ApiObject[]): number {
  return Math.max(0, ...sets.map((set) => Number(annotation(set, REVISION)) || 0))
}

function annotation(object: ApiObject, name: string): string | undefined {
  return object.metadata.annotations?.[name]
}

function byAge(a: ApiObject, b: ApiObject): number {
  const age = ({ metadata }: ApiObject): string => `${metadata.creationTimestamp} ${metadata.name}`
  return age(a) < age(b) ? -1 : 1
}

const HASH = 'pod-template-hash'
const REVISION = 'deployment.kubernetes.io/revision'
const DESIRED = 'deployment.kubernetes.io/desired-replicas'
const MAX = 'deployment.kubernetes.io/max-replicas'
const COLLISIONS_MAX = 5
