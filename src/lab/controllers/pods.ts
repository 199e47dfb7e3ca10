/** Pods as their owners see them: made from a template, counted by how far they are, claimed by selector. */
import { tell } from '../api/event.ts'
import type { Change } from '../api/history.ts'
import { controllerOf, draft, timestamp, type ApiObject, type Fields } from '../api/object.ts'
import { labelSelector, matches } from '../api/selector.ts'
import { refOf, type Store } from '../api/store.ts'

/** Neither finished nor being deleted: what counts as a replica. */
export function isActive(pod: ApiObject): boolean {
  return pod.metadata.deletionTimestamp === undefined && !isFinished(pod)
}

export function isFinished(pod: ApiObject): boolean {
  const phase: unknown = pod['status']?.phase
  return phase === 'Succeeded' || phase === 'Failed'
}

export function condition(object: ApiObject, type: string): Fields | undefined {
  return ((object['status']?.conditions ?? []) as Fields[]).find((found) => found['type'] === type)
}

export function isReady(pod: ApiObject): boolean {
  return condition(pod, 'Ready')?.['status'] === 'True'
}

/** Ready for that long. */
export function isAvailable(pod: ApiObject, minReadySeconds: number, nowMs: number): boolean {
  return availableInMs(pod, minReadySeconds, nowMs) === 0
}

/** 0: it is now; Infinity: not without a change. */
export function availableInMs(pod: ApiObject, minReadySeconds: number, nowMs: number): number {
  if (!isReady(pod)) return Infinity
  if (minReadySeconds === 0) return 0
  const since = Date.parse(condition(pod, 'Ready')!['lastTransitionTime'] ?? '')
  return Number.isNaN(since) ? 0 : Math.max(0, since + minReadySeconds * 1000 - nowMs)
}

/** When to look again because a pod will have been ready for long enough; undefined: no such pod. */
export function nextAvailableMs(
  pods: readonly ApiObject[],
  minReadySeconds: number,
  nowMs: number,
): number | undefined {
  const waits = pods.map((pod) => availableInMs(pod, minReadySeconds, nowMs)).filter((ms) => ms > 0 && ms < Infinity)
  return waits.length === 0 ? undefined : Math.min(...waits)
}

/**
 * What an owner controls of a resource: what names it as controller, and orphans that its selector matches, which it
 * adopts; what no longer matches is let go (k8s.io/kubernetes/pkg/controller/controller_ref_manager.go).
 */
export function claim(store: Store, owner: ApiObject, resource: 'pods' | 'replicasets'): ApiObject[] {
  const selector = labelSelector(owner['spec'].selector) ?? []
  const kind = store.resources.get(resource)!.kind
  const mine = store.ownedBy(owner.metadata.uid).filter((object) => {
    return object.kind === kind && controllerOf(object)?.uid === owner.metadata.uid
  })
  const kept = mine.filter(
    (object) => matches(selector, object.metadata.labels) || !letGo(store, owner, object, resource),
  )
  if (owner.metadata.deletionTimestamp !== undefined) return kept
  for (const object of store.list(resource, owner.metadata.namespace ?? '')) {
    const isOrphan = controllerOf(object) === undefined && object.metadata.deletionTimestamp === undefined
    if (!isOrphan || !matches(selector, object.metadata.labels) || isFinished(object)) continue
    const adopted = store.modify(refOf(resource, object), (next) => {
      next.metadata.ownerReferences = [...(next.metadata.ownerReferences ?? []), ownerReference(owner)]
    })
    if (adopted.ok) kept.push(adopted.object)
  }
  return kept
}

export function ownerReference(owner: ApiObject) {
  const { apiVersion, kind, metadata } = owner
  return { apiVersion, kind, name: metadata.name, uid: metadata.uid, controller: true, blockOwnerDeletion: true }
}

/** A pod of a workload's template, not yet stored. `metadata` adds to the template's own. */
export function podOf(owner: ApiObject, template: Fields, metadata: Fields): Fields {
  const { labels, annotations } = template['metadata'] ?? {}
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      ...metadata,
      namespace: owner.metadata.namespace,
      labels: { ...labels, ...metadata['labels'] },
      annotations: { ...annotations, ...metadata['annotations'] },
      ownerReferences: [ownerReference(owner)],
    },
    spec: draft(template['spec']),
  }
}

/** False: the pod was refused, and the owner's events say why. */
export function createPod(store: Store, owner: ApiObject, pod: Fields): boolean {
  const made = store.create(pod)
  if (made.ok) return true
  const message = `a pod was not made: ${made.failure.message}`
  tell(store, owner, { type: 'Warning', reason: 'FailedCreate', message, from: owner.kind.toLowerCase() })
  return false
}

/** Sets a condition; its time only moves when its status does. */
export function setCondition(status: Fields, nowMs: number, next: Fields): void {
  const others = ((status['conditions'] ?? []) as Fields[]).filter((found) => found['type'] !== next['type'])
  const old = ((status['conditions'] ?? []) as Fields[]).find((found) => found['type'] === next['type'])
  const isSame = old?.['status'] === next['status']
  const lastTransitionTime = isSame ? old!['lastTransitionTime'] : timestamp(nowMs)
  status['conditions'] = [...others, { ...next, lastTransitionTime }].toSorted((a, b) => (a.type < b.type ? -1 : 1))
}

/** Keys of the owners of a resource that a change of what they own concerns: who controls it, did, or may adopt it. */
export function* ownersOf({ object, previous }: Change, store: Store, resource: string): Iterable<string> {
  const { kind } = store.resources.get(resource)!
  yield* ownerKey(object, kind)
  if (previous !== null) yield* ownerKey(previous, kind)
  yield* adopters(store, object, resource)
}

/** The key of the controller of this kind that owns the object, if any: `shop/web`. */
export function* ownerKey(object: ApiObject, kind: string): Iterable<string> {
  const owner = controllerOf(object)
  if (owner?.kind === kind) yield `${object.metadata.namespace}/${owner.name}`
}

/** Keys of the owners whose selector matches an orphan, so that they adopt it. */
function* adopters(store: Store, object: ApiObject, resource: string): Iterable<string> {
  if (controllerOf(object) !== undefined) return
  for (const owner of store.list(resource, object.metadata.namespace ?? '')) {
    const selector = labelSelector(owner['spec'].selector)
    if (selector !== null && matches(selector, object.metadata.labels)) {
      yield `${owner.metadata.namespace}/${owner.metadata.name}`
    }
  }
}

function letGo(store: Store, owner: ApiObject, object: ApiObject, resource: string): boolean {
  if (object.metadata.deletionTimestamp !== undefined) return false
  return store.modify(refOf(resource, object), (next) => {
    next.metadata.ownerReferences = next.metadata.ownerReferences!.filter(({ uid }) => uid !== owner.metadata.uid)
  }).ok
}
