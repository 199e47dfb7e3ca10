/** DaemonSets: one pod on each node that it fits (k8s.io/kubernetes/pkg/controller/daemon). */
import type { Change } from '../api/history.ts'
import type { ApiObject, Fields } from '../api/object.ts'
import { refOf, type Store } from '../api/store.ts'
import { objectAt, refAt, type Controller } from './controller.ts'
import { misfit } from './fit.ts'
import { claim, createPod, isActive, isAvailable, isReady, nextAvailableMs, ownersOf, podOf } from './pods.ts'
import { forgetRevisions, REVISION_LABEL, revisionOf } from './revision.ts'
import { part } from './rolling.ts'

export const daemonSetController: Controller = {
  name: 'daemonset',

  *touched(change: Change, store: Store): Iterable<string> {
    const { resource, object } = change
    if (resource.plural === 'daemonsets') yield `${object.metadata.namespace}/${object.metadata.name}`
    if (resource.plural === 'nodes') {
      for (const { metadata } of store.list('daemonsets')) yield `${metadata.namespace}/${metadata.name}`
    }
    if (resource.plural === 'pods') yield* ownersOf(change, store, 'daemonsets')
  },

  reconcile(key: string, store: Store): number | undefined {
    const set = objectAt(store, 'daemonsets', key)
    if (set === undefined) return
    const update = revisionOf(store, set)
    const wanted = store.list('nodes').filter((node) => misfit(templatePod(set), node) === null)
    if (set.metadata.deletionTimestamp === undefined) drive(store, set, wanted, update)
    const pods = claim(store, set, 'pods')
    report(store, key, set, pods.filter(isActive), wanted, update)
    return nextAvailableMs(pods, set['spec'].minReadySeconds ?? 0, store.nowMs())
  },
}

function drive(store: Store, set: ApiObject, wanted: readonly ApiObject[], update: string): void {
  const pods = claim(store, set, 'pods')
  const names = new Set(wanted.map((node) => node.metadata.name))
  const byNode = Map.groupBy(pods, nodeOf)
  for (const pod of pods) {
    if (!names.has(nodeOf(pod)) || pod['status']?.phase === 'Failed') remove(store, pod)
  }
  const limits = limitsOf(set, wanted.length)
  let unavailable = 0
  for (const name of names) if (!(byNode.get(name) ?? []).some((pod) => isFine(store, set, pod))) unavailable++
  for (const name of names) {
    const here = (byNode.get(name) ?? []).filter(isActive)
    const fresh = here.filter((pod) => pod.metadata.labels?.[REVISION_LABEL] === update)
    const old = here.filter((pod) => !fresh.includes(pod))
    if ((byNode.get(name) ?? []).length === 0) make(store, set, name, update)
    for (const extra of fresh.toSorted(byAge).slice(1)) remove(store, extra)
    if (old.length === 0 || limits === null) continue
    if (fresh.length > 0) {
      // surged: the old one goes when the new one is fine
      if (isFine(store, set, fresh[0]!)) for (const pod of old) remove(store, pod)
    } else if (limits.surge > 0) {
      const surging = pods.filter((pod) => isActive(pod) && pod.metadata.labels?.[REVISION_LABEL] === update)
      const doubled = surging.filter((pod) => (byNode.get(nodeOf(pod)) ?? []).filter(isActive).length > 1).length
      if (doubled >= limits.surge) continue
      make(store, set, name, update)
      limits.surge--
    } else {
      // One that is down already costs nothing to replace.
      const isDown = !old.some((pod) => isFine(store, set, pod))
      if (!isDown && unavailable >= limits.unavailable) continue
      if (!isDown) unavailable++
      for (const pod of old) remove(store, pod)
    }
  }
}

/** null: OnDelete, nothing is replaced unless somebody deletes it. */
function limitsOf({ spec }: ApiObject, nodes: number): { unavailable: number; surge: number } | null {
  if (spec.updateStrategy.type !== 'RollingUpdate') return null
  const { maxUnavailable = 1, maxSurge = 0 } = spec.updateStrategy.rollingUpdate ?? {}
  const surge = part(maxSurge, nodes, Math.ceil)
  const unavailable = part(maxUnavailable, nodes, Math.ceil)
  return { surge, unavailable: surge === 0 ? Math.max(1, unavailable) : unavailable }
}

/** Bound to its node by affinity, as upstream does: the scheduler still checks the node's ports. */
function make(store: Store, set: ApiObject, node: string, revision: string): void {
  const pod = podOf(set, set['spec'].template, {
    generateName: `${set.metadata.name}-`,
    labels: { [REVISION_LABEL]: revision },
  })
  const field = { matchFields: [{ key: 'metadata.name', operator: 'In', values: [node] }] }
  pod['spec'] = {
    ...pod['spec'],
    affinity: {
      ...pod['spec'].affinity,
      nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [field] } },
    },
    tolerations: [...(pod['spec'].tolerations ?? []), ...TOLERATIONS],
  }
  createPod(store, set, pod)
}

function report(
  store: Store,
  key: string,
  set: ApiObject,
  pods: readonly ApiObject[],
  wanted: readonly ApiObject[],
  update: string,
): void {
  const names = new Set(wanted.map((node) => node.metadata.name))
  const nodes = (of: readonly ApiObject[]): number => new Set(of.map(nodeOf).filter((name) => names.has(name))).size
  const available = nodes(pods.filter((pod) => isFine(store, set, pod)))
  const updated = nodes(pods.filter((pod) => pod.metadata.labels?.[REVISION_LABEL] === update))
  store.modify(
    refAt('daemonsets', key),
    (next) => {
      next['status'] = {
        ...next['status'],
        observedGeneration: set.metadata.generation,
        desiredNumberScheduled: names.size,
        currentNumberScheduled: nodes(pods),
        numberMisscheduled: new Set(pods.map(nodeOf).filter((name) => !names.has(name))).size,
        numberReady: nodes(pods.filter(isReady)),
        numberAvailable: available,
        numberUnavailable: names.size - available,
        updatedNumberScheduled: updated,
      }
    },
    'status',
  )
  if (updated === names.size) forgetRevisions(store, set, [update])
}

function isFine(store: Store, set: ApiObject, pod: ApiObject): boolean {
  return isActive(pod) && isAvailable(pod, set['spec'].minReadySeconds ?? 0, store.nowMs())
}

/** Also while the scheduler has not yet bound it. */
function nodeOf(pod: ApiObject): string {
  const terms = pod['spec'].affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms
  return pod['spec'].nodeName ?? terms?.[0]?.matchFields?.[0]?.values?.[0] ?? ''
}

/** As its pods will be, to ask whether they fit. */
function templatePod({ spec }: ApiObject): Fields {
  const template = spec.template.spec
  return { spec: { ...template, tolerations: [...(template.tolerations ?? []), ...TOLERATIONS] } }
}

function remove(store: Store, pod: ApiObject): void {
  if (pod.metadata.deletionTimestamp === undefined) store.delete(refOf('pods', pod), { uid: pod.metadata.uid })
}

function byAge(a: ApiObject, b: ApiObject): number {
  return Number(a.metadata.resourceVersion) - Number(b.metadata.resourceVersion)
}

// AddOrUpdateDaemonPodTolerations
const TOLERATIONS = [
  { key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute' },
  { key: 'node.kubernetes.io/unreachable', operator: 'Exists', effect: 'NoExecute' },
  { key: 'node.kubernetes.io/disk-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/memory-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/pid-pressure', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/unschedulable', operator: 'Exists', effect: 'NoSchedule' },
  { key: 'node.kubernetes.io/network-unavailable', operator: 'Exists', effect: 'NoSchedule' },
]
