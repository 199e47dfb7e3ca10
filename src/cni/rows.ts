/** What a container runtime reads to give pods their network. Key: ''. */
export interface Conflist {
  /** The whole file. */
  readonly text: string
}

/** An address that the IPAM plugin gave to a pod of this node. Key: the address. */
export interface Lease {
  readonly ip: string
}
