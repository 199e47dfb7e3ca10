import fc from 'fast-check'
import { endpoint, node, NODES, service, slice, type Raw } from '../contract/service-objects.ts'

/**
 * Random small clusters: few names and addresses, so that everything meets everything. Each arbitrary makes one object;
 * `objectKey` says which one it replaces.
 */
export const objectKey = ({ kind, metadata }: Raw): string =>
  `${kind} ${metadata['namespace'] ?? ''}/${metadata['name']}`

const subset = <T>(values: readonly T[], maxLength = values.length) => fc.subarray([...values], { maxLength })
const maybe = <T>(value: T) => fc.option(fc.constant(value), { nil: undefined })

const CLUSTER_IPS = ['10.96.0.1', '10.96.0.2', '10.96.0.3', '172.30.0.12']
const CLUSTER_IPS6 = ['fd00:10:96::1', 'fd00:10:96::2']
const EXTERNAL = ['172.30.0.100', '172.30.0.101', '10.96.0.1', '172.30.0.11', 'fd00:172:30::100']
const VIPS = ['172.30.0.200', '172.30.0.201', 'fd00:172:30::200', '172.30.0.100']
const RANGES = ['172.30.0.0/28', '172.30.0.0/16', '10.244.0.0/16', '10.244.1.0/24', '0.0.0.0/0', 'fd00::/8', 'nonsense']
const PODS = ['10.244.1.1', '10.244.1.2', '10.244.1.3', '10.244.2.1', '10.244.2.2', '172.30.0.11', '172.30.0.12']
const PODS6 = ['fd00:10:244:1::1', 'fd00:10:244:1::2', 'fd00:10:244:2::1']
export const NAMES = ['a', 'b', 'c'] as const
export const PORTS = [80, 81, 30080] as const

const port = fc.record({
  name: fc.constantFrom('', '', '', 'x'),
  protocol: fc.constantFrom('TCP', 'TCP', 'TCP', 'UDP'),
  port: fc.constantFrom(80, 81),
  nodePort: fc.constantFrom(undefined, 30080, 30081),
})

export const anyService: fc.Arbitrary<Raw> = fc
  .record({
    name: fc.constantFrom(...NAMES),
    v4: fc.option(fc.constantFrom(...CLUSTER_IPS), { nil: undefined, freq: 8 }),
    v6: fc.option(fc.constantFrom(...CLUSTER_IPS6), { nil: undefined }),
    created: fc.constantFrom('2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z'),
    type: fc.constantFrom('ClusterIP', 'NodePort', 'LoadBalancer', 'LoadBalancer', 'ExternalName'),
    ports: fc.uniqueArray(port, { minLength: 1, maxLength: 3, selector: ({ name }) => name }),
    externalIPs: subset(EXTERNAL, 2),
    lb: subset(VIPS, 2),
    proxy: fc.boolean(),
    ranges: fc.option(subset(RANGES, 3), { nil: undefined }),
    internal: fc.constantFrom('Cluster', 'Local'),
    external: fc.constantFrom('Cluster', 'Local'),
    affinity: fc.constantFrom('None', 'ClientIP'),
    publish: maybe(true),
    label: fc.constantFrom(undefined, undefined, undefined, 'service-proxy-name', 'headless'),
    health: fc.constantFrom(undefined, 31000, 31001),
  })
  .map((any) => {
    const clusterIPs = [any.v4, any.v6].filter((ip) => ip !== undefined)
    const lb = any.lb.map((ip, i) => (any.proxy && i === 0 ? { ip, ipMode: 'Proxy' } : ip))
    const labels = any.label === undefined ? {} : { [`service.kubernetes.io/${any.label}`]: 'x' }
    const spec = {
      type: any.type,
      ports: any.ports,
      externalIPs: any.externalIPs,
      loadBalancerSourceRanges: any.ranges,
      internalTrafficPolicy: any.internal,
      externalTrafficPolicy: any.external,
      sessionAffinity: any.affinity,
      publishNotReadyAddresses: any.publish,
      healthCheckNodePort: any.health,
    }
    return service(any.name, clusterIPs, spec, { creationTimestamp: any.created, labels, lb })
  })

const condition = fc.constantFrom(undefined, true, false)
const anyEndpoint = (addresses: readonly string[]): fc.Arbitrary<Raw> =>
  fc
    .record({
      address: fc.constantFrom(...addresses),
      ready: condition,
      serving: condition,
      terminating: condition,
      hints: fc.boolean(),
      zones: subset(['zone-a', 'zone-b']),
      nodes: subset(['n1', 'n2']),
    })
    .map(({ address, ready, serving, terminating, hints, zones, nodes }) => {
      const names = (list: readonly string[]) => (list.length === 0 ? undefined : list.map((name) => ({ name })))
      const more = hints ? { hints: { forZones: names(zones), forNodes: names(nodes) } } : {}
      return endpoint(address, { ready, serving, terminating }, more)
    })

export const anySlice: fc.Arbitrary<Raw> = fc
  .record({
    name: fc.constantFrom('s1', 's2', 's3', 's4', 's5'),
    of: fc.constantFrom(...NAMES, ...NAMES, ...NAMES, 'nobody'),
    endpoints: fc.oneof(
      fc.array(anyEndpoint(PODS), { maxLength: 5 }),
      fc.array(anyEndpoint(PODS6), { minLength: 1, maxLength: 4 }),
    ),
    ports: fc.uniqueArray(
      fc.record({
        name: fc.constantFrom('', '', '', 'x'),
        protocol: fc.constantFrom('TCP', 'TCP', 'TCP', 'UDP'),
        port: fc.constantFrom(8080, 8081),
      }),
      { minLength: 1, maxLength: 3, selector: ({ name }) => name },
    ),
  })
  .map(({ name, of, endpoints, ports }) => slice(name, of, endpoints, ports))

export const anyNode: fc.Arbitrary<Raw> = fc.oneof(
  fc.constantFrom(...NODES),
  fc.constantFrom(
    node('n1', ['172.30.0.11'], ['10.244.1.0/24'], null),
    node('n1', ['172.30.0.13', 'fd00:172:30::11'], ['10.244.1.0/24', 'fd00:10:244:1::/64'], 'zone-b'),
    node('n2', ['10.96.0.3'], ['10.244.2.0/24'], 'zone-b'),
  ),
)

export const anyCIDR: fc.Arbitrary<Raw> = fc
  .tuple(fc.constantFrom('one', 'two'), subset(['10.96.0.0/16', '10.96.0.0/24', '10.0.0.0/8', 'fd00:10:96::/112'], 2))
  .filter(([, cidrs]) => cidrs.length > 0)
  .map(([name, cidrs]) => ({
    ...{ apiVersion: 'networking.k8s.io/v1', kind: 'ServiceCIDR', metadata: { name } },
    spec: { cidrs },
  }))

export const anyObject = fc.oneof(
  { weight: 4, arbitrary: anyService },
  { weight: 6, arbitrary: anySlice },
  { weight: 1, arbitrary: anyNode },
  { weight: 1, arbitrary: anyCIDR },
)

const OTHERS = ['10.96.0.77', '10.97.0.1', '172.30.0.13', 'fd00:172:30::11']
const SENDERS = [...PODS, ...PODS6, '172.30.0.1', '172.30.0.200', '172.30.0.99', 'fd00:172:30::1', 'fd00:172:30::11']
/** `open`: which of the open frontends it is sent to, of its family; null: to `dst` and `port`, open or not. */
export const anyPacket = fc
  .record({
    src: fc.constantFrom(...SENDERS),
    open: fc.option(fc.nat(1000)),
    dst: fc.constantFrom(...new Set([...CLUSTER_IPS, ...CLUSTER_IPS6, ...EXTERNAL, ...VIPS, ...OTHERS])),
    protocol: fc.constantFrom('tcp' as const, 'udp' as const),
    port: fc.constantFrom(...PORTS),
  })
  .filter(({ src, dst }) => src.includes(':') === dst.includes(':'))
