/** A place with pods: a node of the cluster or a network outside, as others reach it. */
import { familyOf, spanOf, type Span } from '../cluster/address.ts'
import type { Node } from '../cluster/node.ts'
import type { Family } from '../cluster/protocol.ts'
import type { Rejection } from '../cluster/rejection.ts'
import { otherBackend, readAnnotations } from './annotations.ts'
import { macOf } from './mac.ts'
import type { OutsideNetwork, OverlayOptions } from './options.ts'

export interface Site {
  /** For people: `Node n1`. */
  readonly object: string
  /** In ms since 1970. Of two that want the same, the older has it; outside networks before all nodes. */
  readonly created: number
  readonly networks: readonly PodNetwork[]
  /** At most one for each family. */
  readonly ends: readonly TunnelEnd[]
  /** Addresses its packets may come from. */
  readonly sources: readonly string[]
}

export interface PodNetwork {
  readonly cidr: string
  readonly family: Family
  readonly span: Span
  /** The network's own address, which no pod has: flannel's address of the VTEP. */
  readonly vtep: string
}

/** Where a site's VXLAN packets are sent to. */
export interface TunnelEnd {
  /** Of the underlay. */
  readonly family: Family
  readonly address: string
  readonly mac: string
}

/** Field of a Node that its networks and addresses come from, for complaints. */
export const NETWORKS_FIELD = 'spec.podCIDRs'
export const ADDRESSES_FIELD = 'status.addresses'

export function networkOf(cidr: string): PodNetwork {
  return { cidr, family: familyOf(cidr), span: spanOf(cidr), vtep: cidr.slice(0, cidr.indexOf('/')) }
}

export function siteOfNode(node: Node, options: OverlayOptions, reject: (rejection: Rejection) => void): Site {
  const object = `Node ${node.name}`
  const networks = node.podCIDRs.map(networkOf)
  const backend = otherBackend(node)
  if (backend !== null) {
    const problem = `is ${backend}: the node takes no VXLAN packets, so its pods are not reached from here`
    const remedy = 'run the same backend on all nodes; a node that runs Fairlead corrects the annotation by itself'
    // Our own agent is about to write what is true.
    if (node.name !== options.node)
      reject({ object, field: 'metadata.annotations[flannel.alpha.coreos.com/backend-type]', problem, remedy })
  }
  const isForeign = backend !== null && node.name !== options.node
  const ends = isForeign ? [] : ([4, 6] as const).flatMap((family) => endOf(node, family, options, reject))
  if (networks.length > 0 && ends.length === 0 && !isForeign) {
    const problem = 'has no address of type InternalIP: nobody can reach its pods'
    reject({ object, field: ADDRESSES_FIELD, problem, remedy: "see what the node's kubelet says (--node-ip)" })
  }
  const sources = isForeign ? [] : [...new Set([...node.internalIPs, ...ends.map(({ address }) => address)])]
  return { object, created: node.created, networks, ends, sources }
}

export function siteOfNetwork({ cidr, mac, address }: OutsideNetwork): Site {
  const ends = [{ family: familyOf(address), address, mac }]
  return { object: `outside network ${cidr}`, created: 0, networks: [networkOf(cidr)], ends, sources: [address] }
}

function endOf(
  node: Node,
  family: Family,
  options: OverlayOptions,
  reject: (rejection: Rejection) => void,
): readonly TunnelEnd[] {
  const object = `Node ${node.name}`
  const written = readAnnotations(node, family, (complaint) => reject({ object, ...complaint }))
  const address = written.address ?? internalIP(node, family)
  if (address === null) return []
  if (written.vni !== null && written.vni !== options.vni) {
    const field = `metadata.annotations[flannel.alpha.coreos.com/${family === 4 ? 'backend-data' : 'backend-v6-data'}]`
    const problem = `has VNI ${written.vni}, not ${options.vni}: packets would not be taken for the overlay's`
    reject({ object, field, problem, remedy: 'give all nodes the same VNI (--overlay-vni)' })
  }
  return [{ family, address, mac: written.mac ?? macOf(node.name, family) }]
}

export const internalIP = (node: Node, family: Family): string | null =>
  node.internalIPs.find((ip) => familyOf(ip) === family) ?? null
