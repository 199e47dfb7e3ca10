import { contains, familyOf } from '../cluster/address.ts'
import type { Node } from '../cluster/node.ts'
import type { Key } from '../core/delta.ts'
import type { ServiceOptions } from './options.ts'

/**
 * What Services must know of this node, in rows so narrow that a heartbeat, a label or a taint changes none of them:
 * each is a list of texts.
 */
export type HereKey = 'zone' | 'addresses' | 'node-ports' | 'pods'

export function* hereOf(key: Key, node: Node, options: ServiceOptions): Iterable<[HereKey, readonly string[]]> {
  if (key !== options.node) return
  yield ['zone', node.zone === null || node.zone === '' ? [] : [node.zone]]
  yield ['addresses', node.internalIPs]
  yield ['node-ports', nodePortAddresses(node, options)]
  yield ['pods', node.podCIDRs]
}

function nodePortAddresses(node: Node, { nodePortAddresses: wanted }: ServiceOptions): readonly string[] {
  const all = [...new Set([...node.internalIPs, ...node.externalIPs])]
  if (wanted !== 'primary') return all.filter((ip) => wanted.some((cidr) => contains(cidr, ip)))
  const first = (family: 4 | 6) => all.filter((ip) => familyOf(ip) === family).slice(0, 1)
  return [...first(4), ...first(6)]
}
