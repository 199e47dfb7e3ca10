/** Clusters to measure with: raw objects as an API server sends them, made from numbers, the same in each run. */

export type Raw = Record<string, any>

export interface Size {
  readonly services: number
  /** Endpoints a service. */
  readonly endpoints: number
  readonly type?: 'ClusterIP' | 'NodePort'
  readonly dual?: boolean
  /** Besides, one Service of each kind that brings other rules and maps into play, one of them of 5,000 endpoints. */
  readonly special?: boolean
  /** Besides, a Service for each way in: what `rules` compares. */
  readonly ways?: boolean
}

export function* servicesOf(size: Size): Iterable<Raw> {
  if (size.ways)
    for (const { name, ip, spec, balancer } of WAYS) yield withBalancer(service(name, [ip], spec), balancer)
  for (let i = 0; i < size.services; i++) {
    const ips = size.dual ? [clusterIP(i), clusterIP6(i)] : [clusterIP(i)]
    yield service(`s${i}`, ips, {
      type: size.type ?? 'ClusterIP',
      ports: [{ ...PORT, ...(size.type === 'NodePort' && { nodePort: NODE_PORT_FIRST + i }) }],
    })
  }
  if (!size.special) return
  const { affinity, split, empty, crowd } = SPECIAL
  const clientIP = { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 600 } } }
  yield service('affinity', [affinity], clientIP)
  yield service('split', [split], {
    ...{ type: 'LoadBalancer', externalTrafficPolicy: 'Local', internalTrafficPolicy: 'Local' },
    ...{ loadBalancerSourceRanges: ['198.51.100.0/24'], ports: [{ ...PORT, nodePort: 29_998 }] },
  })
  yield service('empty', [empty])
  yield service('crowd', [crowd])
}

export function* slicesOf(size: Size): Iterable<Raw> {
  if (size.ways) for (const [i, { name }] of WAYS.entries()) yield slice(name, 0, onNode(WAYS_FIRST + i * 1000))
  for (let i = 0; i < size.services; i++) {
    yield sliceOf(size, i)
    if (size.dual) yield sliceOf(size, i, 6)
  }
  if (!size.special) return
  yield slice('affinity', 0, endpointsFrom(SPECIAL_FIRST, 10))
  yield slice('split', 0, endpointsFrom(SPECIAL_FIRST + 10, 10))
  for (let part = 0; part < CROWD / 100; part++) yield crowdSlice(part)
}

/** The slice of service number `i`; `swap` stands in place of its first address. */
export function sliceOf(size: Size, i: number, family: 4 | 6 = 4, swap?: string): Raw {
  const endpoints = endpointsFrom(i * size.endpoints, size.endpoints, family)
  if (swap !== undefined) endpoints[0]!['addresses'] = [swap]
  return slice(`s${i}`, family === 4 ? 0 : 1, endpoints)
}

/** One of the slices of the Service with 5,000 endpoints; `swap` stands in place of its first address. */
export function crowdSlice(part: number, swap?: string): Raw {
  const endpoints = endpointsFrom(SPECIAL_FIRST + 100 + part * 100, 100)
  if (swap !== undefined) endpoints[0]!['addresses'] = [swap]
  return slice('crowd', part, endpoints)
}

/** The slice of a Service of one endpoint, with this port. */
export function oneSlice(name: string, address: string, port: number): Raw {
  return { ...slice(name, 0, [endpoint(address, 0)]), ports: [{ name: 'http', port, protocol: 'TCP' }] }
}

export function service(name: string, clusterIPs: readonly string[], spec: Raw = {}): Raw {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { ...metadata(name), labels: { app: name } },
    spec: {
      ...{ type: 'ClusterIP', clusterIP: clusterIPs[0], clusterIPs, ports: [PORT], selector: { app: name } },
      ...{
        ipFamilyPolicy: clusterIPs.length > 1 ? 'RequireDualStack' : 'SingleStack',
        internalTrafficPolicy: 'Cluster',
      },
      ...{ ipFamilies: clusterIPs.map((ip) => (ip.includes(':') ? 'IPv6' : 'IPv4')), sessionAffinity: 'None' },
      ...spec,
    },
    status: { loadBalancer: {} },
  }
}

function slice(of: string, part: number, endpoints: Raw[]): Raw {
  const isV6 = String(endpoints[0]!['addresses'][0]).includes(':')
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      ...metadata(`${of}-${part}`),
      labels: {
        'kubernetes.io/service-name': of,
        'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
      },
      ownerReferences: [{ apiVersion: 'v1', kind: 'Service', name: of, uid: uid(of), controller: true }],
    },
    addressType: isV6 ? 'IPv6' : 'IPv4',
    ports: [{ name: 'http', port: BACKEND_PORT, protocol: 'TCP' }],
    endpoints,
  }
}

function endpointsFrom(first: number, count: number, family: 4 | 6 = 4): Raw[] {
  return Array.from({ length: count }, (_, j) =>
    endpoint(family === 4 ? podIP(first + j) : podIP6(first + j), first + j),
  )
}

/** Two endpoints of this node. */
const onNode = (first: number): Raw[] => [first, first + 100].map((number) => endpoint(podIP(number), number))

const withBalancer = (service: Raw, address: string | undefined): Raw =>
  address === undefined ? service : { ...service, status: { loadBalancer: { ingress: [{ ip: address }] } } }

/** One in a hundred is on the node that we look from. */
function endpoint(address: string, number: number): Raw {
  return {
    addresses: [address],
    conditions: { ready: true, serving: true, terminating: false },
    nodeName: `n${(number % 100) + 1}`,
    zone: 'zone-a',
    targetRef: { kind: 'Pod', namespace: 'bench', name: `pod-${number}`, uid: uid(`pod-${number}`) },
  }
}

function metadata(name: string): Raw {
  const created = { creationTimestamp: '2026-01-01T00:00:00Z', resourceVersion: '1' }
  return { namespace: 'bench', name, uid: uid(name), ...created }
}

const uid = (name: string): string => `00000000-0000-4000-8000-${name.padStart(12, '0').slice(-12)}`
const four = (base: number, n: number): string => `10.${base + (n >> 16)}.${(n >> 8) & 255}.${n & 255}`
const six = (base: string, n: number): string => `${base}${n.toString(16)}`

/** Of service number `i`; all are within SERVICE_CIDR. */
export const clusterIP = (i: number): string => four(96, i + 256)
export const clusterIP6 = (i: number): string => six('fd00:10:96::', i + 256)
/** Of endpoint number `n` of all; 10.128.0.0/10 is the backend's. */
export const podIP = (n: number): string => four(128, n + 1)
const podIP6 = (n: number): string => {
  const at = n + 1
  return `fd00:10:128::${(at >> 16).toString(16)}:${(at & 0xffff).toString(16)}`.replace('::0:', '::')
}

export const NODE: Raw = {
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: 'n1', uid: uid('n1'), labels: { 'topology.kubernetes.io/zone': 'zone-a' } },
  spec: { podCIDR: '10.244.1.0/24', podCIDRs: ['10.244.1.0/24', 'fd00:10:244:1::/64'] },
  status: { addresses: ['172.30.0.11', 'fd00:172:30::11'].map((address) => ({ type: 'InternalIP', address })) },
}
export const SERVICE_CIDR: Raw = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'ServiceCIDR',
  metadata: { name: 'kubernetes', uid: uid('cidr') },
  spec: { cidrs: ['10.96.0.0/12', 'fd00:10:96::/112'] },
}
export const SPECIAL = {
  affinity: '10.111.0.1',
  split: '10.111.0.2',
  empty: '10.111.0.3',
  crowd: '10.111.0.4',
  follow: '10.111.0.5',
} as const
export const BACKEND_PORT = 8080
const PORT = { name: 'http', port: 80, protocol: 'TCP', targetPort: BACKEND_PORT }
/** One Service each, of two endpoints of this node. `balancer`: its load balancer's address. */
export const WAYS: readonly { name: string; ip: string; spec: Raw; balancer?: string; at: string }[] = [
  { name: 'plain', ip: '10.111.1.1', spec: {}, at: '10.111.1.1:80' },
  {
    ...{ name: 'sticky', ip: '10.111.1.2', at: '10.111.1.2:80' },
    spec: { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 600 } } },
  },
  {
    ...{ name: 'ported', ip: '10.111.1.3', at: '172.30.0.11:29001' },
    spec: { type: 'NodePort', ports: [{ ...PORT, nodePort: 29_001 }] },
  },
  {
    ...{ name: 'local', ip: '10.111.1.4', at: '172.30.0.11:29002' },
    spec: { type: 'NodePort', externalTrafficPolicy: 'Local', ports: [{ ...PORT, nodePort: 29_002 }] },
  },
  {
    ...{ name: 'ranged', ip: '10.111.1.5', balancer: '192.0.2.5', at: '192.0.2.5:80' },
    spec: { type: 'LoadBalancer', loadBalancerSourceRanges: ['10.245.0.0/16', '203.0.113.0/24'] },
  },
]
export const CROWD = 5_000
const SPECIAL_FIRST = 4_000_000
const WAYS_FIRST = 4_010_000
const NODE_PORT_FIRST = 30_000
