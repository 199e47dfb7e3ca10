/** What changes of objects do to the rows: live toggles, single endpoints, contests, what is reported. */
import t from 'tap'
import { parseEndpointSlice } from '../../src/cluster/endpointslice.ts'
import { parseService } from '../../src/cluster/service.ts'
import { createTables } from '../../src/cluster/tables.ts'
import { Graph } from '../../src/core/graph.ts'
import { claimsOf } from '../../src/service/claims.ts'
import { countNoLocal, countPorts } from '../../src/service/counts.ts'
import { deriveServices } from '../../src/service/derive.ts'
import { DEFAULT_OPTIONS } from '../../src/service/options.ts'
import { plan } from '../../src/service/plan.ts'
import {
  endpoint,
  GONE,
  node,
  NODES,
  READY,
  service,
  SERVICE_CIDR,
  slice,
  TERMINATING,
  UNREADY,
} from '../contract/service-objects.ts'
import { dnat, DROP, NODE, OUTSIDE, PASS, POD, REJECT, Room, tcp } from '../contract/service-room.ts'

const IP = '10.96.0.10'
const [A1, A2, B1] = ['10.244.1.10', '10.244.1.11', '10.244.2.10'] as const
const web = service('web', [IP])
const pods = (...ips: readonly string[]) =>
  slice(
    'web-1',
    'web',
    ips.map((ip) => endpoint(ip)),
  )
const at = (...ips: readonly string[]) => ips.map((ip) => `${ip}:8080`)

t.test('rows of one small Service', (t) => {
  const room = new Room().put(web, pods(A1, B1))
  const here = { ip: IP, protocol: 'tcp', port: 80 }
  const rows = Object.fromEntries(room.rows())
  const pool = (rows[`f ${IP} tcp 80`] as { pool: number }).pool
  t.ok(pool > 0)
  const places = [0, 1].map((slot) => rows[`s ${IP} tcp 80 ${slot}`] as { ip: string })
  t.same(places.map(({ ip }) => ip).sort(), [A1, B1])
  t.strictSame(rows, {
    [`a ${IP}`]: { kind: 'address', ip: IP },
    [`f ${IP} tcp 80`]: {
      ...{ kind: 'frontend', ...here, scope: 'cluster', slots: 2, local: null, mainEmpty: 'reject' },
      ...{ localEmpty: 'reject', affinity: 0, pool, filtered: false, service: 'shop/web' },
    },
    [`s ${IP} tcp 80 0`]: { kind: 'slot', at: here, set: 'main', slot: 0, ip: places[0]!.ip, port: 8080, id: 0 },
    [`s ${IP} tcp 80 1`]: { kind: 'slot', at: here, set: 'main', slot: 1, ip: places[1]!.ip, port: 8080, id: 0 },
    [`h ${A1}`]: { kind: 'hairpin', ip: A1 },
    'r pods 10.244.1.0/24': { kind: 'range', set: 'pods', cidr: '10.244.1.0/24' },
    'r pods fd00:10:244:1::/64': { kind: 'range', set: 'pods', cidr: 'fd00:10:244:1::/64' },
    'r services 10.96.0.0/16': { kind: 'range', set: 'services', cidr: '10.96.0.0/16' },
    'r services fd00:10:96::/112': { kind: 'range', set: 'services', cidr: 'fd00:10:96::/112' },
  })
  t.end()
})

t.test('the slots of a frontend share one address object', (t) => {
  const room = new Room().put(web, pods(A1, A2, B1))
  const slots = [...room.rows().values()].flatMap((row) => (row.kind === 'slot' ? [row.at] : []))
  t.equal(slots.length, 3)
  t.equal(new Set(slots).size, 1)
  t.end()
})

t.test('endpoints come, change and go (UpdateEndpointsMap)', (t) => {
  const room = new Room().put(web)
  const to = () => room.route(tcp(POD, IP))
  t.same(to(), REJECT)
  t.same(room.put(pods(A1)) && to(), dnat(at(A1)))
  t.same(room.put(pods(A1, B1)) && to(), dnat(at(A1, B1)))
  t.same(room.put(slice('web-2', 'web', [endpoint(A2)])) && to(), dnat(at(A1, A2, B1)), 'a second slice')
  t.same(room.drop(pods()) && to(), dnat(at(A2)), 'the first slice is gone')
  t.same(room.put(slice('web-2', 'web', [endpoint(A2)], [{ port: 9090 }])) && to(), dnat([`${A2}:9090`]), 'renumbered')
  t.same(room.put(slice('web-2', 'web', [endpoint(A2)], [{ name: 'x', port: 9090 }])) && to(), REJECT, 'renamed')
  t.same(room.put(slice('web-2', 'other', [endpoint(A2)])) && to(), REJECT, 'given to another Service')
  t.same(room.put(slice('web-2', 'web', [endpoint(A2)])) && to(), dnat(at(A2)), 'and back')
  t.same(room.drop(web) && to(), DROP, 'the Service is gone')
  t.same(room.put(web) && to(), dnat(at(A2)), 'and comes back')
  t.end()
})

t.test('one endpoint more: one row more, and the frontend that counts it', (t) => {
  const room = new Room().put(web, service('other', ['10.96.0.11']), pods(A1, B1))
  room.settle()
  const { put, drop } = room.put(pods(A1, A2, B1)).settle()
  t.ok(put.includes(`f ${IP} tcp 80`) && put.includes(`h ${A2}`))
  t.ok(put.length <= 5 && put.every((key) => key.includes(IP) || key === `h ${A2}`), put.join(', '))
  t.same(drop, [])
  t.same(room.put(pods(A1, A2, B1)).settle(), { put: [], drop: [] }, 'the same again is no change')
  t.end()
})

t.test('one endpoint of 5,000 more: a few rows, frontends untouched', (t) => {
  const many = Array.from({ length: 50 }, (_, i) =>
    slice(
      `web-${i}`,
      'web',
      Array.from({ length: 100 }, (_, j) => endpoint(`10.245.${i}.${j}`)),
    ),
  )
  const room = new Room().put(web, ...many)
  room.settle()
  const { put, drop } = room.put(slice('web-x', 'web', [endpoint('10.246.0.1')])).settle()
  t.ok(put.length < 30 && drop.length < 30, `${put.length} put, ${drop.length} dropped`)
  t.ok(put.every((key) => key.startsWith(`s ${IP}`)))
  t.end()
})

t.test('large sets under Local policy: each set has its own endpoints, small or large', (t) => {
  const range = (prefix: string, count: number) => Array.from({ length: count }, (_, i) => `${prefix}.${i + 1}`)
  const spec = { type: 'NodePort', externalTrafficPolicy: 'Local', ports: [{ port: 80, nodePort: 30080 }] }
  for (const here of [10, 140]) {
    const [local, remote] = [range('10.244.1', here), range('10.244.2', 150)]
    const room = new Room().put(service('web', [IP], spec), pods(...local, ...remote))
    t.same(room.route(tcp(OUTSIDE, NODE, 30080)), dnat(at(...local)))
    t.same(room.route(tcp('172.30.0.11', NODE, 30080)), dnat(at(...local, ...remote), true))
    const slots = [...room.rows().values()].filter((row) => row.kind === 'slot')
    const count = (ip: string, set: string) => slots.filter((row) => row.at.ip === ip && row.set === set).length
    t.equal(count(NODE, 'local'), here > 128 ? here + 1 : here)
    t.equal(count(NODE, 'main'), here + 151)
    t.equal(count(IP, 'main'), here + 151)
    t.equal(count(IP, 'local'), 0)
  }
  t.end()
})

t.test('large sets of two ports are kept apart; endpoints have ids only for affinity', (t) => {
  const ips = Array.from({ length: 150 }, (_, i) => `10.244.2.${i + 1}`)
  const both = (http: number, admin: number) => [
    { name: 'http', port: http },
    { name: 'admin', port: admin },
  ]
  const endpoints = slice(
    'web-1',
    'web',
    ips.map((ip) => endpoint(ip)),
    both(8080, 9090),
  )
  const room = new Room().put(service('web', [IP], { ports: both(80, 90) }), endpoints)
  t.same(room.route(tcp(POD, IP, 80)), dnat(at(...ips)))
  t.same(room.route(tcp(POD, IP, 90)), dnat(ips.map((ip) => `${ip}:9090`)))
  const ids = () => [...room.rows().values()].flatMap((row) => (row.kind === 'slot' ? [row.id] : []))
  t.equal(ids().length, 302)
  t.ok(ids().every((id) => id === 0))
  room.put(service('web', [IP], { ports: both(80, 90), sessionAffinity: 'ClientIP' }))
  t.ok(ids().every((id) => id > 0))
  t.end()
})

t.test('labels toggle a Service live', (t) => {
  const room = new Room().put(web, pods(A1))
  for (const label of ['service-proxy-name', 'headless']) {
    t.same(room.route(tcp(POD, IP)), dnat(at(A1)))
    const labels = { [`service.kubernetes.io/${label}`]: 'x' }
    t.same(room.put(service('web', [IP], {}, { labels })).route(tcp(POD, IP)), DROP, label)
    t.notOk(
      [...room.rows().keys()].some((key) => key.includes(IP) || key === `h ${A1}`),
      'no row is left',
    )
    room.put(web)
  }
  t.end()
})

t.test('another proxy’s name: only its Services are served', (t) => {
  const labels = { 'service.kubernetes.io/service-proxy-name': 'mine' }
  const room = new Room({ proxyName: 'mine' }).put(web, pods(A1), service('own', ['10.96.0.11'], {}, { labels }))
  t.same(room.route(tcp(POD, IP)), DROP)
  t.same(room.route(tcp(POD, '10.96.0.11')), REJECT)
  t.end()
})

t.test('type changes: ClusterIP, NodePort, LoadBalancer, ExternalName and back', (t) => {
  const room = new Room().put(web, pods(A1))
  const ports = [{ port: 80, nodePort: 30080 }]
  t.same(room.route(tcp(OUTSIDE, NODE, 30080)), PASS)
  room.put(service('web', [IP], { type: 'NodePort', ports }))
  t.same(room.route(tcp(OUTSIDE, NODE, 30080)), dnat(at(A1), true))
  room.put(service('web', [IP], { type: 'LoadBalancer', ports }, { lb: ['172.30.0.200'] }))
  t.same(room.route(tcp(OUTSIDE, '172.30.0.200')), dnat(at(A1), true))
  room.put(service('web', [], { type: 'ExternalName', externalName: 'example.org', ports: [] }))
  t.same(room.route(tcp(OUTSIDE, NODE, 30080)), PASS)
  t.same(room.route(tcp(POD, IP)), DROP)
  room.put(web)
  t.same(room.route(tcp(POD, IP)), dnat(at(A1)))
  t.end()
})

t.test('the node: comes late, moves zone, changes its address', (t) => {
  const hints = (zone: string) => ({ hints: { forZones: [{ name: zone }] } })
  const zoned = slice('web-1', 'web', [endpoint(A1, READY, hints('zone-a')), endpoint(B1, READY, hints('zone-b'))])
  const room = new Room({}, [SERVICE_CIDR]).put(
    service('web', [IP], { type: 'NodePort', ports: [{ port: 80, nodePort: 30080 }] }),
    zoned,
  )
  t.same(room.route(tcp(POD, IP)), dnat(at(A1, B1)), 'no node yet: no zone, no node ports')
  t.same(room.route(tcp(OUTSIDE, NODE, 30080)), PASS)
  room.put(NODES[0]!)
  t.same(room.route(tcp(POD, IP)), dnat(at(A1)))
  t.same(room.route(tcp(OUTSIDE, NODE, 30080)), dnat(at(A1), true))
  room.put(node('n1', ['172.30.0.13'], ['10.244.1.0/24'], 'zone-b'))
  t.same(room.route(tcp(POD, IP)), dnat(at(B1)))
  t.same(room.route(tcp(OUTSIDE, '172.30.0.13', 30080)), dnat(at(B1), true))
  t.same(room.route(tcp(OUTSIDE, NODE, 30080)), PASS)
  t.end()
})

t.test('another node sees its own zone, ports, pods and endpoints', (t) => {
  const hints = (zone: string) => ({ hints: { forZones: [{ name: zone }] } })
  const zoned = slice('web-1', 'web', [endpoint(A1, READY, hints('zone-a')), endpoint(B1, READY, hints('zone-b'))])
  const ports = [{ port: 80, nodePort: 30080 }]
  const room = new Room({ node: 'n2' }).put(
    service('web', [IP], { type: 'NodePort', ports, externalTrafficPolicy: 'Local' }),
    zoned,
  )
  t.same(room.route(tcp(POD, IP)), dnat(at(B1), true), 'a pod of n1 is not local')
  t.same(room.route(tcp(B1, IP)), dnat(at(B1), false, `${B1}:8080`))
  t.same(room.route(tcp(OUTSIDE, '172.30.0.12', 30080)), dnat(at(B1)))
  t.same(room.route(tcp(OUTSIDE, NODE, 30080)), PASS)
  room.drop(NODES[1]!)
  t.same(room.route(tcp(OUTSIDE, NODE, 30080)), PASS, 'n2 is gone; n1 does not stand in for it')
  t.same(room.route(tcp(POD, IP)), dnat(at(A1, B1)))
  t.end()
})

t.test('heartbeats, labels and taints of the node change no row', (t) => {
  const room = new Room().put(web, pods(A1))
  room.settle()
  const before = room.services.plans.number
  const busy = structuredClone(NODES[0]!)
  busy['metadata'].labels.busy = 'very'
  busy['spec'].taints = [{ key: 'x', effect: 'NoSchedule' }]
  t.same(room.put(busy).settle(), { put: [], drop: [] })
  t.equal(room.services.plans.number, before, 'no plan was even made anew')
  t.end()
})

t.test('ranges: of this node’s pods and of all ServiceCIDRs, none within another', (t) => {
  const ranges = (room: Room) => [...room.rows().keys()].filter((key) => key.startsWith('r '))
  const inner = { ...SERVICE_CIDR, metadata: { name: 'inner' }, spec: { cidrs: ['10.96.128.0/20'] } }
  const outer = { ...SERVICE_CIDR, metadata: { name: 'outer' }, spec: { cidrs: ['10.96.0.0/15'] } }
  const v4 = (room: Room) => ranges(room).filter((key) => key.startsWith('r services 10'))
  const room = new Room().put(inner)
  t.same(v4(room), ['r services 10.96.0.0/16'])
  t.same(v4(room.put(outer)), ['r services 10.96.0.0/15'])
  t.same(v4(room.drop(outer)), ['r services 10.96.0.0/16'])
  t.same(v4(room.drop(SERVICE_CIDR)), ['r services 10.96.128.0/20'])
  const fixed = new Room({ serviceCIDRs: ['10.0.0.0/8', '10.96.0.0/12'], localPodCIDRs: ['10.1.0.0/16'] })
  t.same(ranges(fixed), ['r pods 10.1.0.0/16', 'r services 10.0.0.0/8', 'r services fd00:10:96::/112'])
  t.end()
})

t.test(
  'contested node port: the older Service has it; the loser is told by whom and what to do; freed, it works',
  (t) => {
    const ports = [{ port: 80, nodePort: 30080 }]
    const older = service('older', ['10.96.0.11'], { type: 'NodePort', ports })
    const newer = service('a-newer', [IP], { type: 'NodePort', ports }, { creationTimestamp: '2026-02-01T00:00:00Z' })
    const room = new Room().put(newer, slice('n-1', 'a-newer', [endpoint(B1)]))
    t.same(room.route(tcp(OUTSIDE, NODE, 30080)), dnat(at(B1), true))
    t.same(room.problems(), [])
    room.put(older, slice('o-1', 'older', [endpoint(A1)]))
    t.same(room.route(tcp(OUTSIDE, NODE, 30080)), dnat(at(A1), true))
    t.same(room.route(tcp(POD, IP)), dnat(at(B1)), 'the loser loses that frontend only')
    t.same(
      [...room.services.rejections.entries()].map(([, row]) => row),
      [
        {
          object: 'Service shop/a-newer',
          field: 'spec.ports[0].nodePort',
          problem: '172.30.0.11:30080/tcp belongs to Service shop/older (its node port); not served for this one',
          remedy: 'choose another nodePort, or remove the field to have one allocated',
        },
      ],
    )
    room.drop(older)
    t.same(room.route(tcp(OUTSIDE, NODE, 30080)), dnat(at(B1), true))
    t.same(room.problems(), [])
    t.end()
  },
)

t.test('contested addresses: same age, first by name; node port before externalIP on the node’s address', (t) => {
  const room = new Room().put(
    service('b', ['10.96.0.2'], { externalIPs: ['172.30.0.100'] }),
    service('a', ['10.96.0.1'], { externalIPs: ['172.30.0.100'] }),
    service(
      'c',
      ['10.96.0.3'],
      { type: 'NodePort', ports: [{ port: 80, nodePort: 30080 }] },
      { creationTimestamp: '2026-03-01T00:00:00Z' },
    ),
    service('d', ['10.96.0.4'], { externalIPs: [NODE], ports: [{ port: 30080 }] }),
    slice('a-1', 'a', [endpoint(A1)]),
    slice('c-1', 'c', [endpoint(A2)]),
  )
  t.same(room.route(tcp(OUTSIDE, '172.30.0.100')), dnat(at(A1), true))
  t.same(room.route(tcp(OUTSIDE, NODE, 30080)), dnat(at(A2), true))
  t.same(room.problems(), [
    'Service shop/b: 172.30.0.100:80/tcp belongs to Service shop/a (one of its externalIPs); not served for this one',
    'Service shop/d: 172.30.0.11:30080/tcp belongs to Service shop/c (its node port); not served for this one',
  ])
  t.end()
})

t.test('a Service that others serve contests nothing', (t) => {
  const labels = { 'service.kubernetes.io/service-proxy-name': 'another' }
  const room = new Room().put(service('a', [IP], {}, { labels }), web, pods(A1))
  t.same(room.route(tcp(POD, IP)), dnat(at(A1)))
  t.same(room.problems(), [])
  t.end()
})

t.test('externalIPs outside the allowed ranges are refused and reported', (t) => {
  const external = service('web', [IP], { externalIPs: ['172.30.0.100', '192.0.2.1'] })
  const room = new Room({ externalIPAllowed: ['172.30.0.0/24'] }).put(external, pods(A1))
  t.same(room.route(tcp(OUTSIDE, '172.30.0.100')), dnat(at(A1), true))
  t.same(room.route(tcp(OUTSIDE, '192.0.2.1')), PASS)
  t.same(room.problems(), ['Service shop/web: 192.0.2.1 is outside the ranges allowed for externalIPs'])
  const closed = new Room({ externalIPAllowed: [] }).put(external, pods(A1))
  t.same(closed.route(tcp(OUTSIDE, '172.30.0.100')), PASS)
  t.end()
})

t.test('external addresses of a family that the Service has not', (t) => {
  const room = new Room().put(service('web', [IP], { externalIPs: ['fd00:172:30::100'] }), pods(A1))
  t.same(room.problems(), ['Service shop/web: fd00:172:30::100 is IPv6, but the Service has no IPv6 ClusterIP'])
  t.end()
})

t.test('a ClusterIP that is the address of any node is not served, and the node stays reachable', (t) => {
  const room = new Room().put(service('web', ['172.30.0.12']), pods(A1))
  t.same(room.route(tcp(POD, '172.30.0.12')), PASS)
  t.same(room.route(tcp(POD, '172.30.0.12', 22)), PASS)
  t.match(room.problems(), [/172\.30\.0\.12 is the address of a node/])
  room.drop(NODES[1]!)
  t.same(room.route(tcp(POD, '172.30.0.12')), dnat(at(A1)), 'the node is gone')
  t.end()
})

t.test('more endpoints than are served: reported, the others work', (t) => {
  const many = Array.from({ length: 34 }, (_, i) =>
    slice(
      `web-${i}`,
      'web',
      Array.from({ length: 1000 }, (_, j) => endpoint(`10.${100 + i}.${j >> 8}.${j & 255}`)),
    ),
  )
  const room = new Room().put(web, ...many)
  t.same(room.problems(), ['Service shop/web: shop/web has more than 32768 IPv4 endpoints; the rest get no traffic'])
  const slots = [...room.rows().values()].filter((row) => row.kind === 'slot')
  t.equal(slots.length, 32769)
  t.end()
})

t.test('many ports by many endpoints: bounded, reported, the first ones work', (t) => {
  const ports = Array.from({ length: 200 }, (_, i) => ({ name: `p${i}`, port: 1000 + i }))
  const pods = Array.from({ length: 1000 }, (_, i) => endpoint(`10.245.${i >> 8}.${i & 255}`))
  const huge = parseService(service('web', [IP], { ports, externalIPs: ['172.30.0.100', '172.30.0.101'] })).row!
  const { openings, rejections } = plan(huge, {
    claims: claimsOf(huge, [], () => false, { ...DEFAULT_OPTIONS, node: 'n1' }),
    holder: () => null,
    slices: [parseEndpointSlice(slice('web-1', 'web', pods, ports)).row!],
    location: { node: 'n1', zone: null },
    addresses: [],
  })
  t.equal(openings.length, 524)
  t.same(
    rejections.map(({ problem }) => problem),
    ['endpoints by ports by addresses are more than 524288; 76 of 600 addresses are not served'],
  )
  t.end()
})

t.test('health check node ports', (t) => {
  const spec = { type: 'LoadBalancer', externalTrafficPolicy: 'Local', healthCheckNodePort: 31000 }
  const lb = service('web', [IP, 'fd00:10:96::10'], spec, { lb: ['172.30.0.200'] })
  const room = new Room().put(lb)
  const health = () => (room.settle(), [...room.services.health.entries()].map(([, row]) => row))
  const count = (localReadyEndpoints: number) => [{ port: 31000, namespace: 'shop', name: 'web', localReadyEndpoints }]
  t.same(health(), count(0))
  room.put(slice('web-1', 'web', [endpoint(A1), endpoint(A2, UNREADY), endpoint(B1)]))
  t.same(health(), count(1))
  room.put(slice('web-6', 'web', [endpoint('fd00:10:244:1::10')]))
  t.same(health(), count(1), 'a pod with two addresses is one')
  room.put(slice('web-1', 'web', [endpoint(A1), endpoint(A2), endpoint(B1)]))
  t.same(health(), count(2))
  room.drop(slice('web-6', 'web', []))
  room.put(slice('web-1', 'web', [endpoint(A1, TERMINATING), endpoint(A2, GONE), endpoint(B1)]))
  t.same(health(), count(0), 'only terminating ones: not ready')
  t.same(room.route(tcp(OUTSIDE, '172.30.0.200')), dnat(at(A1)), 'yet traffic is served')
  room.put(service('web', [IP], { ...spec, externalTrafficPolicy: 'Cluster' }))
  t.same(health(), [])
  t.end()
})

t.test('a health check node port that two want is the older one’s', (t) => {
  const spec = { type: 'LoadBalancer', externalTrafficPolicy: 'Local', healthCheckNodePort: 31000 }
  const room = new Room().put(
    service('a', ['10.96.0.1'], spec, { creationTimestamp: '2026-02-01T00:00:00Z' }),
    service('b', ['10.96.0.2'], spec),
  )
  room.settle()
  t.match([...room.services.health.entries()], [['31000', { name: 'b' }]])
  t.match(room.problems(), [/Service shop\/a: 31000 belongs to Service shop\/b/])
  t.end()
})

t.test('source rows: ranges of the address’s own family only', (t) => {
  const spec = { type: 'LoadBalancer', loadBalancerSourceRanges: ['0.0.0.0/0', 'fd01::/16'] }
  const room = new Room().put(
    service('web', [IP, 'fd00:10:96::10'], spec, { lb: ['172.30.0.200', 'fd00:172:30::200'] }),
  )
  const sources = [...room.rows().keys()].filter((key) => key.startsWith('c '))
  t.same(sources, ['c 172.30.0.200 tcp 80 0.0.0.0/0', 'c fd00:172:30::200 tcp 80 fd01::/16'])
  t.end()
})

t.test('hairpin rows: only for endpoints on this node that some slot holds', (t) => {
  const hints = (zone: string) => ({ hints: { forZones: [{ name: zone }] } })
  const zoned = slice('web-1', 'web', [
    endpoint(A1, READY, hints('zone-b')),
    endpoint(A2, READY, hints('zone-a')),
    endpoint(B1, READY, hints('zone-a')),
  ])
  const hairpins = (room: Room) => [...room.rows().keys()].filter((key) => key.startsWith('h '))
  const local = { externalTrafficPolicy: 'Local' }
  const room = new Room().put(service('web', [IP], local), zoned)
  t.same(hairpins(room), [`h ${A2}`], 'reached from inside only: nobody is sent to the other')
  room.put(service('web', [IP], { ...local, externalIPs: ['172.30.0.100'] }))
  t.same(hairpins(room), [`h ${A1}`, `h ${A2}`])
  t.end()
})

t.test('a frontend changes although its slots stay: what an empty set means, source ranges', (t) => {
  const room = new Room().put(service('web', [IP], { internalTrafficPolicy: 'Local' }))
  t.same(room.route(tcp(POD, IP)), REJECT)
  t.same(room.put(pods(B1)).route(tcp(POD, IP)), DROP, 'there is an endpoint elsewhere')
  t.same(room.drop(pods()).route(tcp(POD, IP)), REJECT)
  const lb = (more = {}) => service('web', [IP], { type: 'LoadBalancer', ...more }, { lb: ['172.30.0.200'] })
  t.same(room.put(lb(), pods(A1)).route(tcp(OUTSIDE, '172.30.0.200')), dnat(at(A1), true))
  const closed = lb({ loadBalancerSourceRanges: ['nowhere'] })
  t.same(room.put(closed).route(tcp(OUTSIDE, '172.30.0.200')), DROP)
  t.same(room.put(lb()).route(tcp(OUTSIDE, '172.30.0.200')), dnat(at(A1), true))
  const vip = () => room.route(tcp(OUTSIDE, '172.30.0.200'))
  t.same(room.put(lb({ externalTrafficPolicy: 'Local' }), pods(A1, A2)) && vip(), dnat(at(A1, A2)))
  t.same(room.put(pods(A1, B1)) && vip(), dnat(at(A1)), 'one moved to another node')
  t.end()
})

t.test('counts for status and metrics', (t) => {
  const local = { internalTrafficPolicy: 'Local', externalTrafficPolicy: 'Local' }
  const ports = [{ port: 80, nodePort: 30080 }]
  const room = new Room().put(
    service('web', [IP], { ...local, type: 'NodePort', ports }),
    slice('web-1', 'web', [endpoint(B1), endpoint('10.244.2.11', TERMINATING)]),
    service('inner', ['10.96.0.11'], local),
    slice('inner-1', 'inner', [endpoint(A1), endpoint(B1)]),
    service('empty', ['10.96.0.12'], local),
  )
  room.settle()
  t.same(
    [...countPorts(room.services.plans.get('shop/web')!)],
    [
      {
        ...{ service: 'shop/web', protocol: 'tcp', family: 4, ready: 1, localReady: 0, terminating: 1 },
        ...{ noLocalInternal: true, noLocalExternal: true },
      },
    ],
  )
  t.same(
    [...countPorts(room.services.plans.get('shop/inner')!)],
    [
      {
        ...{ service: 'shop/inner', protocol: 'tcp', family: 4, ready: 2, localReady: 1, terminating: 0 },
        ...{ noLocalInternal: false, noLocalExternal: false },
      },
    ],
  )
  t.same(countNoLocal(room.services.plans.entries()), { internal: 1, external: 1 })
  room.put(service('web', [IP], local))
  room.settle()
  t.same(countNoLocal(room.services.plans.entries()), { internal: 1, external: 0 }, 'not reached from outside')
  t.end()
})

for (const late of ['services', 'slices', 'nodes', 'serviceCIDRs'] as const) {
  t.test(`nothing is known before the first list of ${late} is complete`, (t) => {
    const tables = createTables()
    const graph = new Graph()
    const services = deriveServices(graph, tables, { ...DEFAULT_OPTIONS, node: 'n1' })
    tables.services.put('shop/web', parseService(web).row!)
    const others = (['services', 'slices', 'nodes', 'serviceCIDRs'] as const).filter((each) => each !== late)
    for (const each of others) tables[each].markSynced()
    graph.settle()
    t.notOk(services.rows.synced)
    tables[late].markSynced()
    graph.settle()
    t.ok(services.rows.synced && services.rows.has(`f ${IP} tcp 80`))
    t.ok(services.health.synced && services.rejections.synced && services.plans.synced)
    t.end()
  })
}
