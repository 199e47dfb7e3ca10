import type { Family, Protocol } from './protocol.ts'

/** discovery.k8s.io/v1 EndpointSlice, reduced to what derivations read. */
export interface EndpointSlice {
  readonly namespace: string
  readonly name: string
  /** Label kubernetes.io/service-name; '' when absent (such a slice is nobody's). */
  readonly service: string
  readonly family: Family
  /** A null port means all ports: of no use to a service proxy, left out with a rejection. */
  readonly ports: readonly { readonly name: string; readonly protocol: Protocol; readonly port: number }[]
  readonly endpoints: readonly Endpoint[]
}

export interface Endpoint {
  /** addresses[0]: the only one consumers may use (API documentation). Canonical. */
  readonly address: string
  /** nil means true. */
  readonly ready: boolean
  /** nil means the same as ready. */
  readonly serving: boolean
  /** nil means false. */
  readonly terminating: boolean
  readonly node: string | null
  readonly zone: string | null
  /** hints.forZones / hints.forNodes; null: no such hint. */
  readonly hintZones: readonly string[] | null
  readonly hintNodes: readonly string[] | null
}
