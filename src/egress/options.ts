/** What an administrator says about how pods reach what is not in the cluster. All CIDRs canonical. */
export interface EgressOptions {
  /** Name of this node. */
  readonly node: string
  /** Addresses of pods on this node; null: the Node object's podCIDRs. */
  readonly localPodCIDRs: readonly string[] | null
  /** Devices of the overlay of this node; they need not be there. */
  readonly overlayDevices: readonly string[]
  /** Destinations that see a pod's own address, besides pods of all nodes. */
  readonly nonMasqueradeCIDRs: readonly string[]
}
