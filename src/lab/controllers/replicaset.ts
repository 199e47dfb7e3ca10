/** ReplicaSets: as many pods as asked for, made and removed one by one (k8s.io/kubernetes/pkg/controller/replicaset). */
import type { Change } from '../api/history.ts'
import type { ApiObject, Fields } from '../api/object.ts'
import { refOf, type Store } from '../api/store.ts'
import { objectAt, refAt, type Controller } from './controller.ts'
import { claim, createPod, isActive, isAvailable, isReady, nextAvailableMs, ownersOf, podOf } from './pods.ts'
import { byWorth } from './worth.ts'

export const replicaSetController: Controller = {
  name: 'replicaset',

  *touched(change: Change, store: Store): Iterable<string> {
    const { resource, object } = change
    if (resource.plural === 'replicasets') yield `${object.metadata.namespace}/${object.metadata.name}`
    if (resource.plural === 'pods') yield* ownersOf(change, store, 'replicasets')
  },

  reconcile(key: string, store: Store): number | undefined {
    const set = objectAt(store, 'replicasets', key)
    if (set === undefined) return
    const minReadySeconds: number = set['spec'].minReadySeconds ?? 0
    const pods = claim(store, set, 'pods').filter(isActive)
    if (set.metadata.deletionTimestamp === undefined) balance(store, set, pods)
    const now = claim(store, set, 'pods').filter(isActive)
    const nowMs = store.nowMs()
    store.modify(
      refAt('replicasets', key),
      (next) => {
        const labels = Object.entries((set['spec'].template.metadata?.labels ?? {}) as Fields)
        const isFull = (pod: ApiObject): boolean => labels.every(([k, v]) => pod.metadata.labels?.[k] === v)
        next['status'] = {
          ...next['status'],
          replicas: now.length,
          fullyLabeledReplicas: now.filter(isFull).length,
          readyReplicas: now.filter(isReady).length,
          availableReplicas: now.filter((pod) => isAvailable(pod, minReadySeconds, nowMs)).length,
          observedGeneration: set.metadata.generation,
        }
      },
      'status',
    )
    return nextAvailableMs(now, minReadySeconds, nowMs)
  },
}

function balance(store: Store, set: ApiObject, pods: readonly ApiObject[]): void {
  const missing: number = set['spec'].replicas - pods.length
  for (let i = 0; i < Math.min(missing, BURST); i++) {
    // One that is refused says why for all: the template is the same.
    const pod = podOf(set, set['spec'].template, { generateName: `${set.metadata.name}-` })
    if (!createPod(store, set, pod)) return
  }
  if (missing >= 0) return
  for (const pod of byWorth(pods).slice(0, -missing)) store.delete(refOf('pods', pod), { uid: pod.metadata.uid })
}

const BURST = 500
