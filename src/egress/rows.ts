/** What the node must do so that its pods reach what is not in the cluster: one row a range. */
import type { Family } from '../cluster/protocol.ts'
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

/** A setting of the kernel, by its name as sysctl(8) writes it. */
export interface Setting {
  readonly kind: 'setting'
  readonly name: string
  readonly value: string
}

/**
 * The source of packets that come in by this interface is not held strictly against the route back (RFC 3704 2.4): what
 * comes in by the overlay may be answered by the underlay. `name*`: all whose names begin so.
 */
export interface LooseFilter {
  readonly kind: 'loose filter'
  readonly interface: string
}

/** Routes that routers of the link announce stay, though a host that forwards does not listen to them any more by itself. */
export interface KeptRouters {
  readonly kind: 'routers'
}

/**
 * Packets that come in by this interface are forwarded, whatever it alone was set to: with the switch of all on, each
 * interface of IPv4 has its own (IPv6 asks that of all only). `name*`: all whose names begin so.
 */
export interface Forwards {
  readonly kind: 'forwards'
  readonly interface: string
}

/** The same for interfaces that a default route leads out of: answers to what pods send out of the cluster come in there. */
export interface Uplinks {
  readonly kind: 'uplinks'
}

export type ForwardingRow = Setting | LooseFilter | KeptRouters | Forwards | Uplinks

export function forwardingKey(row: ForwardingRow): Key {
  switch (row.kind) {
    case 'setting':
      return row.name
    case 'loose filter':
      return `net.ipv4.conf.${row.interface}.rp_filter`
    case 'routers':
      return 'net.ipv6.conf.*.accept_ra'
    case 'forwards':
      return `net.ipv4.conf.${row.interface}.forwarding`
    case 'uplinks':
      return 'net.ipv4.conf.*.forwarding'
    default:
      return row satisfies never
  }
}

/**
 * A chain of somebody else's at the forward hook that ends with a drop or a reject: packets of pods pass this host only if
 * it says so. Key: see `firewallKey`.
 */
export type Firewall = IptablesFirewall | NftablesFirewall

/** FORWARD of table filter: a rule of ours on top of it lets pods through. */
export interface IptablesFirewall {
  readonly kind: 'iptables'
  readonly variant: 'legacy' | 'nft'
  readonly family: Family
}

/** A base chain of nftables: no other table can undo what it drops. */
export interface NftablesFirewall {
  readonly kind: 'nftables'
  /** As nft calls it: ip, ip6 or inet. */
  readonly family: string
  readonly table: string
  readonly chain: string
  readonly verdict: 'drop' | 'reject'
  /** Ranges that the table speaks of, canonical: pods in one of them are taken to be let through. */
  readonly ranges: readonly string[]
}

export const firewallKey = (firewall: Firewall): Key =>
  firewall.kind === 'iptables'
    ? `${firewall.variant} ${firewall.family}`
    : `nftables ${firewall.family} ${firewall.table} ${firewall.chain}`

/** Packets from and to this range pass the FORWARD chain. Key: see `acceptKey`. */
export interface AcceptRow {
  readonly variant: 'legacy' | 'nft'
  readonly family: Family
  readonly cidr: string
}

export const acceptKey = ({ variant, family, cidr }: AcceptRow): Key => `${variant} ${family} ${cidr}`

export const keyOf = ({ kind, cidr }: EgressRow): Key => `${kind} ${cidr}`
