import type { Family, Protocol } from '../cluster/protocol.ts'
import type { Plan } from './plan.ts'

/** For status and metrics. Computed when asked for, from plans: costs nothing while nobody looks. */
export interface PortCounts {
  /** Namespace/name:port. */
  readonly service: string
  readonly protocol: Protocol
  readonly family: Family
  /** Of all endpoints, wherever they are and whoever uses them. */
  readonly ready: number
  readonly localReady: number
  /** Serving, terminating and not ready. */
  readonly terminating: number
  /** Endpoints exist, but none on this node for traffic that must stay here. */
  readonly noLocalInternal: boolean
  readonly noLocalExternal: boolean
}

export function* countPorts(plan: Plan): Iterable<PortCounts> {
  for (const [i, backend] of plan.backends.entries()) {
    const { title, protocol, family, ready, localReady, terminating, local, any } = backend
    const isExternal = plan.openings.some((opening) => opening.backend === i && opening.kind !== 'cluster-ip')
    const nobodyHere = any && local !== null && local.count === 0
    yield {
      ...{ service: title, protocol, family, ready, localReady, terminating },
      noLocalInternal: nobodyHere && plan.internalLocal,
      noLocalExternal: nobodyHere && plan.externalLocal && isExternal,
    }
  }
}

/** What kube-proxy reports as sync_proxy_rules_no_local_endpoints_total, by traffic_policy. ServicePorts of both families. */
export function countNoLocal(plans: Iterable<readonly [string, Plan]>): { internal: number; external: number } {
  const sum = { internal: 0, external: 0 }
  for (const [, plan] of plans) {
    if (!plan.internalLocal && !plan.externalLocal) continue
    for (const { noLocalInternal, noLocalExternal } of countPorts(plan)) {
      if (noLocalInternal) sum.internal++
      if (noLocalExternal) sum.external++
    }
  }
  return sum
}
