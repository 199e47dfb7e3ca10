import type { Protocol } from './protocol.ts'

/** core/v1 Service, reduced to what derivations read. */
export interface Service {
  readonly namespace: string
  readonly name: string
  /** metadata.creationTimestamp in ms since 1970; 0 when absent. Who is older wins a contested address. */
  readonly created: number
  readonly type: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName'
  /** Canonical addresses, at most one per family; empty for headless and ExternalName. */
  readonly clusterIPs: readonly string[]
  readonly headless: boolean
  readonly externalIPs: readonly string[]
  /** status.loadBalancer.ingress[] with an ip and ipMode VIP (the default); those with ipMode Proxy are left out. */
  readonly loadBalancerIPs: readonly string[]
  /** Canonical CIDRs; null: everybody. An empty list lets nobody in (all that was given was invalid: fail closed). */
  readonly sourceRanges: readonly string[] | null
  readonly ports: readonly ServicePort[]
  /** sessionAffinityConfig.clientIP.timeoutSeconds with sessionAffinity ClientIP (default 10800); 0: none. */
  readonly affinitySeconds: number
  readonly internalTrafficPolicy: 'Cluster' | 'Local'
  readonly externalTrafficPolicy: 'Cluster' | 'Local'
  /** 0: none. */
  readonly healthCheckNodePort: number
  readonly publishNotReady: boolean
  /** Label service.kubernetes.io/service-proxy-name: another proxy serves it. */
  readonly proxyName: string | null
}

export interface ServicePort {
  readonly name: string
  readonly protocol: Protocol
  readonly port: number
  /** 0: none. */
  readonly nodePort: number
}
