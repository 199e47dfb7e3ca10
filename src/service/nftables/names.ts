import type { Family, Protocol } from '../../cluster/protocol.ts'

/**
 * Names of our corner of nftables. All that depends on the rows exists once per generation (a or b): a full load fills
 * the generation that is not in use, then one small transaction makes it the one in use.
 */
export const TABLE = 'fairlead_service'
export const FAMILY = 'inet'

export type Generation = 'a' | 'b'
export const other = (generation: Generation): Generation => (generation === 'a' ? 'b' : 'a')

/** Sets whose elements are looked up by the original destination of a packet: address, protocol, port. */
export type MapName =
  | 'frontends' // -> verdict: where a packet for this frontend goes first
  | 'kinds' // -> verdict: the same after the client's address was let in
  | 'mains' // -> verdict for local pods and the node, when traffic is split by source
  | 'locals' // -> verdict for everybody else then
  | `slots_${Protocol}` // address, port, slot -> endpoint
  | `local_slots_${Protocol}`
  | 'pools' // -> affinity pool
  | 'local_pools'
  | 'picks' // . slot -> endpoint identity
  | 'local_picks'
  | 'ids' // . endpoint identity -> endpoint
  | 'local_ids'
  | 'sources' // . client range
  | 'addresses' // ClusterIPs
  | 'hairpins' // endpoint . endpoint, for those on this node

/** The maps of which there is one for all clients and one for split traffic. */
export type SlotMap = `slots_${Protocol}` | 'pools' | 'picks' | 'ids'

export const mapName = (name: MapName, family: Family, generation: Generation): string =>
  `${name}${family}_${generation}`

/** Clients remembered by session affinity: state of the kernel, so of no generation. */
export const affinityName = (family: Family): string => `affinity${family}`

export const chainName = (name: string, family: Family, generation: Generation): string =>
  `${name}${family}_${generation}`

/** An empty chain that says which load of which agent made a generation: see `claim` in chains.ts. */
export const ownerName = (owner: string, generation: Generation): string => `owner_${owner}_${generation}`

/** Who is masqueraded on the way to a chosen endpoint: see `masquerade` in chains.ts. */
export type Scope = 'cluster' | 'external' | 'split' | 'local'

/** A chain that picks one of `slots` endpoints. Shared by all frontends of the protocol that have as many. */
export interface Pick {
  readonly scope: Scope
  readonly family: Family
  readonly protocol: Protocol
  readonly slots: number
  /** Seconds; 0: none. */
  readonly affinity: number
}

/** `part`: of a chain with affinity. The generation stands last, in every name that belongs to one. */
export const pickName = (pick: Pick, generation: Generation, part: '' | '_hash' | '_use' = ''): string =>
  `${pick.scope}${pick.family}_${pick.protocol}_${pick.slots}${pick.affinity === 0 ? '' : `_${pick.affinity}s`}${part}_${generation}`

/** Packets to be masqueraded carry this bit from nat prerouting or output to nat postrouting. The bit kube-proxy uses. */
export const MASQUERADE_BIT = 0x4000
