/** Kubernetes objects for tests, as an API server would send them. */

export type Raw = Record<string, any>

/** Two nodes; tests look from n1. */
export const NODES: readonly Raw[] = [
  node('n1', ['172.30.0.11', 'fd00:172:30::11'], ['10.244.1.0/24', 'fd00:10:244:1::/64'], 'zone-a'),
  node('n2', ['172.30.0.12', 'fd00:172:30::12'], ['10.244.2.0/24', 'fd00:10:244:2::/64'], 'zone-b'),
]

export const SERVICE_CIDR: Raw = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'ServiceCIDR',
  metadata: { name: 'kubernetes' },
  spec: { cidrs: ['10.96.0.0/16', 'fd00:10:96::/112'] },
}

export function node(name: string, ips: readonly string[], podCIDRs: readonly string[], zone: string | null): Raw {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels: zone === null ? {} : { 'topology.kubernetes.io/zone': zone } },
    spec: { podCIDR: podCIDRs[0], podCIDRs },
    status: { addresses: ips.map((address) => ({ type: 'InternalIP', address })) },
  }
}

/** `spec` and `metadata` are laid over a ClusterIP Service with one TCP port 80; `lb`: status.loadBalancer.ingress. */
export function service(
  name: string,
  clusterIPs: readonly string[],
  spec: Raw = {},
  { lb = [], ...metadata }: { lb?: readonly (string | Raw)[]; [field: string]: any } = {},
): Raw {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace: 'shop', name, creationTimestamp: '2026-01-01T00:00:00Z', ...metadata },
    spec: {
      type: 'ClusterIP',
      clusterIP: clusterIPs[0],
      clusterIPs,
      ports: [{ port: 80, protocol: 'TCP', targetPort: 8080 }],
      ...spec,
    },
    status: { loadBalancer: { ingress: lb.map((each) => (typeof each === 'string' ? { ip: each } : each)) } },
  }
}

/** Endpoint ports default to one unnamed TCP port 8080. The family is that of the first endpoint. */
export function slice(
  name: string,
  of: string,
  endpoints: readonly Raw[],
  ports: readonly Raw[] = [{ port: 8080 }],
): Raw {
  const isV6 = endpoints.some(({ addresses }) => addresses[0].includes(':'))
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { namespace: 'shop', name, labels: { 'kubernetes.io/service-name': of } },
    addressType: isV6 ? 'IPv6' : 'IPv4',
    ports: ports.map((port) => ({ name: '', protocol: 'TCP', ...port })),
    endpoints,
  }
}

/** An endpoint on the node that its address belongs to. */
export function endpoint(address: string, conditions: Raw = { ready: true }, more: Raw = {}): Raw {
  const isFirst = /^10\.244\.1\.|^fd00:10:244:1:|^172\.30\.0\.11$|^fd00:172:30::11$/.test(address)
  return { addresses: [address], nodeName: isFirst ? 'n1' : 'n2', conditions, ...more }
}

export const READY = { ready: true, serving: true, terminating: false }
export const UNREADY = { ready: false, serving: false, terminating: false }
export const TERMINATING = { ready: false, serving: true, terminating: true }
export const GONE = { ready: false, serving: false, terminating: true }
