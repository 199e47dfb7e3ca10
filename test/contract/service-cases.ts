/**
 * What a service proxy on node n1 does with the first packet of a connection. One list for every target: the fake, and
 * real kernels. Behaviours of Kubernetes' e2e tests and of kube-proxy's unit families; each name says which.
 */
import type { Packet, Route } from '../../src/service/fake.ts'
import { endpoint, GONE, READY, service, slice, TERMINATING, UNREADY, type Raw } from './service-objects.ts'
import { dnat, DROP, NODE, NODE6, OUTSIDE, OUTSIDE6, PASS, POD, POD6, REJECT, REMOTE_POD } from './service-room.ts'

export interface ServiceCase {
  readonly name: string
  /** Beside NODES and SERVICE_CIDR. */
  readonly objects: readonly Raw[]
  /** On whose behalf the rows are derived. */
  readonly node: string
  readonly packets: readonly (Packet & { readonly expect: Route })[]
}

const IP = '10.96.0.10'
const IP6 = 'fd00:10:96::10'
const VIP = '172.30.0.200'
const VIP6 = 'fd00:172:30::200'
const EXTERNAL = '172.30.0.100'
const PODS = ['10.244.1.10', '10.244.1.11', '10.244.2.10', '10.244.2.11'] as const
const [A1, A2, B1, B2] = PODS
const [A6, B6] = ['fd00:10:244:1::10', 'fd00:10:244:2::10'] as const
const at = (ip: string, port = 8080) => (ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`)
const both = [at(A1), at(B1)]

const tcp = (src: string, dst: string, port: number, expect: Route) =>
  ({ src, dst, protocol: 'tcp', port, expect }) as const
const udp = (src: string, dst: string, port: number, expect: Route) =>
  ({ src, dst, protocol: 'udp', port, expect }) as const
const sctp = (src: string, dst: string, port: number, expect: Route) =>
  ({ src, dst, protocol: 'sctp', port, expect }) as const
const of = (name: string, objects: readonly Raw[], packets: ServiceCase['packets']): ServiceCase => ({
  name,
  objects,
  node: 'n1',
  packets,
})

const nodePort = (more: Raw = {}) => ({
  type: 'NodePort',
  ports: [{ port: 80, targetPort: 8080, nodePort: 30080 }],
  ...more,
})
const loadBalancer = (more: Raw = {}) => ({ ...nodePort(), type: 'LoadBalancer', ...more })
const pair = slice('web-1', 'web', [endpoint(A1), endpoint(B1)])
const remoteOnly = slice('web-1', 'web', [endpoint(B1), endpoint(B2)])

export const serviceCases: readonly ServiceCase[] = [
  of(
    'ClusterIP: from a pod, the node, another node and outside',
    [service('web', [IP]), pair],
    [
      tcp(POD, IP, 80, dnat(both)),
      tcp(NODE, IP, 80, dnat(both, true)),
      tcp(REMOTE_POD, IP, 80, dnat(both, true)),
      tcp(OUTSIDE, IP, 80, dnat(both, true)),
    ],
  ),
  of(
    'hairpin: a pod that reaches itself is masqueraded, on its way to others it is not',
    [service('web', [IP]), pair],
    [tcp(A1, IP, 80, dnat(both, false, at(A1)))],
  ),
  of(
    'wrong port of a live ClusterIP is refused, an unallocated address dropped, others left alone',
    [service('web', [IP]), pair],
    [
      tcp(POD, IP, 81, REJECT),
      udp(POD, IP, 80, REJECT),
      tcp(POD, '10.96.0.99', 80, DROP),
      tcp(OUTSIDE, '10.96.0.99', 80, DROP),
      tcp(POD, 'fd00:10:96::99', 80, DROP),
      tcp(POD, B1, 80, PASS),
      tcp(POD, '172.30.0.12', 22, PASS),
    ],
  ),
  of(
    'no endpoints: refused on every address',
    [service('web', [IP], loadBalancer({ externalIPs: [EXTERNAL] }), { lb: [VIP] })],
    [
      tcp(POD, IP, 80, REJECT),
      tcp(OUTSIDE, NODE, 30080, REJECT),
      tcp(OUTSIDE, VIP, 80, REJECT),
      tcp(OUTSIDE, EXTERNAL, 80, REJECT),
    ],
  ),
  of(
    'only unready endpoints: refused',
    [service('web', [IP]), slice('web-1', 'web', [endpoint(A1, UNREADY), endpoint(B1, GONE)])],
    [tcp(POD, IP, 80, REJECT)],
  ),
  of(
    'unready endpoints get nothing while another is ready',
    [service('web', [IP]), slice('web-1', 'web', [endpoint(A1, UNREADY), endpoint(B1, READY)])],
    [tcp(POD, IP, 80, dnat([at(B1)]))],
  ),
  of(
    'nil conditions: ready',
    [service('web', [IP]), slice('web-1', 'web', [endpoint(A1, {})])],
    [tcp(POD, IP, 80, dnat([at(A1)]))],
  ),
  of(
    'same port on TCP, UDP and SCTP',
    [
      service('web', [IP], {
        ports: [
          { name: 't', port: 53, protocol: 'TCP' },
          { name: 'u', port: 53, protocol: 'UDP' },
          { name: 's', port: 53, protocol: 'SCTP' },
        ],
      }),
      slice(
        'web-1',
        'web',
        [endpoint(A1)],
        [
          { name: 't', port: 1053 },
          { name: 'u', port: 2053, protocol: 'UDP' },
          { name: 's', port: 3053, protocol: 'SCTP' },
        ],
      ),
    ],
    [
      tcp(POD, IP, 53, dnat([at(A1, 1053)])),
      udp(POD, IP, 53, dnat([at(A1, 2053)])),
      sctp(POD, IP, 53, dnat([at(A1, 3053)])),
    ],
  ),
  of(
    'multiport: each port by its name, to another number in each slice',
    [
      service('web', [IP], {
        ports: [
          { name: 'http', port: 80 },
          { name: 'admin', port: 9000 },
          { name: 'none', port: 9001 },
        ],
      }),
      slice(
        'web-1',
        'web',
        [endpoint(A1)],
        [
          { name: 'http', port: 8080 },
          { name: 'admin', port: 9100 },
        ],
      ),
      slice('web-2', 'web', [endpoint(B1)], [{ name: 'http', port: 8081 }]),
    ],
    [
      tcp(POD, IP, 80, dnat([at(A1, 8080), at(B1, 8081)])),
      tcp(POD, IP, 9000, dnat([at(A1, 9100)])),
      tcp(POD, IP, 9001, REJECT),
    ],
  ),
  of(
    'dual stack: each family on its own',
    [
      service('web', [IP, IP6], loadBalancer(), { lb: [VIP, VIP6] }),
      pair,
      slice('web-6', 'web', [endpoint(A6), endpoint(B6)]),
    ],
    [
      tcp(POD, IP, 80, dnat(both)),
      tcp(POD6, IP6, 80, dnat([at(A6), at(B6)])),
      tcp(OUTSIDE6, IP6, 80, dnat([at(A6), at(B6)], true)),
      tcp(OUTSIDE6, NODE6, 30080, dnat([at(A6), at(B6)], true)),
      tcp(OUTSIDE6, VIP6, 80, dnat([at(A6), at(B6)], true)),
      tcp(A6, IP6, 80, dnat([at(A6), at(B6)], false, at(A6))),
    ],
  ),
  of(
    'dual stack: a family without endpoints is refused',
    [service('web', [IP, IP6]), pair],
    [tcp(POD, IP, 80, dnat(both)), tcp(POD6, IP6, 80, REJECT)],
  ),
  of(
    'single stack IPv4: no node port in IPv6',
    [service('web', [IP], nodePort()), pair, slice('web-6', 'web', [endpoint(A6)])],
    [tcp(OUTSIDE, NODE, 30080, dnat(both, true)), tcp(OUTSIDE6, NODE6, 30080, PASS)],
  ),
  of(
    'NodePort, Cluster policy: always masqueraded',
    [service('web', [IP], nodePort()), pair],
    [
      tcp(OUTSIDE, NODE, 30080, dnat(both, true)),
      tcp(POD, NODE, 30080, dnat(both, true)),
      tcp(NODE, NODE, 30080, dnat(both, true)),
      tcp(REMOTE_POD, NODE, 30080, dnat(both, true)),
      tcp(POD, IP, 80, dnat(both)),
      tcp(OUTSIDE, '172.30.0.12', 30080, PASS),
      tcp(OUTSIDE, NODE, 80, PASS),
      tcp(POD, IP, 30080, REJECT),
    ],
  ),
  of(
    'NodePort, Local policy: outside stays local with its address, pods and the node reach all',
    [service('web', [IP], nodePort({ externalTrafficPolicy: 'Local' })), pair],
    [
      tcp(OUTSIDE, NODE, 30080, dnat([at(A1)])),
      tcp(REMOTE_POD, NODE, 30080, dnat([at(A1)])),
      tcp(POD, NODE, 30080, dnat(both)),
      tcp(A1, NODE, 30080, dnat(both, false, at(A1))),
      tcp(NODE, NODE, 30080, dnat(both, true)),
      tcp(OUTSIDE, IP, 80, dnat(both, true)),
    ],
  ),
  of(
    'Local policy without a local endpoint: outside is dropped, pods and the node reach the others',
    [service('web', [IP], loadBalancer({ externalTrafficPolicy: 'Local' }), { lb: [VIP] }), remoteOnly],
    [
      tcp(OUTSIDE, NODE, 30080, DROP),
      tcp(OUTSIDE, VIP, 80, DROP),
      tcp(POD, NODE, 30080, dnat([at(B1), at(B2)])),
      tcp(POD, VIP, 80, dnat([at(B1), at(B2)])),
      tcp(NODE, VIP, 80, dnat([at(B1), at(B2)], true)),
      tcp(POD, IP, 80, dnat([at(B1), at(B2)])),
    ],
  ),
  of(
    'Local policy without any endpoint: refused',
    [service('web', [IP], loadBalancer({ externalTrafficPolicy: 'Local' }), { lb: [VIP] })],
    [tcp(OUTSIDE, NODE, 30080, REJECT), tcp(OUTSIDE, VIP, 80, REJECT), tcp(POD, VIP, 80, REJECT)],
  ),
  of(
    'LoadBalancer, Cluster policy, reached from everywhere',
    [service('web', [IP], loadBalancer(), { lb: [VIP] }), pair],
    [
      tcp(OUTSIDE, VIP, 80, dnat(both, true)),
      tcp(POD, VIP, 80, dnat(both, true)),
      tcp(NODE, VIP, 80, dnat(both, true)),
      tcp(OUTSIDE, VIP, 81, PASS),
    ],
  ),
  of(
    'LoadBalancer, Local policy: pods reach the address too',
    [service('web', [IP], loadBalancer({ externalTrafficPolicy: 'Local' }), { lb: [VIP] }), pair],
    [tcp(OUTSIDE, VIP, 80, dnat([at(A1)])), tcp(POD, VIP, 80, dnat(both)), tcp(NODE, VIP, 80, dnat(both, true))],
  ),
  of(
    'LoadBalancer without node ports (allocateLoadBalancerNodePorts: false)',
    [service('web', [IP], { type: 'LoadBalancer', allocateLoadBalancerNodePorts: false }, { lb: [VIP] }), pair],
    [tcp(OUTSIDE, VIP, 80, dnat(both, true)), tcp(OUTSIDE, NODE, 30080, PASS)],
  ),
  of(
    'ipMode Proxy: the address is not captured, node port and ClusterIP are (LoadBalancerIngressRouteTypeProxy)',
    [service('web', [IP], loadBalancer(), { lb: [{ ip: VIP, ipMode: 'Proxy' }] }), pair],
    [
      tcp(POD, VIP, 80, PASS),
      tcp(OUTSIDE, VIP, 80, PASS),
      tcp(POD, IP, 80, dnat(both)),
      tcp(OUTSIDE, NODE, 30080, dnat(both, true)),
    ],
  ),
  of(
    'ipMode VIP is the default',
    [service('web', [IP], loadBalancer(), { lb: [{ ip: VIP, ipMode: 'VIP' }] }), pair],
    [tcp(OUTSIDE, VIP, 80, dnat(both, true))],
  ),
  of(
    'source ranges: filter the load balancer address only',
    [
      service(
        'web',
        [IP],
        loadBalancer({ externalIPs: [EXTERNAL], loadBalancerSourceRanges: [' 172.30.0.0/29 ', '203.0.113.0/25'] }),
        { lb: [VIP] },
      ),
      pair,
    ],
    [
      tcp(OUTSIDE, VIP, 80, dnat(both, true)),
      tcp('172.30.0.9', VIP, 80, DROP),
      tcp(POD, VIP, 80, DROP),
      tcp(NODE, VIP, 80, DROP),
      tcp(VIP, VIP, 80, DROP),
      tcp('172.30.0.9', EXTERNAL, 80, dnat(both, true)),
      tcp('172.30.0.9', NODE, 30080, dnat(both, true)),
      tcp(POD, IP, 80, dnat(both)),
    ],
  ),
  of(
    'source ranges with the node in them: it may use the address itself as its source',
    [service('web', [IP], loadBalancer({ loadBalancerSourceRanges: ['172.30.0.11/32'] }), { lb: [VIP] }), pair],
    [tcp(NODE, VIP, 80, dnat(both, true)), tcp(VIP, VIP, 80, dnat(both, true)), tcp(OUTSIDE, VIP, 80, DROP)],
  ),
  of(
    'source ranges of one family close the address of the other',
    [
      service('web', [IP, IP6], loadBalancer({ loadBalancerSourceRanges: ['0.0.0.0/0'] }), { lb: [VIP, VIP6] }),
      ...[pair, slice('web-6', 'web', [endpoint(A6)])],
    ],
    [
      tcp(OUTSIDE, VIP, 80, dnat(both, true)),
      tcp(OUTSIDE6, VIP6, 80, DROP),
      tcp(OUTSIDE6, NODE6, 30080, dnat([at(A6)], true)),
    ],
  ),
  of(
    'source ranges that are all invalid let nobody in',
    [service('web', [IP], loadBalancer({ loadBalancerSourceRanges: ['everybody'] }), { lb: [VIP] }), pair],
    [tcp(OUTSIDE, VIP, 80, DROP), tcp(POD, IP, 80, dnat(both))],
  ),
  of(
    'source ranges, Local policy: both hold',
    [
      service(
        'web',
        [IP],
        loadBalancer({ externalTrafficPolicy: 'Local', loadBalancerSourceRanges: ['172.30.0.1/32', '10.244.1.0/24'] }),
        { lb: [VIP] },
      ),
      pair,
    ],
    [
      tcp(OUTSIDE, VIP, 80, dnat([at(A1)])),
      tcp('172.30.0.9', VIP, 80, DROP),
      tcp(POD, VIP, 80, dnat(both)),
      tcp(NODE, VIP, 80, DROP),
    ],
  ),
  of(
    'externalIPs',
    [service('web', [IP], { externalIPs: [EXTERNAL] }), pair],
    [
      tcp(OUTSIDE, EXTERNAL, 80, dnat(both, true)),
      tcp(POD, EXTERNAL, 80, dnat(both, true)),
      tcp(OUTSIDE, EXTERNAL, 81, PASS),
    ],
  ),
  of(
    'externalIPs, Local policy',
    [service('web', [IP], { externalIPs: [EXTERNAL], externalTrafficPolicy: 'Local' }), pair],
    [
      tcp(OUTSIDE, EXTERNAL, 80, dnat([at(A1)])),
      tcp(POD, EXTERNAL, 80, dnat(both)),
      tcp(NODE, EXTERNAL, 80, dnat(both, true)),
    ],
  ),
  of(
    'an externalIP that is an address of this node captures only the port of the Service',
    [service('web', [IP], { externalIPs: [NODE] }), pair],
    [tcp(OUTSIDE, NODE, 80, dnat(both, true)), tcp(OUTSIDE, NODE, 22, PASS)],
  ),
  of(
    'internalTrafficPolicy Local: local endpoints only; external paths use all',
    [service('web', [IP], nodePort({ internalTrafficPolicy: 'Local' })), pair],
    [
      tcp(POD, IP, 80, dnat([at(A1)])),
      tcp(NODE, IP, 80, dnat([at(A1)], true)),
      tcp(OUTSIDE, NODE, 30080, dnat(both, true)),
    ],
  ),
  of(
    'internalTrafficPolicy Local without a local endpoint: dropped; external paths still work',
    [service('web', [IP], nodePort({ internalTrafficPolicy: 'Local' })), remoteOnly],
    [tcp(POD, IP, 80, DROP), tcp(NODE, IP, 80, DROP), tcp(OUTSIDE, NODE, 30080, dnat([at(B1), at(B2)], true))],
  ),
  of(
    'internalTrafficPolicy Local without any endpoint: refused',
    [service('web', [IP], { internalTrafficPolicy: 'Local' })],
    [tcp(POD, IP, 80, REJECT)],
  ),
  of(
    'both policies Local',
    [service('web', [IP], nodePort({ internalTrafficPolicy: 'Local', externalTrafficPolicy: 'Local' })), pair],
    [tcp(POD, IP, 80, dnat([at(A1)])), tcp(OUTSIDE, NODE, 30080, dnat([at(A1)])), tcp(POD, NODE, 30080, dnat(both))],
  ),
  of(
    'a host network pod of this node as an endpoint',
    [service('web', [IP], { internalTrafficPolicy: 'Local' }), slice('web-1', 'web', [endpoint(NODE)])],
    [tcp(POD, IP, 80, dnat([at(NODE)])), tcp(NODE, IP, 80, dnat([at(NODE)], true))],
  ),
  of(
    'all endpoints terminating: those that still serve get the traffic (KEP-1669)',
    [
      service('web', [IP], nodePort()),
      slice('web-1', 'web', [
        endpoint(A1, TERMINATING),
        endpoint(A2, GONE),
        endpoint(B1, TERMINATING),
        endpoint(B2, UNREADY),
      ]),
    ],
    [tcp(POD, IP, 80, dnat(both)), tcp(OUTSIDE, NODE, 30080, dnat(both, true))],
  ),
  of(
    'a ready endpoint: terminating ones get nothing new',
    [service('web', [IP]), slice('web-1', 'web', [endpoint(A1, TERMINATING), endpoint(B1, READY)])],
    [tcp(POD, IP, 80, dnat([at(B1)]))],
  ),
  of(
    'serving, but neither ready nor terminating: no fallback',
    [service('web', [IP]), slice('web-1', 'web', [endpoint(A1, { ready: false, serving: true, terminating: false })])],
    [tcp(POD, IP, 80, REJECT)],
  ),
  of(
    'Local policy falls back to local terminating endpoints although others are ready elsewhere',
    [
      service('web', [IP], nodePort({ externalTrafficPolicy: 'Local' })),
      slice('web-1', 'web', [endpoint(A1, TERMINATING), endpoint(A2, UNREADY), endpoint(B1, READY)]),
    ],
    [
      tcp(OUTSIDE, NODE, 30080, dnat([at(A1)])),
      tcp(POD, NODE, 30080, dnat([at(B1)])),
      tcp(POD, IP, 80, dnat([at(B1)])),
    ],
  ),
  of(
    'internal Local policy falls back the same way',
    [
      service('web', [IP], { internalTrafficPolicy: 'Local' }),
      slice('web-1', 'web', [endpoint(A1, TERMINATING), endpoint(B1, READY)]),
    ],
    [tcp(POD, IP, 80, dnat([at(A1)]))],
  ),
  of(
    'Local policy: remote terminating endpoints are endpoints elsewhere',
    [
      service('web', [IP], nodePort({ externalTrafficPolicy: 'Local', internalTrafficPolicy: 'Local' })),
      slice('web-1', 'web', [endpoint(B1, TERMINATING)]),
    ],
    [tcp(OUTSIDE, NODE, 30080, DROP), tcp(POD, IP, 80, DROP), tcp(POD, NODE, 30080, dnat([at(B1)]))],
  ),
  of(
    'Local policy: endpoints that only fail elsewhere are none',
    [
      service('web', [IP], nodePort({ externalTrafficPolicy: 'Local' })),
      slice('web-1', 'web', [endpoint(B1, UNREADY)]),
    ],
    [tcp(OUTSIDE, NODE, 30080, REJECT)],
  ),
  of(
    'publishNotReadyAddresses: unready and terminating pods are served',
    [
      service('web', [IP], { publishNotReadyAddresses: true }),
      slice('web-1', 'web', [endpoint(A1, UNREADY), endpoint(B1, GONE)]),
    ],
    [tcp(POD, IP, 80, dnat(both))],
  ),
  of(
    'zone hints: this zone only',
    [
      service('web', [IP]),
      slice('web-1', 'web', [hinted(A1, ['zone-a']), hinted(A2, ['zone-b']), hinted(B1, ['zone-a', 'zone-b'])]),
    ],
    [tcp(POD, IP, 80, dnat([at(A1), at(B1)]))],
  ),
  of(
    'zone hints: none for this zone, so all',
    [service('web', [IP]), slice('web-1', 'web', [hinted(A1, ['zone-c']), hinted(B1, ['zone-b'])])],
    [tcp(POD, IP, 80, dnat(both))],
  ),
  of(
    'zone hints: one is missing, so all',
    [service('web', [IP]), slice('web-1', 'web', [hinted(A1, ['zone-a']), endpoint(B1)])],
    [tcp(POD, IP, 80, dnat(both))],
  ),
  of(
    'node hints go before zone hints',
    [
      service('web', [IP]),
      slice('web-1', 'web', [
        hinted(A1, ['zone-a'], ['n1']),
        hinted(A2, ['zone-a'], ['n2']),
        hinted(B1, ['zone-a'], ['n2']),
      ]),
    ],
    [tcp(POD, IP, 80, dnat([at(A1)]))],
  ),
  of(
    'node hints: none for this node, so the zone',
    [service('web', [IP]), slice('web-1', 'web', [hinted(A1, ['zone-a'], ['n2']), hinted(B1, ['zone-b'], ['n2'])])],
    [tcp(POD, IP, 80, dnat([at(A1)]))],
  ),
  of(
    'Local policy ignores hints',
    [
      service('web', [IP], nodePort({ externalTrafficPolicy: 'Local' })),
      slice('web-1', 'web', [hinted(A1, ['zone-b']), hinted(B1, ['zone-a'])]),
    ],
    [tcp(OUTSIDE, NODE, 30080, dnat([at(A1)])), tcp(POD, NODE, 30080, dnat([at(B1)]))],
  ),
  of(
    'Services of others: headless, ExternalName, by label',
    [
      service('none', ['None'], { clusterIP: 'None' }),
      service('name', [], { type: 'ExternalName', externalName: 'example.org' }),
      service('other', ['10.96.0.21'], {}, { labels: { 'service.kubernetes.io/service-proxy-name': 'another' } }),
      service('hidden', ['10.96.0.22'], {}, { labels: { 'service.kubernetes.io/headless': '' } }),
      ...['none', 'name', 'other', 'hidden'].map((name) => slice(`${name}-1`, name, [endpoint(A1)])),
    ],
    [tcp(POD, '10.96.0.21', 80, DROP), tcp(POD, '10.96.0.22', 80, DROP)],
  ),
  of(
    'an endpoint in two slices counts once, as the readier',
    [
      service('web', [IP]),
      slice('web-1', 'web', [endpoint(A1, UNREADY), endpoint(B1)]),
      slice('web-2', 'web', [endpoint(A1, READY)]),
    ],
    [tcp(POD, IP, 80, dnat(both))],
  ),
  of('slices of unknown Services do nothing', [slice('lost-1', 'lost', [endpoint(A1)])], [tcp(POD, IP, 80, DROP)]),
  of(
    'a node port that two Services want is the older one’s; the other keeps its ClusterIP',
    [
      service('web', [IP], nodePort(), { creationTimestamp: '2026-01-02T00:00:00Z' }),
      ...[pair, service('older', ['10.96.0.11'], nodePort()), slice('older-1', 'older', [endpoint(A2)])],
    ],
    [
      tcp(OUTSIDE, NODE, 30080, dnat([at(A2)], true)),
      tcp(POD, IP, 80, dnat(both)),
      tcp(POD, '10.96.0.11', 80, dnat([at(A2)])),
    ],
  ),
  of(
    'a ClusterIP that two Services want is the older one’s, port by port',
    [
      service(
        'web',
        [IP],
        { ports: [{ port: 80 }, { name: 'own', port: 81 }] },
        { creationTimestamp: '2026-01-02T00:00:00Z' },
      ),
      slice('web-1', 'web', [endpoint(A1)], [{ port: 8080 }, { name: 'own', port: 8081 }]),
      ...[service('older', [IP]), slice('older-1', 'older', [endpoint(A2)])],
    ],
    [tcp(POD, IP, 80, dnat([at(A2)])), tcp(POD, IP, 81, dnat([at(A1, 8081)])), tcp(POD, IP, 82, REJECT)],
  ),
  of(
    'an externalIP does not take another Service’s ClusterIP, however old',
    [
      service('web', [IP], {}, { creationTimestamp: '2026-01-02T00:00:00Z' }),
      ...[pair, service('thief', ['10.96.0.11'], { externalIPs: [IP] }), slice('thief-1', 'thief', [endpoint(A2)])],
    ],
    [tcp(POD, IP, 80, dnat(both))],
  ),
  of(
    'a ClusterIP that is the address of a node is not served',
    [service('web', [NODE], nodePort()), pair],
    [tcp(OUTSIDE, NODE, 80, PASS), tcp(OUTSIDE, NODE, 22, PASS), tcp(OUTSIDE, NODE, 30080, dnat(both, true))],
  ),
  of(
    '200 endpoints: any of them (a sparse set)',
    [service('web', [IP], nodePort()), ...crowd(200)],
    [tcp(POD, IP, 80, dnat(crowdAddresses(200))), tcp(OUTSIDE, NODE, 30080, dnat(crowdAddresses(200), true))],
  ),
]

function hinted(address: string, zones: readonly string[], nodes: readonly string[] = []): Raw {
  const forNodes = nodes.length === 0 ? {} : { forNodes: nodes.map((name) => ({ name })) }
  return endpoint(address, READY, { hints: { forZones: zones.map((name) => ({ name })), ...forNodes } })
}

/** `count` endpoints on few pods: each slice has a port of its own. */
function crowd(count: number): Raw[] {
  return Array.from({ length: count / PODS.length }, (_, i) =>
    slice(
      `web-${i}`,
      'web',
      PODS.map((ip) => endpoint(ip)),
      [{ port: 9000 + i }],
    ),
  )
}

function crowdAddresses(count: number): string[] {
  return Array.from({ length: count }, (_, i) => at(PODS[i % PODS.length]!, 9000 + Math.floor(i / PODS.length)))
}
