import type { Family } from '../cluster/protocol.ts'

/** What an administrator says about the overlay. All addresses and CIDRs canonical. */
export interface OverlayOptions {
  /** Name of this node. */
  readonly node: string
  readonly vni: number
  /** UDP. */
  readonly port: number
  /** The device by the family of the underlay that carries it. flannel's names, so that its devices are taken over in place. */
  readonly devices: Readonly<Record<Family, string>>
  /** Of the devices; null: what the underlay's interface leaves. */
  readonly mtu: number | null
  /** Pod networks of nodes on the same link are routed to, not wrapped. */
  readonly directRouting: boolean
  readonly networks: readonly OutsideNetwork[]
  /** Service ranges known from configuration, besides the cluster's ServiceCIDR objects. */
  readonly serviceCIDRs: readonly string[]
  /** Pod ranges of the whole cluster, for subnet.env; empty: the smallest that hold all podCIDRs. */
  readonly clusterCIDRs: readonly string[]
}

/** A network that is no node of the cluster, behind a VTEP of its own. */
export interface OutsideNetwork {
  readonly cidr: string
  readonly mac: string
  /** Underlay address of the VTEP. */
  readonly address: string
}

export const DEFAULT_OPTIONS: Omit<OverlayOptions, 'node'> = {
  vni: 1,
  port: 8472,
  devices: { 4: 'flannel.1', 6: 'flannel-v6.1' },
  mtu: null,
  directRouting: false,
  networks: [],
  serviceCIDRs: [],
  clusterCIDRs: [],
}

/** What VXLAN adds to a packet: 14 inner Ethernet + 20 IPv4 or 40 IPv6 + 8 UDP + 8 VXLAN (RFC 7348). */
export const OVERHEAD_BYTES: Readonly<Record<Family, number>> = { 4: 50, 6: 70 }
