/** The network of nodes as it is measured: units, ratios within a round, and the clusters and commands it is measured with. */
import t from 'tap'
import * as joinFamily from '../../bench/families/join.ts'
import * as overlayFamily from '../../bench/families/overlay.ts'
import { entriesOf, entryOf, textsOf, type Joined } from '../../bench/join.ts'
import { sampleOf, wordsOf, type Sample } from '../../bench/measure.ts'
import { endsOf, nodeOf, type Families } from '../../bench/nodes.ts'
import type { Cell, Report } from '../../bench/report.ts'
import type { Way } from '../../bench/ways.ts'
import type { KernelEvent } from '../../src/overlay/netlink/awaited.ts'
import type { OverlayRow } from '../../src/overlay/rows.ts'
import { OverlayRoom } from '../contract/overlay-room.ts'

const COST = { client: 0.6, server: 0.4, machine: 1.5, softirq: 0.5 }

t.test('what a run told becomes rates, and costs of each', async (t) => {
  const stream = { bytes: 100 * 2 ** 20, seconds: 2, gbitPerSecond: 0.42 }
  const each = { cpuUs: 10_000, machineUs: 15_000, softirqUs: 5_000, agents: 0.05 }
  t.same(sampleOf('stream', stream, COST, 0.1), { rate: 0.42, lost: 0, ...each })
  const packets = { sent: 1_000, arrived: 800, seconds: 2, pps: 400 }
  t.match(sampleOf('packets', packets, COST, 0), { rate: 400, cpuUs: 1250, machineUs: 1875, agents: 0 })
  t.equal(Math.round(sampleOf('packets', packets, COST, 0).lost * 100), 20)
  const connect = { connections: 500, failedTotal: 500, seconds: 1, cps: 500 }
  t.match(sampleOf('connect', connect, COST, 0), { rate: 500, cpuUs: 2000, lost: 0.5 })
})

t.test('who sends what where', async (t) => {
  const ends = { from: ['10.0.0.1', '10.0.0.2'], echo: '10.0.1.1:8080', sink: '10.0.1.1:9000' }
  t.match(wordsOf('connect', 1, ends).join(' '), /^connect --to 10\.0\.1\.1:8080 --from 10\.0\.0\.1,10\.0\.0\.2 /)
  t.equal(wordsOf('packets', 0.5, ends).join(' '), 'packets --to 10.0.1.1:9000 --from 10.0.0.1 --seconds 0.5')
})

t.test('overlay: ratios are taken within a round, of the same underlay; promises of like with like', async (t) => {
  const sample = (rate: number, machineUs: number, cpuUs = machineUs): Sample => ({
    ...{ rate, machineUs, cpuUs, softirqUs: 1, lost: 0, agents: 0.01 },
  })
  const all = (...samples: Sample[]): overlayFamily.Samples => ({ stream: samples, packets: samples, connect: samples })
  const way = (name: string, kind: Way['kind'], underlay: Way['underlay'] = 4): Way => ({ name, kind, underlay })
  const results = new Map([
    [way('direct', 'direct'), all(sample(1000, 10), sample(500, 20), sample(1000, 10))],
    [way('VXLAN by hand', 'by hand'), all(sample(800, 20), sample(400, 40), sample(800, 20))],
    [way('Fairlead, overlay only', 'Fairlead'), all(sample(760, 21, 24), sample(360, 44, 44), sample(800, 30, 40))],
    [way('VXLAN by hand', 'by hand', 6), all(sample(400, 40), sample(200, 80), sample(400, 40))],
    [way('Fairlead, overlay only', 'Fairlead', 6), all(sample(400, 40), sample(200, 80), sample(400, 40))],
  ])
  const report = overlayFamily.reportOf(results)
  const row = rowOf(report, 'Fairlead, overlay only', 'IPv4')
  t.match(row, { 'Gbit/s': 760, 'of direct': 0.76, 'of VXLAN by hand': 0.95, 'agents, % of a core': 1 })
  t.equal(Math.round(row['more, %'] as number), 10)
  t.equal(Math.round(row['more than by hand, %'] as number), 20)
  t.match(rowOf(report, 'Fairlead, overlay only', 'IPv6'), { 'of direct': 0.4, 'of VXLAN by hand': 1 })
  t.match(rowOf(report, 'direct', 'IPv4'), { 'of direct': 1, 'agents, % of a core': '' })
  t.equal(report.tables.length, 3)
  t.same(
    report.checks.map(({ value }) => value),
    [0.95, 0.95, 0.95, 1, 1, 1],
    'what was not measured promises nothing',
  )
})

t.test('join: medians of rounds, how many times as long as by hand, all later nodes together', async (t) => {
  const joined = (listedMs: number, ...moreMs: number[]): Joined => ({
    ...{ entries: 3000, listedMs, startedMs: listedMs + 900, listedCpuMs: 300, startedCpuMs: 1000, moreMs },
  })
  const both = (who: 'Fairlead' | 'by hand', ...all: Joined[]): [joinFamily.Case, Joined[]][] =>
    (['IPv4', 'dual-stack'] as const).map((families) => [{ who, families }, all])
  const report = joinFamily.reportOf(
    new Map([
      ...both('Fairlead', joined(300, 5, 6), joined(1200, 7, 8), joined(600, 9, 30)),
      ...both('by hand', joined(100, 3), joined(200, 3), joined(100, 4)),
    ]),
  )
  t.match(rowOf(report, 'Fairlead', 'IPv4'), {
    ...{ entries: 3000, 'first list to last entry': 600, 'of by hand': '6.0x', 'from the start of the process': 1500 },
  })
  const { rows, columns } = report.tables[1]!
  t.same(columns.slice(3), ['p50', 'p99', 'max'])
  t.same(rows[0], ['Fairlead', 'IPv4', 6, 7, 30, 30])
  t.same(
    report.checks.map(({ value }) => value),
    [0.6, 0.6],
  )
})

t.test('nodes of a cluster: none wants what another has, and what is waited for is what is decided', async (t) => {
  for (const families of ['IPv4', 'dual-stack'] as Families[]) {
    const count = 600
    const interfaces = endsOf(0, families).map(({ address }) => ({
      ...{ ip: address, interface: 'eth0', mtu: 1500, prefixLength: address.includes(':') ? 64 : 16 },
    }))
    const objects = Array.from({ length: count + 1 }, (_, i) => nodeOf(i, families))
    const room = new OverlayRoom({ node: 'n0' }, objects, { interfaces })
    t.same(room.rejections(), [])
    const wanted = new Set(Array.from({ length: count }, (_, i) => entriesOf(i + 1, families)).flat())
    t.equal(wanted.size, count * (families === 'IPv4' ? 3 : 6), 'each has its own')
    t.same(
      Object.values(room.rows())
        .flatMap((row) => entryOfRow(row as OverlayRow))
        .sort(),
      [...wanted].sort(),
    )
    const bytes = JSON.stringify(objects.at(-1)).length
    t.ok(bytes > 5_000 && bytes < 12_000, `as large as a real one: ${bytes}`)
  }
})

function entryOfRow(row: OverlayRow): string[] {
  if (row.kind === 'route') return [`route ${row.to}`]
  if (row.kind === 'neighbour') return [`neighbour ${row.ip}`]
  return row.kind === 'fdb' ? [`fdb ${row.to}`] : []
}

t.test('entries as the kernel tells of them', async (t) => {
  const route = { event: 'route', op: 'new', destination: '10.64.1.0', prefixLength: 24, table: 254 } as KernelEvent
  t.equal(entryOf(route), 'route 10.64.1.0/24')
  t.equal(entryOf({ ...route, op: 'delete' } as KernelEvent), '')
  const neighbour = {
    event: 'neighbour',
    op: 'new',
    family: 'ipv4',
    index: 7,
    address: '10.64.1.0',
    state: 128,
  } as const
  t.equal(entryOf(neighbour), 'neighbour 10.64.1.0')
  t.equal(entryOf({ ...neighbour, family: 'bridge', address: '172.30.0.2' }), 'fdb 172.30.0.2')
  t.equal(entryOf({ event: 'overrun' }), '')
})

t.test('by hand: the same entries, a line for each', async (t) => {
  const [neighbours, forwarding, routes] = textsOf(1, 3, 'dual-stack').map(([, commands]) => commands)
  t.equal(neighbours!.length + forwarding!.length + routes!.length, 3 * entriesOf(1, 'dual-stack').length)
  t.match(neighbours![0], /^neigh add 10\.64\.1\.0 lladdr \S+ dev vxlan4 nud permanent$/)
  t.match(forwarding![1], /^fdb add \S+ dev vxlan6 dst fd00:172:30::2 self permanent$/)
  t.equal(routes![1], 'route add fd00:10:244:2::/64 via fd00:10:244:2:: dev vxlan6 onlink')
  const all = [...neighbours!, ...forwarding!, ...routes!]
  t.equal(new Set(all).size, all.length)
})

/** The cells of the first row that begins so, by column. */
function rowOf({ tables }: Report, ...first: Cell[]): Record<string, Cell> {
  const { columns, rows } = tables[0]!
  const cells = rows.find((row) => first.every((cell, i) => row[i] === cell))!
  return Object.fromEntries(columns.map((name, i) => [name, cells[i]!]))
}
