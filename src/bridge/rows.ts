/**
 * Pods that another program put on a bridge of this host take all of the node's range to be on their link. What the kernel
 * must hold so that they reach those that are routed: one row for each thing that it knows by itself.
 */
import type { Key } from '../core/delta.ts'

/** A setting of an interface: its name as sysctl(8) writes it, `*` for the bridge. */
export interface Setting {
  readonly kind: 'setting'
  readonly bridge: string
  readonly name: string
  readonly value: string
  /** It is not put back: others may count on it by then. */
  readonly stays: boolean
}

/** An option of a bridge: its name as ip-link(8) writes it. */
export interface Option {
  readonly kind: 'option'
  readonly bridge: string
  readonly name: string
  readonly value: string
}

/** Who asks on the bridge for this IPv6 address is told that it is here. */
export interface Proxied {
  readonly kind: 'proxied'
  readonly bridge: string
  readonly ip: string
}

export type BridgeRow = Setting | Option | Proxied

export const keyOf = (row: BridgeRow): Key => `${row.bridge} ${row.kind === 'proxied' ? row.ip : row.name}`
