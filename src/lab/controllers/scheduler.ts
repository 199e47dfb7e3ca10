/** Gives each pod a node: what must hold, then what is best spread, then who has the fewest pods, then the name. */
import { tell } from '../api/event.ts'
import type { Change } from '../api/history.ts'
import type { ApiObject, Fields } from '../api/object.ts'
import { labelSelector, matches } from '../api/selector.ts'
import { refOf, type Store } from '../api/store.ts'
import { objectAt, type Controller } from './controller.ts'
import { hostPortsOf, isUp, misfit } from './fit.ts'
import { isFinished, setCondition } from './pods.ts'

export const scheduler: Controller = {
  name: 'scheduler',

  *touched({ resource, type, object }: Change, store: Store): Iterable<string> {
    if (resource.plural === 'pods' && isWaiting(object)) yield keyOf(object)
    // Room may have come: a node, or what a pod that is gone had taken.
    const isRoom =
      resource.plural === 'nodes' || (resource.plural === 'pods' && (type === 'DELETED' || isFinished(object)))
    if (isRoom) for (const pod of store.list('pods')) if (isWaiting(pod)) yield keyOf(pod)
  },

  reconcile(key: string, store: Store): void {
    const pod = objectAt(store, 'pods', key)
    if (pod === undefined || !isWaiting(pod)) return
    const others = store.list('pods').filter((other) => other['spec'].nodeName && !isFinished(other))
    const nodes = store.list('nodes').filter(isUp)
    const refused = new Map<string, number>()
    const fitting = nodes.filter((node) => {
      const why = misfit(pod, node) ?? taken(pod, node, others) ?? crowded(pod, node, nodes, others)
      if (why !== null) refused.set(why, (refused.get(why) ?? 0) + 1)
      return why === null
    })
    if (fitting.length === 0) return giveUp(store, pod, nodes.length, refused)
    const scores = new Map(fitting.map((node) => [node, score(pod, node, others)]))
    const best = fitting.reduce((a, b) => (scores.get(b)! < scores.get(a)! ? b : a))
    bind(store, pod, best)
  },
}

function bind(store: Store, pod: ApiObject, node: ApiObject): void {
  store.modify(refOf('pods', pod), (next) => void (next['spec'].nodeName = node.metadata.name))
  const scheduled = { type: 'PodScheduled', status: 'True' }
  store.modify(refOf('pods', pod), (next) => setCondition(next['status'], store.nowMs(), scheduled), 'status')
}

/** It stays Pending, says why, and is looked at again when a node or a pod changes. */
function giveUp(store: Store, pod: ApiObject, nodes: number, refused: ReadonlyMap<string, number>): void {
  const reasons = [...refused].map(([why, count]) => `${count} node(s) ${why}`).join(', ')
  const message = `0/${nodes} nodes are available${reasons === '' ? '' : `: ${reasons}`}.`
  const unscheduled = { type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message }
  store.modify(refOf('pods', pod), (next) => setCondition(next['status'], store.nowMs(), unscheduled), 'status')
  if (((pod['status'].conditions ?? []) as Fields[]).some((known) => known['message'] === message)) return
  tell(store, pod, { type: 'Warning', reason: 'FailedScheduling', message, from: 'default-scheduler' })
}

function taken(pod: ApiObject, node: ApiObject, others: readonly ApiObject[]): string | null {
  const wanted = hostPortsOf(pod)
  if (wanted.length === 0) return null
  const here = others.filter((other) => other['spec'].nodeName === node.metadata.name).flatMap(hostPortsOf)
  return wanted.some((port) => here.includes(port)) ? "didn't have free ports for the requested pod ports" : null
}

/** Required pod (anti-)affinity and topology spread with DoNotSchedule. */
function crowded(
  pod: ApiObject,
  node: ApiObject,
  nodes: readonly ApiObject[],
  others: readonly ApiObject[],
): string | null {
  const { affinity = {}, topologySpreadConstraints = [] } = pod['spec']
  const apart = (affinity.podAntiAffinity?.[REQUIRED] ?? []) as Fields[]
  if (apart.some((term) => near(pod, term, node, nodes, others).length > 0))
    return "didn't match pod anti-affinity rules"
  const together = (affinity.podAffinity?.[REQUIRED] ?? []) as Fields[]
  const isLonely = together.some((term) => {
    const isFirst = !others.some((other) => selects(pod, term, other)) && selects(pod, term, pod)
    return !isFirst && near(pod, term, node, nodes, others).length === 0
  })
  if (isLonely) return "didn't match pod affinity rules"
  for (const spread of topologySpreadConstraints as Fields[]) {
    if (spread['whenUnsatisfiable'] === 'ScheduleAnyway') continue
    if (!(spread['topologyKey'] in (node.metadata.labels ?? {}))) return "didn't have the label for topology spread"
    const counts = nodes
      .filter((other) => spread['topologyKey'] in (other.metadata.labels ?? {}) && misfit(pod, other) === null)
      .map((other) => near(pod, spread, other, nodes, others).length)
    const here = near(pod, spread, node, nodes, others).length
    if (here + 1 - Math.min(...counts, here) > (spread['maxSkew'] ?? 1))
      return "didn't match pod topology spread constraints"
  }
  return null
}

/** Lower is better: neighbours that it would rather not have, then how many pods the node has. */
function score(pod: ApiObject, node: ApiObject, others: readonly ApiObject[]): number {
  const { affinity = {}, topologySpreadConstraints = [] } = pod['spec']
  const preferred = ((affinity.podAntiAffinity?.[PREFERRED] ?? []) as Fields[]).map(
    (term) => term['podAffinityTerm'] as Fields,
  )
  const terms = [...preferred, ...(topologySpreadConstraints as Fields[])]
  const here = others.filter((other) => other['spec'].nodeName === node.metadata.name)
  // Without a wish of its own a pod still keeps away from its like: the scheduler's default spreading.
  const siblings = here.filter((other) => owner(other) !== undefined && owner(other) === owner(pod)).length
  const unwanted = terms.reduce((sum, term) => sum + here.filter((other) => selects(pod, term, other)).length, 0)
  return (unwanted + siblings) * SPREAD_WEIGHT + here.length
}

/** Pods of the term in the node's part of the topology (same host, same zone). */
function near(
  pod: ApiObject,
  term: Fields,
  node: ApiObject,
  nodes: readonly ApiObject[],
  others: readonly ApiObject[],
): ApiObject[] {
  const value = domain(node, term['topologyKey'])
  const there = new Set(
    nodes.filter((other) => domain(other, term['topologyKey']) === value).map((other) => other.metadata.name),
  )
  return others.filter((other) => there.has(other['spec'].nodeName) && selects(pod, term, other))
}

function selects(pod: ApiObject, term: Fields, other: ApiObject): boolean {
  const selector = labelSelector(term['labelSelector'])
  const namespaces: unknown[] = term['namespaces'] ?? [pod.metadata.namespace]
  return selector !== null && namespaces.includes(other.metadata.namespace) && matches(selector, other.metadata.labels)
}

function domain(node: ApiObject, key: string): string | undefined {
  return key === 'kubernetes.io/hostname' ? node.metadata.name : node.metadata.labels?.[key]
}

function isWaiting(pod: ApiObject): boolean {
  const { nodeName, schedulerName } = pod['spec']
  return !nodeName && schedulerName === 'default-scheduler' && !isFinished(pod) && !pod.metadata.deletionTimestamp
}

function owner(pod: ApiObject): string | undefined {
  return pod.metadata.ownerReferences?.[0]?.uid
}

function keyOf({ metadata }: ApiObject): string {
  return `${metadata.namespace}/${metadata.name}`
}

const REQUIRED = 'requiredDuringSchedulingIgnoredDuringExecution'
const PREFERRED = 'preferredDuringSchedulingIgnoredDuringExecution'
const SPREAD_WEIGHT = 1000
