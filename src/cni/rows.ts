/** What a container runtime reads to give pods their network. Key: ''. */
export interface Conflist {
  /** The whole file. */
  readonly text: string
}

/** An address that the IPAM plugin gave to a pod of this node. Key: the address. */
export interface Lease {
  readonly ip: string
}

/** A file of somebody else's that container runtimes take before ours. Key: its name. */
export interface Forerunner {
  readonly file: string
  /** For people: the network and plugins in it. */
  readonly what: string
}
