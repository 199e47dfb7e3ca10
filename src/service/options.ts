/** What an administrator says about services on this node. All addresses and CIDRs canonical. */
export interface ServiceOptions {
  /** Name of this node. */
  readonly node: string
  /**
   * Which addresses of this node answer node ports, each word adding some: `primary`, the Node's first InternalIP of each
   * family; a CIDR, what the host's interfaces have in it; `localhost` and `all`, the CIDRs of all loopback addresses and of all.
   */
  readonly nodePortAddresses: readonly string[]
  /** Service ranges known from configuration, besides the cluster's ServiceCIDR objects. */
  readonly serviceCIDRs: readonly string[]
  /** externalIPs outside of these are refused (CVE-2020-8554: whoever may write a Service could take any address). null: all are allowed. */
  readonly externalIPAllowed: readonly string[] | null
  /** Addresses of pods on this node; null: the node's podCIDRs. */
  readonly localPodCIDRs: readonly string[] | null
  /** Serves the Services whose label service.kubernetes.io/service-proxy-name says this; null: those without the label. */
  readonly proxyName: string | null
  /** Addresses that lead where the ClusterIPs of a Service do, in the families that it has: by its namespace/name. */
  readonly aliases: ReadonlyMap<string, readonly string[]>
}

export const DEFAULT_OPTIONS: Omit<ServiceOptions, 'node'> = {
  nodePortAddresses: ['primary'],
  serviceCIDRs: [],
  externalIPAllowed: null,
  localPodCIDRs: null,
  proxyName: null,
  aliases: new Map(),
}
