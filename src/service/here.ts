import type { Node } from '../cluster/node.ts'
import type { Key } from '../core/delta.ts'
import { nodePortIPs } from './nodeports.ts'
import type { ServiceOptions } from './options.ts'

/**
 * What Services must know of this node, in rows so narrow that a heartbeat, a label or a taint changes none of them:
 * each is a list of texts.
 */
export type HereKey = 'zone' | 'addresses' | 'node-ports' | 'pods'

/** `hostAddresses`: what the interfaces of this host have. */
export function* hereOf(
  key: Key,
  node: Node,
  options: ServiceOptions,
  hostAddresses: () => readonly string[],
): Iterable<[HereKey, readonly string[]]> {
  if (key !== options.node) return
  yield ['zone', node.zone === null || node.zone === '' ? [] : [node.zone]]
  yield ['addresses', node.internalIPs]
  yield ['node-ports', nodePortIPs(node, options, hostAddresses)]
  yield ['pods', node.podCIDRs]
}
