/** This node's side of the overlay: by which devices, with what addresses. */
import { contains, familyOf } from '../cluster/address.ts'
import type { Node } from '../cluster/node.ts'
import type { Family } from '../cluster/protocol.ts'
import type { Rejection } from '../cluster/rejection.ts'
import type { Key } from '../core/delta.ts'
import type { Read } from '../core/derive.ts'
import type { Readable } from '../core/table.ts'
import type { Loss } from './claims.ts'
import { macOf } from './mac.ts'
import { OVERHEAD_BYTES, type OverlayOptions } from './options.ts'
import { ADDRESSES_FIELD, internalIP, NETWORKS_FIELD, networkOf, siteOfNode, type PodNetwork } from './site.ts'

/** An address of an interface of this host. Key: the address. */
export interface HostInterface {
  readonly ip: string
  readonly interface: string
  readonly prefixLength: number
  readonly mtu: number
}

/** A VXLAN device that was there when we came. Key: its name. */
export interface Found {
  readonly mac: string
}

/** One end of this node. Key: the family of the underlay. */
export interface Here {
  readonly kind: 'end'
  readonly family: Family
  readonly device: string
  readonly address: string
  readonly interface: string
  /** The address with its prefix length: what is on the same link. */
  readonly link: string
  /** Pods of these families are carried by this end when the other side has one like it. */
  readonly carries: readonly Family[]
}

/** What changes without anything else following from it. Key: `device FAMILY`. */
export interface HereDevice {
  readonly kind: 'device'
  readonly mtu: number
  readonly mac: string
}

/** Key: `networks`. */
export interface HereNetworks {
  readonly kind: 'networks'
  readonly networks: readonly PodNetwork[]
}

export type HereRow = Here | HereDevice | HereNetworks

export interface HereInputs {
  readonly interfaces: Readable<HostInterface>
  readonly found: Readable<Found>
  readonly losses: Readable<readonly Loss[]>
}

/** Nothing where this node has no pod network, or no end: then there is no overlay here yet. */
export function* hereOf(
  node: Node,
  options: OverlayOptions,
  inputs: HereInputs,
  read: Read,
  reject: (rejection: Rejection) => void,
): Iterable<[Key, HereRow]> {
  const object = `Node ${node.name}`
  const lost = new Set((read.get(inputs.losses, node.name) ?? []).map(({ what }) => what))
  const networks = node.podCIDRs.map(networkOf).filter(({ cidr }) => !lost.has(cidr))
  if (node.podCIDRs.length === 0) {
    const problem = 'is empty: pods of this node have no network'
    const remedy = 'let kube-controller-manager give out ranges: --allocate-node-cidrs --cluster-cidr=10.244.0.0/16'
    return reject({ object, field: NETWORKS_FIELD, problem, remedy })
  }
  const site = siteOfNode(node, options, () => {})
  const ends = ([4, 6] as const).flatMap((family): readonly End[] => {
    const address = internalIP(node, family)
    const end = site.ends.find((each) => each.family === family)
    if (address === null || end === undefined || lost.has(end.address)) return []
    const at = read.get(inputs.interfaces, address)
    if (at !== undefined && at.interface !== LOOPBACK) return [{ family, at }]
    if (at !== undefined) {
      const problem = `has ${address} on ${LOOPBACK}: which interface leads to peers, and what it takes, is not known`
      reject({ object, field: ADDRESSES_FIELD, problem, remedy: 'let the kubelet announce an address of an interface' })
      return []
    }
    const problem = `has ${address}, which no interface of this host has: nothing can be sent from it`
    reject({ object, field: ADDRESSES_FIELD, problem, remedy: "correct the kubelet's --node-ip, or add the address" })
    return []
  })
  const families = new Set(networks.map(({ family }) => family))
  const used = new Map<End, Family[]>()
  for (const family of families) {
    // As flannel: pods of a family are carried by the underlay of that family; by the other where there is no such.
    const end = ends.find((each) => each.family === family) ?? ends[0]
    if (end) used.set(end, [...(used.get(end) ?? []), family])
  }
  for (const [end, carries] of used) yield* endRows(node, end, carries, options, inputs, read, reject)
  if (used.size > 0) yield ['networks', { kind: 'networks', networks }]
}

interface End {
  readonly family: Family
  readonly at: HostInterface
}

function* endRows(
  node: Node,
  { family, at }: End,
  carries: readonly Family[],
  options: OverlayOptions,
  { found }: HereInputs,
  read: Read,
  reject: (rejection: Rejection) => void,
): Iterable<[Key, HereRow]> {
  const device = options.devices[family]
  const mtu = options.mtu ?? at.mtu - OVERHEAD_BYTES[family]
  const written = siteOfNode(node, options, () => {}).ends.find((each) => each.family === family)
  const mac = read.get(found, device)?.mac ?? written?.mac ?? macOf(node.name, family)
  if (carries.includes(6) && mtu < IPV6_MTU_MIN) {
    const problem = `has ${at.ip} on ${at.interface}, which leaves ${mtu} octets for a pod's packet; IPv6 needs ${IPV6_MTU_MIN}`
    reject({ object: `Node ${node.name}`, field: ADDRESSES_FIELD, problem, remedy: `raise the MTU of ${at.interface}` })
  }
  const link = `${at.ip}/${at.prefixLength}`
  const end = { kind: 'end', family, device, address: at.ip, interface: at.interface, link, carries } as const
  yield [String(family), end]
  yield [`device ${family}`, { kind: 'device', mtu, mac }]
}

/** Both on one link. `link`: an address with its prefix length. */
export const isOnLink = ({ link, family }: Here, address: string): boolean =>
  familyOf(address) === family && contains(link, address)

const IPV6_MTU_MIN = 1280
const LOOPBACK = 'lo'
