/** core/v1 Node, reduced to what derivations read. */
export interface Node {
  readonly name: string
  /** status.addresses of type InternalIP, canonical, both families. */
  readonly internalIPs: readonly string[]
  readonly externalIPs: readonly string[]
  /** spec.podCIDRs (else podCIDR), canonical. */
  readonly podCIDRs: readonly string[]
  /** Label topology.kubernetes.io/zone. */
  readonly zone: string | null
  readonly labels: ReadonlyMap<string, string>
  readonly annotations: ReadonlyMap<string, string>
  /** metadata.deletionTimestamp is set. */
  readonly deleting: boolean
  /** Keys of spec.taints. */
  readonly taints: readonly string[]
}
