import fc from 'fast-check'
import t from 'tap'
import { contains, familyOf, overlap, spanOf } from '../../src/cluster/address.ts'
import { parseNode } from '../../src/cluster/node.ts'
import { createTables } from '../../src/cluster/tables.ts'
import { deriveCni } from '../../src/cni/derive.ts'
import { createForerunners } from '../../src/cni/forerunners.ts'
import { createLeases } from '../../src/cni/leases.ts'
import { Graph } from '../../src/core/graph.ts'
import { InputTable } from '../../src/core/table.ts'
import { deriveEgress } from '../../src/egress/derive.ts'
import { aggregate } from '../../src/egress/ranges.ts'
import { firewallKey, type Firewall } from '../../src/egress/rows.ts'
import { node } from '../contract/service-objects.ts'

const NODE_IP = '172.30.0.11'
/** Few values, so that ranges are equal, nest, touch, and are given to several nodes. */
const numbers = [0, 1, 2, 3, 4, 5, 6, 7]
const cidr = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...numbers.map((n) => `10.244.${n}.0/24`)) },
  { weight: 3, arbitrary: fc.constantFrom(...numbers.map((n) => `fd00:10:244:${n}::/64`)) },
  {
    weight: 2,
    arbitrary: fc.constantFrom('10.244.2.0/23', 'fd00:10:244:4::/62', '0.0.0.0/0', '::/0', '10.244.1.7/32'),
  },
)
const cidrs = fc.uniqueArray(cidr, { maxLength: 4 })
const address = fc.oneof(
  fc.tuple(fc.constantFrom(...numbers), fc.nat(255)).map(([a, b]) => `10.244.${a}.${b}`),
  fc.tuple(fc.constantFrom(...numbers), fc.nat(255)).map(([a, b]) => `fd00:10:244:${a}::${(b + 1).toString(16)}`),
  fc.constantFrom(
    '192.0.2.1',
    '10.245.0.0',
    '10.243.255.255',
    '224.0.0.5',
    'ff02::5',
    '2001:db8::1',
    'fd00:10:244:8::',
  ),
)
const firewall = fc.oneof(
  fc.record({
    kind: fc.constant('iptables' as const),
    variant: fc.constantFrom('legacy', 'nft'),
    family: fc.constantFrom(4, 6),
  }),
  fc.record({
    kind: fc.constant('nftables' as const),
    family: fc.constantFrom('ip', 'ip6', 'inet'),
    table: fc.constantFrom('firewalld', 'mine'),
    chain: fc.constant('forward'),
    verdict: fc.constantFrom('drop', 'reject'),
    ranges: cidrs,
  }),
) as fc.Arbitrary<Firewall>
const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('node' as const), name: fc.constantFrom('n1', 'n2', 'n3'), cidrs }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('gone' as const), name: fc.constantFrom('n1', 'n2', 'n3') }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('firewalls' as const), firewalls: fc.array(firewall, { maxLength: 3 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('leases' as const), ips: fc.uniqueArray(address, { maxLength: 3 }) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('files' as const),
      files: fc.uniqueArray(fc.constantFrom('00-multus.conf', '05-a.conflist', '10-b.json'), { maxLength: 3 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('uplink' as const), name: fc.constantFrom('eth0', 'eth1', '') }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('mtus' as const),
      mtus: fc.uniqueArray(fc.constantFrom(1430, 1450), { maxLength: 2 }),
    }),
  },
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

/** What both rooms decide on node n1. */
class World {
  readonly #graph = new Graph()
  readonly #tables = createTables()
  readonly #firewalls = new InputTable<Firewall>('firewalls')
  readonly #leases = createLeases()
  readonly #forerunners = createForerunners()
  readonly #interfaces = new InputTable<{ interface: string }>('interfaces')
  readonly #devices = new InputTable<{ mtu: number }>('devices', { indexes: { all: () => [''] } })
  readonly egress
  readonly cni

  constructor(listed: readonly string[]) {
    const { nodes } = this.#tables
    const options = { node: 'n1', localPodCIDRs: null, overlayDevices: ['flannel.1'], nonMasqueradeCIDRs: listed }
    this.egress = deriveEgress(
      this.#graph,
      { nodes, firewalls: this.#firewalls, interfaces: this.#interfaces },
      options,
    )
    const inputs = { nodes, devices: this.#devices, leases: this.#leases, forerunners: this.#forerunners }
    this.cni = deriveCni(this.#graph, inputs, { node: 'n1', folder: '/net.d', dataDir: null })
    for (const table of [nodes, this.#firewalls, this.#leases, this.#devices]) table.markSynced()
    for (const table of [this.#forerunners, this.#interfaces]) table.markSynced()
  }

  take(each: Step): void {
    if (each.do === 'node')
      this.#tables.nodes.put(each.name, parseNode(node(each.name, [NODE_IP], each.cidrs, null)).row!)
    else if (each.do === 'gone') this.#tables.nodes.drop(each.name)
    else if (each.do === 'leases') this.#leases.replace(each.ips.map((ip) => [ip, { ip }]))
    else if (each.do === 'mtus') this.#devices.replace(each.mtus.map((mtu) => [String(mtu), { mtu }]))
    else if (each.do === 'files')
      this.#forerunners.replace(each.files.map((file) => [file, { file, what: 'plugin a' }]))
    else if (each.do === 'uplink')
      this.#interfaces.replace(each.name === '' ? [] : [[NODE_IP, { interface: each.name }]])
    else this.#firewalls.replace(each.firewalls.map((one) => [firewallKey(one), one]))
    this.#graph.settle()
    for (const { table, key, error } of this.#graph.faults()) throw new Error(`${table} ${key}`, { cause: error })
  }

  ranges(name: string): readonly string[] {
    return this.#tables.nodes.get(name)?.podCIDRs ?? []
  }

  decided(): string {
    const { masqueraded, forwarding, accepted, rejections } = this.egress
    const tables = [masqueraded, forwarding, accepted, rejections, this.cni.conflist, this.cni.rejections]
    return JSON.stringify(
      tables.map((table) => [...table.entries()].sort(([a], [b]) => (a < b ? -1 : 1))),
      null,
      1,
    )
  }
}

t.test('incremental equals full; what is masqueraded is what the rule says', (t) => {
  let [masqueraded, astray, accepted, overtaken, uplinks] = [0, 0, 0, 0, 0]
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 30 }),
      cidrs,
      fc.array(fc.tuple(address, address)),
      (steps, listed, packets) => {
        const world = new World(listed)
        for (const each of steps) world.take(each)
        const full = new World(listed)
        const last = new Map(
          steps.map((each) => [each.do === 'node' || each.do === 'gone' ? each.name : each.do, each]),
        )
        for (const each of [...last.values()].toReversed()) full.take(each)
        if (world.decided() !== full.decided()) throw new Error(`${world.decided()}\nis not\n${full.decided()}`)
        astray += Number(/addresses of pods here/.test(world.decided()))
        accepted += Number(/"variant"/.test(world.decided()))
        overtaken += Number(/comes before/.test(world.decided()))
        uplinks += Number(/"forwards",\s+"interface": "eth/.test(world.decided()))

        const rows = [...world.egress.masqueraded.entries()].map(([, row]) => row)
        const inRows = (kind: string, ip: string): boolean =>
          rows.some((row) => row.kind === kind && contains(row.cidr, ip))
        const inAny = (ranges: readonly string[], ip: string): boolean => ranges.some((range) => contains(range, ip))
        const here = world.ranges('n1')
        const kept = [...listed, ...['n1', 'n2', 'n3'].flatMap((name) => world.ranges(name)), '224.0.0.0/4', 'ff00::/8']
        for (const [from, to] of packets) {
          if (familyOf(from) !== familyOf(to)) continue
          const wanted = inAny(here, from) && !inAny(kept, to)
          if ((inRows('source', from) && !inRows('kept', to)) !== wanted)
            throw new Error(`${from} -> ${to}: not ${wanted}`)
          masqueraded += Number(wanted)
        }
      },
    ),
    { numRuns: 1000 },
  )
  for (const [what, count] of Object.entries({ masqueraded, astray, accepted, overtaken, uplinks }))
    t.ok(count > 10, `${what}: ${count}`)
  t.end()
})

t.test('ranges become the fewest that hold the same addresses', (t) => {
  fc.assert(
    fc.property(fc.array(cidr, { maxLength: 12 }), fc.array(address), (all, ips) => {
      const some = aggregate(all)
      for (const ip of ips)
        if (all.some((each) => contains(each, ip)) !== some.some((each) => contains(each, ip))) throw new Error(ip)
      for (const [i, a] of some.entries())
        for (const b of some.slice(i + 1)) if (overlap(spanOf(a), spanOf(b))) throw new Error(`${a} and ${b} overlap`)
      if (aggregate(some).join() !== some.join() || aggregate(all.toReversed()).join() !== some.join())
        throw new Error(some.join())
    }),
    { numRuns: 1000 },
  )
  t.same(aggregate(['10.0.1.0/24', '10.0.0.0/24', '10.0.3.0/24', '10.0.2.0/24', '10.0.5.0/24']), [
    '10.0.0.0/22',
    '10.0.5.0/24',
  ])
  t.same(aggregate(['10.0.1.0/24', '10.0.2.0/24']), ['10.0.1.0/24', '10.0.2.0/24'], 'not at a place for one range')
  t.same(aggregate(['255.255.255.255/32', '255.255.255.254/32', '::/1', '8000::/1']), ['255.255.255.254/31', '::/0'])
  t.end()
})
