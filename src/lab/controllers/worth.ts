/** Which pods to give up first (ActivePodsWithRanks in k8s.io/kubernetes/pkg/controller/controller_utils.go). */
import type { ApiObject, Fields } from '../api/object.ts'
import { condition, isReady } from './pods.ts'

/** The least worth first: no node, pending, not ready, cheap by annotation, doubled on its node, younger. */
export function byWorth(pods: readonly ApiObject[]): ApiObject[] {
  const onNode = new Map<string, number>()
  const place = new Map<ApiObject, number>()
  // Of several on a node, the older ones are the first there and the younger ones doubled.
  for (const pod of pods.toSorted((a, b) => age(a) - age(b))) {
    const node: string = pod['spec'].nodeName ?? ''
    place.set(pod, onNode.get(node) ?? 0)
    onNode.set(node, (onNode.get(node) ?? 0) + 1)
  }
  const worth = (pod: ApiObject): number[] => [
    pod['spec'].nodeName ? 1 : 0,
    PHASES[pod['status']?.phase] ?? 1,
    isReady(pod) ? 1 : 0,
    Number(pod.metadata.annotations?.['controller.kubernetes.io/pod-deletion-cost'] ?? 0) || 0,
    -(place.get(pod) ?? 0),
    -(Date.parse(condition(pod, 'Ready')?.['lastTransitionTime'] ?? '') || 0),
    -restarts(pod),
    -age(pod),
  ]
  return pods
    .map((pod) => ({ pod, worth: worth(pod) }))
    .toSorted((a, b) => compare(a.worth, b.worth) || (a.pod.metadata.name < b.pod.metadata.name ? -1 : 1))
    .map(({ pod }) => pod)
}

function compare(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((value, i) => value !== b[i])
  return at < 0 ? 0 : a[at]! - b[at]!
}

function age(pod: ApiObject): number {
  return Date.parse(pod.metadata.creationTimestamp)
}

function restarts(pod: ApiObject): number {
  const statuses = (pod['status']?.containerStatuses ?? []) as Fields[]
  return Math.max(0, ...statuses.map((status) => Number(status['restartCount'] ?? 0)))
}

const PHASES: Readonly<Record<string, number>> = { Pending: 0, Unknown: 1, Running: 2 }
