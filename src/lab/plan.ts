/** Addresses and names of everything in the lab: pure arithmetic, so that a lab is the same each time. */

export interface NodePlan {
  /** From 1. */
  readonly number: number
  readonly name: string
  readonly zone: string
  readonly ipv4: string
  readonly ipv6: string
  readonly podCIDRs: readonly [string, string]
}

/** Nodes n1, n2, ... in zones z-a, z-b, ... round robin. `count` is 1 to 50: above that they meet the load-balancer pool. */
export function nodePlans(count: number, zones: readonly string[]): NodePlan[] {
  return Array.from({ length: count }, (_, index) => nodePlan(index + 1, zones[index % zones.length]!))
}

function nodePlan(number: number, zone: string): NodePlan {
  return {
    number,
    name: `n${number}`,
    zone,
    ipv4: `172.30.0.${10 + number}`,
    ipv6: `fd00:172:30::${10 + number}`,
    podCIDRs: [`10.244.${number}.0/24`, `fd00:10:244:${number}::/64`],
  }
}

export const NODES_MAX = 50
export const ZONES: readonly string[] = ['z-a', 'z-b']
export const UNDERLAY = { prefixV4: 24, prefixV6: 64, mtu: 1500 } as const
export const OUTSIDE = { name: 'outside', ipv4: '172.30.0.1', ipv6: 'fd00:172:30::1' } as const
/** The overlay carries IPv6 pods over IPv6: 70 octets of each packet are its own (RFC 7348). */
export const POD_MTU = UNDERLAY.mtu - 70
