import fc from 'fast-check'
import t from 'tap'
import { DEFAULT_OPTIONS, type NameOptions } from '../../src/dns/options.ts'
import { externalName, imported, namespace, pod, service, serviceImport, slice } from '../contract/dns-objects.ts'
import { NameRoom } from '../contract/dns-room.ts'
import type { Raw } from '../contract/service-objects.ts'
import { Oracle, pathOf } from './dns-oracle.ts'

/** Random small clusters: few names and addresses, so that everything meets everything. */
const NAMESPACES = ['x', 'y'] as const
const NAMES = ['a', 'b', 'c'] as const
const path = fc.tuple(fc.constantFrom(...NAMESPACES), fc.constantFrom(...NAMES)).map((parts) => parts.join('/'))
const V4 = ['10.244.1.1', '10.244.1.2', '10.96.0.1']
const V6 = ['fd00::1', 'fd00:0:0:1::']
const subset = <T>(values: readonly T[], minLength = 0) => fc.subarray([...values], { minLength })
const maybe = <T>(...values: readonly T[]) => fc.option(fc.constantFrom(...values), { nil: undefined })

const ports = fc.uniqueArray(
  fc.record({
    name: fc.constantFrom('http', 'http', 'dns', ''),
    port: fc.constantFrom(80, 53),
    protocol: fc.constantFrom('TCP', 'UDP'),
  }),
  { maxLength: 3, selector: ({ name, protocol }) => `${name} ${protocol}` },
)
const clusterIPs = fc.oneof(
  fc.constant('None' as const),
  fc.tuple(fc.constantFrom('10.96.0.1', '10.96.0.2'), subset(['fd00:96::1'])).map(([v4, v6]) => [v4, ...v6]),
)
const anyService = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .record({ path, ips: clusterIPs, ports, dns: fc.boolean() })
      .map(({ path, ips, ports, dns }) =>
        service(path, ips, { ports: distinct(ports) }, dns ? { 'k8s-app': 'kube-dns' } : {}),
      ),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(path, fc.constantFrom('example.org', 'a.x.svc.cluster.local', 'b.y.svc.cluster.local', '10.0.0.1'))
      .map(([path, target]) => externalName(path, target)),
  },
  { weight: 1, arbitrary: fc.constant(service('x/dotted.name', ['10.96.0.2'])) },
)
/** A Service has no two ports of one number and protocol. */
const distinct = (list: readonly Raw[]) =>
  list.filter(
    ({ port, protocol }, i) => list.findIndex((it) => it['port'] === port && it['protocol'] === protocol) === i,
  )

const anyEndpoint = (addresses: readonly string[]) =>
  fc
    .record({
      address: fc.constantFrom(...addresses),
      hostname: maybe('h', 'g', 'Bad_Name'),
      pod: maybe('p', 'q', 'with.dot'),
      ready: maybe(true, false),
    })
    .map(({ address, hostname, pod, ready }) => ({
      addresses: [address],
      ...{ hostname, conditions: { ready }, targetRef: pod === undefined ? undefined : { kind: 'Pod', name: pod } },
    }))
const endpoints = fc.oneof(...[V4, V6].map((ips) => fc.array(anyEndpoint(ips), { minLength: 1, maxLength: 4 })))
const owner = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom<string | Raw>(...NAMES) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom(...NAMES), fc.constantFrom('east', 'west', 'No_Label'))
      .map((it) => imported(...it)),
  },
)
const anySlice = fc
  .record({
    namespace: fc.constantFrom(...NAMESPACES),
    name: fc.constantFrom('s1', 's2', 's3', 's4'),
    owner,
    endpoints,
    ports,
  })
  .map((any) => slice(`${any.namespace}/${any.name}`, any.owner, any.endpoints, any.ports))

const anyPod = fc
  .record({
    path,
    ips: subset([...V4, ...V6], 1),
    phase: fc.constantFrom('Running', 'Running', 'Failed'),
    gone: maybe('2026-01-01T00:00:00Z'),
  })
  .map(({ path, ips, phase, gone }) => pod(path, ips, { phase }, { deletionTimestamp: gone }))
const anyImport = fc
  .record({ path, isHeadless: fc.boolean(), ips: subset(['10.97.0.1', 'fd00:97::1']) })
  .map(({ path, isHeadless, ips }) => serviceImport(path, isHeadless ? 'Headless' : 'ClusterSetIP', ips))
const anyNamespace = fc
  .tuple(fc.constantFrom(...NAMESPACES), fc.constantFrom('a', 'b'))
  .map(([name, tier]) => namespace(name, { tier }))

const anyObject: fc.Arbitrary<Raw> = fc.oneof(
  { weight: 5, arbitrary: anyService },
  { weight: 6, arbitrary: anySlice },
  { weight: 2, arbitrary: anyNamespace },
  { weight: 1, arbitrary: anyPod },
  { weight: 1, arbitrary: anyImport },
)

/** Of endpoints, ports and protocols, clusters, pods. */
const LABELS = ['h', '10-244-1-2', 'h.east', 'east', '_tcp', '_http._tcp', '_dns._udp']
const ADDRESSES = ['10-244-1-1', 'fd00--1', 'fd00-0-0-1--0', '10-244-1', 'a-b-c-d', 'x.10-244-1-1']

const anyOptions: fc.Arbitrary<NameOptions> = fc
  .record({
    zones: fc.constantFrom(
      ['cluster.local.', 'in-addr.arpa.', 'ip6.arpa.'],
      ['cluster.local.', 'example.org.', 'clusterset.local.', '244.10.in-addr.arpa.'],
    ),
    pods: fc.constantFrom('disabled' as const, 'insecure' as const, 'verified' as const),
    endpointPodNames: fc.boolean(),
    endpointNames: fc.constantFrom('all' as const, 'headless' as const),
    noEndpoints: fc.constantFrom(false, false, false, true),
    ignoreEmptyService: fc.constantFrom(false, false, true),
    namespaces: fc.constantFrom(null, null, ['x']),
    namespaceLabels: fc.constantFrom(null, null, [{ key: 'tier', operator: 'In' as const, values: ['a'] }]),
    addresses: fc.constantFrom([], [], ['10.96.0.1', '169.254.20.10']),
  })
  .map((options) => ({
    ...DEFAULT_OPTIONS,
    ...options,
    set: 'k0',
    multicluster: options.zones.slice(2, 3).filter((it) => it.startsWith('clusterset')),
  }))

const anySteps = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: anyObject.map((object) => ({ do: 'put' as const, object })) },
    { weight: 3, arbitrary: anyObject.map((object) => ({ do: 'drop' as const, object })) },
    { weight: 3, arbitrary: fc.constant({ do: 'settle' as const }) },
  ),
  { maxLength: 60, size: 'max' },
)

t.test('incremental equals full: no row or rejection depends on history', (t) => {
  fc.assert(
    fc.property(anyOptions, anySteps, (options, steps) => {
      const objects = new Map<string, Raw>()
      const room = new NameRoom(options)
      for (const each of steps) {
        if (each.do === 'settle') room.settle()
        else if (each.do === 'drop') {
          room.drop(each.object)
          objects.delete(pathOf(each.object))
        } else {
          room.put(each.object)
          objects.set(pathOf(each.object), each.object)
        }
      }
      room.settle()
      // The same objects, in another order, at once.
      const full = new NameRoom(options, [...objects.values()].toReversed())
      same(room.rows(), full.rows())
      same(sorted(room.fake.rows), full.rows())
      same(room.rejections(), full.rejections())
      if (room.names.rows.size !== full.rows().size) throw new Error('size')
    }),
    { numRuns: 500 },
  )
  t.pass('500 histories')
  t.end()
})

t.test('rows answer what the objects say', (t) => {
  let answers = 0
  let absent = 0
  fc.assert(
    fc.property(anyOptions, fc.array(anyObject, { minLength: 8, maxLength: 30, size: 'max' }), (options, list) => {
      const all = [...NAMESPACES.map((name) => namespace(name, { tier: 'a' })), ...list]
      const objects = new Map(all.map((object) => [pathOf(object), object]))
      const room = new NameRoom(options, [...objects.values()])
      const oracle = new Oracle(objects.values(), options)
      for (const name of questions(room)) {
        for (const type of ['A', 'AAAA', 'SRV', 'PTR', 'NS', 'TXT', 'CNAME']) {
          const wanted = oracle.ask(name, type)
          const given = room.ask(name, type)
          const found = given === 'NXDOMAIN' ? given : [...given].sort()
          if (JSON.stringify(found) !== JSON.stringify(wanted))
            throw new Error(`${name} ${type}: ${JSON.stringify(found)}, not ${JSON.stringify(wanted)}`)
          if (found === 'NXDOMAIN') absent++
          else answers += found.length
        }
      }
    }),
    { numRuns: 200 },
  )
  t.ok(answers > 3_000, `${answers} answers`)
  t.ok(absent > 30_000, `${absent} names that are not there`)
  t.end()
})

/** All names that there are, what is around them, and what only looks like one. */
function questions(room: NameRoom): ReadonlySet<string> {
  const zones = room.fake.zones
  const around = [...room.rows().values()].flatMap(({ name }) => {
    const parent = name.slice(name.indexOf('.') + 1)
    return [name, parent, ...LABELS.map((label) => `${label}.${name}`)]
  })
  const forward = zones.filter((zone) => !zone.endsWith('arpa.'))
  const others = forward.flatMap((zone) =>
    [...NAMESPACES, 'z'].flatMap((name) => [
      ...[...NAMES, 'd', 'dotted.name'].map((service) => `${service}.${name}.svc.${zone}`),
      ...ADDRESSES.map((label) => `${label}.${name}.pod.${zone}`),
    ]),
  )
  const isOurs = (name: string) => zones.some((zone) => name === zone || name.endsWith(`.${zone}`))
  return new Set([...around, ...others].filter(isOurs))
}

function sorted<T>(map: ReadonlyMap<string, T>): ReadonlyMap<string, T> {
  return new Map([...map].sort(([a], [b]) => (a < b ? -1 : 1)))
}

function same(actual: unknown, wanted: unknown): void {
  const [a, b] = [actual, wanted].map((it) => JSON.stringify(it instanceof Map ? [...it] : it, null, 1))
  if (a !== b) throw new Error(`${a}\nis not\n${b}`)
}
