/** What the overlay has the kernel hold: one row for each thing that netlink knows by itself. */
import type { Family } from '../cluster/protocol.ts'
import type { Key } from '../core/delta.ts'

/** A VXLAN device of ours. */
export interface Device {
  readonly kind: 'device'
  readonly name: string
  /** Of the underlay: what its packets are carried in. The VNI and port may be used once for each. */
  readonly family: Family
  readonly vni: number
  /** UDP. */
  readonly port: number
  /** Underlay address of this node, and the interface that has it. */
  readonly local: string
  readonly parent: string
  readonly mtu: number
  readonly mac: string
}

/** An address of ours on a device: what this node sends from to pods elsewhere. A range of one, so that it brings no route. */
export interface Address {
  readonly kind: 'address'
  readonly device: string
  readonly ip: string
}

/** The VTEP address of a pod network has this link address: answered by nobody, for nobody needs to ask. */
export interface Neighbour {
  readonly kind: 'neighbour'
  readonly device: string
  readonly ip: string
  readonly mac: string
}

/** Frames for this link address are carried to that underlay address. */
export interface Forwarding {
  readonly kind: 'fdb'
  readonly device: string
  readonly mac: string
  readonly to: string
}

/** A pod network is behind a VTEP address, or (`onlink` false) directly behind a node on the same link. */
export interface Route {
  readonly kind: 'route'
  readonly to: string
  readonly via: string
  readonly device: string
  readonly onlink: boolean
}

export type OverlayRow = Device | Address | Neighbour | Forwarding | Route

export function keyOf(row: OverlayRow): Key {
  switch (row.kind) {
    case 'device':
      return deviceKey(row.name)
    case 'address':
    case 'neighbour':
      return `${row.kind} ${row.device} ${row.ip}`
    case 'fdb':
      return forwardingKey(row.device, row.mac)
    case 'route':
      return routeKey(row.to)
    default:
      return row satisfies never
  }
}

export const deviceKey = (name: string): Key => `device ${name}`
export const forwardingKey = (device: string, mac: string): Key => `fdb ${device} ${mac}`
export const routeKey = (to: string): Key => `route ${to}`

/** Who may send to the overlay's port: an underlay address of another node or network. Key: the address. */
export interface Vtep {
  readonly kind: 'vtep'
  readonly ip: string
}

/** An interface that VXLAN packets come in by. Key: `uplink NAME`. */
export interface Uplink {
  readonly kind: 'uplink'
  readonly name: string
}

export type GuardRow = Vtep | Uplink
