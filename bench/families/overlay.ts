/** Pods of two nodes: throughput, packets and connections through our overlay, beside the same kernel's VXLAN set by hand. */
import type { Measure, Sample } from '../measure.ts'
import type { Pair } from '../pair.ts'
import { byRound, median, type Cell, type Check, type Report, type Table } from '../report.ts'
import { open, type Way } from '../ways.ts'

export type Samples = Readonly<Record<Measure, Sample[]>>

export async function overlay(short: boolean, progress: (words: string) => void): Promise<Report> {
  const ways = short ? WAYS.filter(({ underlay }) => underlay === 4) : WAYS
  const pairs = new Map<Way, Pair>()
  const results = new Map<Way, Samples>(ways.map((way) => [way, { stream: [], packets: [], connect: [] }]))
  try {
    for (const [i, way] of ways.entries()) {
      progress(`overlay: ${nameOf(way)}`)
      pairs.set(way, await open(`o${i}`, way))
    }
    const [rounds, seconds] = short ? [3, 0.4] : [9, 0.8]
    for (let round = 0; round < rounds; round++) {
      progress(`overlay: round ${round + 1} of ${rounds}`)
      // Each round begins elsewhere, so that none always follows the same one.
      for (let i = 0; i < ways.length; i++) {
        const way = ways[(i + round * 3) % ways.length]!
        const samples = await pairs.get(way)!.measure(MEASURES, seconds)
        for (const what of MEASURES) results.get(way)![what].push(samples[what])
      }
    }
  } finally {
    for (const pair of pairs.values()) pair.close()
  }
  return reportOf(results)
}

export function reportOf(results: ReadonlyMap<Way, Samples>): Report {
  const find = (name: string, underlay = 4): Samples | undefined =>
    [...results].find(([way]) => way.name === name && way.underlay === underlay)?.[1]
  const direct = find(DIRECT)!
  const rate = (samples: Samples, bases: Samples, what: Measure): number =>
    byRound(samples[what], bases[what], (sample, base) => sample.rate / base.rate)
  const checks = ([name, than, underlay]: (typeof PROMISES)[number]): readonly Check[] => {
    const [samples, bases] = [find(name, underlay), find(than, underlay)]
    if (samples === undefined || bases === undefined) return []
    return MEASURES.map((what) => ({
      what: `${WHAT[what].title} of ${name}, of ${than}${underlay === 6 ? ', over IPv6' : ''}`,
      ...{ value: rate(samples, bases, what), unit: '', target: { atLeast: 0.95 } },
    }))
  }
  const table = (what: Measure): Table => {
    const { title, rateName, unit, figure } = WHAT[what]
    return {
      title: `overlay: ${title} between pods of two nodes`,
      columns: [
        ...['between the nodes', 'over', rateName, 'of direct', 'of VXLAN by hand', `CPU ${unit}`],
        ...['more than by hand, %', 'machine', 'more, %', 'softirq', 'lost, %', 'agents, % of a core'],
      ],
      rows: [...results].map(([way, samples]): Cell[] => {
        const of = (value: (sample: Sample) => number): number => median(samples[what].map(value))
        const byHand = find(BY_HAND, way.underlay)!
        const more = (cpu: (sample: Sample) => number): number =>
          byRound(samples[what], byHand[what], (sample, base) => cpu(sample) / cpu(base) - 1) * 100
        const [cpu, machine] = [({ cpuUs }: Sample) => cpuUs, ({ machineUs }: Sample) => machineUs]
        return [
          ...[way.name, `IPv${way.underlay}`, of((sample) => sample.rate), rate(samples, direct, what)],
          ...[rate(samples, byHand, what), figure(of(cpu)), more(cpu), figure(of(machine)), more(machine)],
          ...[figure(of((sample) => sample.softirqUs)), of((sample) => sample.lost * 100)],
          way.kind === 'Fairlead' ? of((sample) => sample.agents * 100) : '',
        ]
      }),
    }
  }
  return {
    tables: MEASURES.map(table),
    checks: PROMISES.flatMap(checks),
    charts: {
      overlay: {
        ...{ kind: 'bars', title: 'Between pods of two nodes, of direct', unit: '%', log: false },
        bars: MEASURES.flatMap((what) =>
          [...results].map(([way, samples]) => ({
            ...{ label: `${WHAT[what].title}, ${nameOf(way)}`.slice(0, 46), ours: way.kind === 'Fairlead' },
            value: rate(samples, direct, what) * 100,
          })),
        ),
      },
    },
    notes: [
      'Two nodes and their pods in namespaces of one machine, wired by veth: a stream crosses in pieces of up to 64 KiB, as with a card that cuts them itself. Packets: UDP payloads of 22 bytes, one flow; those that arrived.',
      'Direct: routes over the link, nothing wrapped. By hand: a device, and one route, neighbour and forwarding entry, no rule anywhere. "Fairlead, overlay only": --mode none --no-masquerade; "Fairlead": the agent as shipped, so that connections are tracked and Services and masquerading looked at.',
      'CPU: of client and server; machine: of all, which has what the kernel does for packets in threads of its own. "More" is the median of rounds. Agents run while they are measured, and only then.',
    ],
  }
}

const nameOf = ({ name, underlay }: Way): string => (underlay === 4 ? name : `${name}, over IPv6`)

const MEASURES: readonly Measure[] = ['stream', 'packets', 'connect']
const WHAT = {
  stream: { title: 'throughput', rateName: 'Gbit/s', unit: 'us/MiB', figure: (us: number) => us },
  packets: {
    title: 'packets',
    rateName: 'packets/s',
    unit: 'ns/packet',
    figure: (us: number) => Math.round(us * 1000),
  },
  connect: { title: 'connections', rateName: 'conn/s', unit: 'us/conn', figure: (us: number) => us },
} as const
const DIRECT = 'direct'
const BY_HAND = 'VXLAN by hand'
const TRACKED = 'VXLAN by hand, flannel rules'
const ONLY = 'Fairlead, overlay only'
const WHOLE = 'Fairlead'
const ONLY_ARGS = ['--mode', 'none', '--no-masquerade']
const WAYS: readonly Way[] = [
  { name: DIRECT, kind: 'direct', underlay: 4 },
  { name: BY_HAND, kind: 'by hand', underlay: 4 },
  { name: ONLY, kind: 'Fairlead', underlay: 4, args: ONLY_ARGS },
  { name: TRACKED, kind: 'by hand', underlay: 4, masquerade: true },
  { name: WHOLE, kind: 'Fairlead', underlay: 4 },
  { name: BY_HAND, kind: 'by hand', underlay: 6 },
  { name: ONLY, kind: 'Fairlead', underlay: 6, args: ONLY_ARGS },
]
/** What is promised to be equal, within 5 %, to what: like with like, and all of ours with the least that carries. */
const PROMISES = [
  [ONLY, BY_HAND, 4],
  [WHOLE, TRACKED, 4],
  [WHOLE, BY_HAND, 4],
  [ONLY, BY_HAND, 6],
] as const
