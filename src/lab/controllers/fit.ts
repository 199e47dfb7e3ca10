/** Whether a pod may run on a node: selectors, affinity, taints, host ports (k8s.io/kubernetes/pkg/scheduler/framework/plugins). */
import type { ApiObject, Fields } from '../api/object.ts'
import { matches, requirementOf } from '../api/selector.ts'
import { condition } from './pods.ts'

/** Why not, in the scheduler's words; null when it may. */
export function misfit(pod: Fields, node: ApiObject): string | null {
  const { spec } = pod
  const labels = node.metadata.labels ?? {}
  const selected = Object.entries((spec.nodeSelector ?? {}) as Fields).every(([key, value]) => labels[key] === value)
  if (!selected || !matchesAffinity(spec, node)) return "didn't match Pod's node affinity/selector"
  if (node['spec']?.unschedulable && !tolerates(spec, UNSCHEDULABLE)) return 'were unschedulable'
  const taint = ((node['spec']?.taints ?? []) as Fields[]).find(
    (t) => t['effect'] !== 'PreferNoSchedule' && !tolerates(spec, t),
  )
  if (taint !== undefined) return `had untolerated taint {${taint['key']}: ${taint['value'] ?? ''}}`
  return null
}

/** A node that says it is not ready gets no new pods (the real cluster taints it). */
export function isUp(node: ApiObject): boolean {
  const ready = condition(node, 'Ready')
  return node.metadata.deletionTimestamp === undefined && (ready === undefined || ready['status'] === 'True')
}

/** Ports of the node itself that the pod takes: `TCP/80`. */
export function hostPortsOf(pod: ApiObject): string[] {
  const containers = (pod['spec'].containers ?? []) as Fields[]
  const ports = containers.flatMap((container) => (container['ports'] ?? []) as Fields[])
  return ports.filter((port) => port['hostPort']).map((port) => `${port['protocol'] ?? 'TCP'}/${port['hostPort']}`)
}

function matchesAffinity(spec: Fields, node: ApiObject): boolean {
  const terms: unknown =
    spec['affinity']?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms
  if (!Array.isArray(terms)) return true
  return terms.some((term: Fields) => {
    const expressions = ((term['matchExpressions'] ?? []) as Fields[]).map(requirementOf)
    const fields = ((term['matchFields'] ?? []) as Fields[]).map(requirementOf)
    if (expressions.length + fields.length === 0) return false
    return matches(expressions, node.metadata.labels) && matches(fields, { 'metadata.name': node.metadata.name })
  })
}

function tolerates(spec: Fields, taint: Fields): boolean {
  return ((spec['tolerations'] ?? []) as Fields[]).some((toleration) => {
    const { key, operator = 'Equal', value = '', effect } = toleration
    if (effect && effect !== taint['effect']) return false
    if (!key) return operator === 'Exists'
    return key === taint['key'] && (operator === 'Exists' || value === (taint['value'] ?? ''))
  })
}

const UNSCHEDULABLE = { key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }
