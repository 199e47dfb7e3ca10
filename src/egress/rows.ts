/** What the node must do so that its pods reach what is not in the cluster: one row a range. */
import type { Key } from '../core/delta.ts'

/** Addresses of pods of this node: what leaves for elsewhere gets an address of the node. No two rows overlap. */
export interface Source {
  readonly kind: 'source'
  readonly cidr: string
}

/** Destinations that see the pod's own address: pods of all nodes, multicast, what the administrator lists. No two rows overlap. */
export interface Kept {
  readonly kind: 'kept'
  readonly cidr: string
}

export type EgressRow = Source | Kept

export const keyOf = ({ kind, cidr }: EgressRow): Key => `${kind} ${cidr}`
