import type { Protocol } from '../cluster/protocol.ts'

/**
 * What the service room decides: rows as narrow as what a kernel holds. A frontend is an address, protocol and port that
 * packets are sent to; its slots are where they may go. Keys are made by the functions below and nowhere else.
 */
export type ServiceRow = Frontend | Slot | Source | ClusterAddress | Hairpin | Range

export interface Frontend {
  readonly kind: 'frontend'
  /** Canonical IPv4 or IPv6 text. A NodePort has one frontend per node address. */
  readonly ip: string
  readonly protocol: Protocol
  readonly port: number
  /** `cluster`: masquerade what does not come from a local pod. `external`: masquerade always, unless traffic is split by source. */
  readonly scope: 'cluster' | 'external'
  /** Slots 0..slots-1 of set `main` (more than MAX_EXACT: a sparse set of that many places, see slots.ts). 0: nothing can answer. */
  readonly slots: number
  /**
   * null: one set for all. A number: externalTrafficPolicy Local. Local pods and the node itself use set `main`; everybody
   * else uses set `local`, which has this many slots, without masquerade.
   */
  readonly local: number | null
  /** What happens to a packet when its set is empty. `drop`: endpoints exist, but not for this traffic policy. */
  readonly mainEmpty: 'reject' | 'drop'
  readonly localEmpty: 'reject' | 'drop'
  /** Session affinity in seconds; 0: none. */
  readonly affinity: number
  /** The same for all frontends of a ServicePort (and family): affinity is remembered per client and pool. 1..2^32-1. */
  readonly pool: number
  /** True: only clients in a `source` row of this frontend are let in; others are dropped. */
  readonly filtered: boolean
  /** Namespace/name:port of the Service, for people. */
  readonly service: string
}

export interface Slot {
  readonly kind: 'slot'
  /** Shared object of the frontend's address, so that 100,000 slots do not hold 100,000 copies. */
  readonly at: FrontendAddress
  readonly set: 'main' | 'local'
  readonly slot: number
  readonly ip: string
  readonly port: number
  /** Identity of the endpoint within its pool, unique there, 1..2^20-1; a hash, so that a removal moves nobody. 0: no affinity. */
  readonly id: number
}

export interface FrontendAddress {
  readonly ip: string
  readonly protocol: Protocol
  readonly port: number
}

/** A client range (canonical CIDR) that a filtered frontend lets in. */
export interface Source {
  readonly kind: 'source'
  readonly at: FrontendAddress
  readonly cidr: string
}

/** An allocated ClusterIP: what hits it on a port that is no frontend is rejected. */
export interface ClusterAddress {
  readonly kind: 'address'
  readonly ip: string
}

/** An endpoint on this node: a connection of it that comes back to itself must be masqueraded. */
export interface Hairpin {
  readonly kind: 'hairpin'
  readonly ip: string
}

/** `pods`: addresses of pods on this node. `services`: a service CIDR; what hits no allocated address of it is dropped. */
export interface Range {
  readonly kind: 'range'
  readonly set: 'pods' | 'services'
  readonly cidr: string
}

export const frontendKey = (at: FrontendAddress) => `f ${at.ip} ${at.protocol} ${at.port}`
export const slotKey = (at: FrontendAddress, set: 'main' | 'local', slot: number) =>
  `${set === 'main' ? 's' : 'l'} ${at.ip} ${at.protocol} ${at.port} ${slot}`
export const sourceKey = (at: FrontendAddress, cidr: string) => `c ${at.ip} ${at.protocol} ${at.port} ${cidr}`
export const addressKey = (ip: string) => `a ${ip}`
export const hairpinKey = (ip: string) => `h ${ip}`
export const rangeKey = (set: 'pods' | 'services', cidr: string) => `r ${set} ${cidr}`
