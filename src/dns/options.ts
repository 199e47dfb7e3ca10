import type { Selector } from '../cluster/selector.ts'

/** One `kubernetes` of a Corefile: which names of the cluster it answers. Zones are absolute and lower case, with the final dot. */
export interface NameOptions {
  /** Of its rows: `k0`. */
  readonly set: string
  /** All its zones: of names (`cluster.local.`), reverse (`in-addr.arpa.`, `10.in-addr.arpa.`, `ip6.arpa.`), imported ones. PTR records point into the first of names. */
  readonly zones: readonly string[]
  /** Those of `zones` that hold the Services of other clusters: `clusterset.local.`. */
  readonly multicluster: readonly string[]
  /** `insecure`: whatever is a dashed address is a pod. `verified`: pods that there are. */
  readonly pods: 'disabled' | 'insecure' | 'verified'
  /** An endpoint without hostname is called as its pod (EndpointSlices must be parsed with `podNames`). */
  readonly endpointPodNames: boolean
  /**
   * Services whose endpoints have names of their own. The specification wants those of headless ones; CoreDNS, and `all`,
   * answer them for every Service, so that what a PTR record of an endpoint points to can be looked up.
   */
  readonly endpointNames: 'all' | 'headless'
  /** Also who has which address, `deriveClients`, with these labels of pods. With `verified` only. */
  readonly clients?: readonly string[]
  /** EndpointSlices are not looked at: no names of endpoints, none of headless Services. */
  readonly noEndpoints: boolean
  /** A Service with a ClusterIP but without a ready endpoint does not exist. Nothing is known of that with `noEndpoints`. */
  readonly ignoreEmptyService: boolean
  /** Only these; null: all. */
  readonly namespaces: readonly string[] | null
  /** Only those with such labels; null: all. */
  readonly namespaceLabels: Selector | null
  /** Where this DNS is asked: Services with such a ClusterIP are its own. Empty: those that are labelled k8s-app=kube-dns. */
  readonly addresses: readonly string[]
}

export const DEFAULT_OPTIONS: Omit<NameOptions, 'set' | 'zones'> = {
  multicluster: [],
  pods: 'disabled',
  endpointPodNames: false,
  endpointNames: 'all',
  noEndpoints: false,
  ignoreEmptyService: false,
  namespaces: null,
  namespaceLabels: null,
  addresses: [],
}
