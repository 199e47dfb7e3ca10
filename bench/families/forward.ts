/** Connections through a node, a second and in CPU, against no rules at all and against other layouts. */
import { clusterIP, podIP, SPECIAL, type Size } from '../cluster.ts'
import { Lane, type Load } from '../lane.ts'
import type { Peer } from '../peers.ts'
import type { Mode } from '../pipeline.ts'
import { byRound, median, type Report } from '../report.ts'
import { runTask } from '../task.ts'

type Who = 'direct' | 'Fairlead' | `Fairlead, ${Exclude<Mode, 'nftables'>}` | Peer

export interface Runner {
  readonly who: Who
  readonly services: number
  /** What is special about this run; '': a ClusterIP of two endpoints, any of them all. */
  readonly kind: '' | 'affinity' | '5,000 endpoints'
  readonly lane: string
}

export async function forward(short: boolean, progress: (words: string) => void): Promise<Report> {
  const sizes = [1, 1_000, 10_000, 30_000]
  const runners: Runner[] = [
    { who: 'direct', services: 1, kind: '', lane: 'direct' },
    ...sizes.map((services) => runner('Fairlead', services)),
    ...(short ? [10_000] : [1, 1_000, 10_000]).map((services) => runner('Fairlead, iptables-legacy', services)),
    ...(short ? [] : [runner('Fairlead, iptables-nft', 10_000)]),
    ...(short ? [1, 1_000] : [1, 1_000, 10_000]).map((services) => runner('iptables-legacy', services)),
    ...(short ? [1_000] : [1, 1_000, 10_000]).map((services) => runner('kube-proxy-nft', services)),
    { ...runner('Fairlead', 10_000), kind: 'affinity' },
    { ...runner('Fairlead', 10_000), kind: '5,000 endpoints' },
  ]
  const notes: string[] = []
  const lanes = await openLanes(runners, progress, notes)
  const results = new Map<Runner, Load[]>(runners.filter(({ lane }) => lanes.has(lane)).map((each) => [each, []]))
  const [rounds, seconds] = short ? [3, 0.7] : [9, 1.5]
  for (let round = 0; round < rounds; round++) {
    progress(`forward: round ${round + 1} of ${rounds}`)
    // Each round begins elsewhere, so that none always follows the same one.
    const order = [...results.keys()]
    for (let i = 0; i < order.length; i++) {
      const each = order[(i + round * 3) % order.length]!
      results.get(each)!.push(await lanes.get(each.lane)!.load(seconds, placesOf(each)))
    }
  }
  for (const lane of lanes.values()) lane.close()
  return reportOf(results, notes)
}

const runner = (who: Who, services: number): Runner => ({
  who,
  services,
  kind: '',
  lane: `${who.replace(', ', '-')}-${services}`,
})

/** One lane for each ruleset, programmed. What cannot be loaded here is left out and said. */
async function openLanes(
  runners: readonly Runner[],
  progress: (words: string) => void,
  notes: string[],
): Promise<Map<string, Lane>> {
  const lanes = new Map<string, Lane>()
  for (const { who, services, lane: name } of runners) {
    if (lanes.has(name)) continue
    progress(`forward: ${who}, ${services} services`)
    const lane = await Lane.open(name)
    const size: Size = { services, endpoints: 2, special: true }
    try {
      await program(who, lane.node, size)
    } catch (error) {
      lane.close()
      if (who.startsWith('Fairlead')) throw error
      notes.push(`${who} with ${services} services is left out: ${String(error).slice(0, 200)}`)
      continue
    }
    await lane.load(0.3, placesOf({ who, services, kind: '', lane: name }))
    lanes.set(name, lane)
  }
  return lanes
}

async function program(who: Who, namespace: string, size: Size): Promise<void> {
  switch (who) {
    case 'direct':
      return
    case 'Fairlead':
    case 'Fairlead, iptables-legacy':
    case 'Fairlead, iptables-nft':
      return void (await runTask(namespace, 'program', { size, mode: MODES[who] }))
    default:
      await runTask(namespace, 'peer', { peer: who, size })
  }
}

function placesOf({ who, services, kind }: Runner): string[] {
  if (kind === 'affinity') return [`${SPECIAL.affinity}:80`]
  if (kind === '5,000 endpoints') return [`${SPECIAL.crowd}:80`]
  if (who === 'direct') return [`${podIP(0)}:8080`, `${podIP(1)}:8080`]
  return Array.from({ length: services }, (_, i) => `${clusterIP(i)}:80`)
}

export function reportOf(results: ReadonlyMap<Runner, readonly Load[]>, notes: readonly string[]): Report {
  const of = (runner: Runner, value: (load: Load) => number): number => median(results.get(runner)!.map(value))
  const find = (who: Who, services: number, kind: Runner['kind'] = ''): Runner =>
    [...results.keys()].find((it) => it.who === who && it.services === services && it.kind === kind)!
  const direct = results.get(find('direct', 1))!
  const against = (runner: Runner, bases: readonly Load[], part: (load: Load, base: Load) => number): number =>
    byRound(results.get(runner)!, bases, part)
  const rate = (load: Load, base: Load): number => load.rate / base.rate
  const ofDirect = (runner: Runner): number => against(runner, direct, rate)
  const byCpu = (runner: Runner): number => against(runner, direct, (load, base) => base.cpuUs / load.cpuUs)
  const ofSelf = (services: number, part: (load: Load, base: Load) => number): number =>
    against(find('Fairlead', services), results.get(find('Fairlead', 1))!, part)
  const rows = [...results].map(([runner, loads]) => [
    runner.kind === '' ? runner.who : `${runner.who}, ${runner.kind}`,
    runner.services,
    of(runner, ({ rate }) => Math.round(rate)),
    ofDirect(runner),
    byCpu(runner),
    of(runner, ({ cpuUs }) => cpuUs),
    against(runner, direct, (load, base) => load.cpuUs - base.cpuUs),
    of(runner, ({ clientUs }) => clientUs),
    of(runner, ({ machineUs }) => machineUs),
    of(runner, ({ softirqUs }) => softirqUs),
    of(runner, ({ p99Us }) => p99Us / 1000),
    loads.reduce((sum, { failed }) => sum + failed, 0),
  ])
  const who = ['Fairlead', 'Fairlead, iptables-legacy', 'kube-proxy-nft', 'iptables-legacy'] as const
  const line = (name: Who) =>
    [...results.keys()]
      .filter((it) => it.who === name && it.kind === '')
      .map((it) => [it.services, ofDirect(it)] as const)
  return {
    tables: [
      {
        title: 'forward: connections through a node, client and backend on the same machine',
        columns: [
          'rules',
          'services',
          'conn/s',
          'of direct',
          'by CPU',
          'CPU us/conn',
          'more than direct',
          'client',
          'machine',
          'softirq',
          'p99 ms',
          'failed',
        ],
        rows,
      },
    ],
    checks: [
      { what: '1 service, rate of direct', value: ofDirect(find('Fairlead', 1)), unit: '', target: { atLeast: 0.8 } },
      {
        what: '10,000 services, rate of direct',
        value: ofDirect(find('Fairlead', 10_000)),
        unit: '',
        target: { atLeast: 0.8 },
      },
      {
        what: '10,000 services, the same by CPU',
        value: byCpu(find('Fairlead', 10_000)),
        unit: '',
        target: { atLeast: 0.8 },
      },
      {
        what: '30,000 services, rate of that with 1',
        value: ofSelf(30_000, rate),
        unit: '',
        target: { atLeast: 0.9 },
      },
      {
        what: '10,000 services, CPU/conn of that with 1',
        value: ofSelf(10_000, (load, base) => load.cpuUs / base.cpuUs),
        unit: '',
        target: { below: 1.05 },
      },
      {
        what: 'session affinity, rate of direct',
        value: ofDirect(find('Fairlead', 10_000, 'affinity')),
        unit: '',
        target: { atLeast: 0.75 },
      },
      {
        what: '5,000 endpoints, rate of direct',
        value: ofDirect(find('Fairlead', 10_000, '5,000 endpoints')),
        unit: '',
        target: { atLeast: 0.75 },
      },
    ],
    charts: {
      forward: {
        ...{ kind: 'lines', title: 'Connection rate, as a part of direct', xLabel: 'services', yMax: 1 },
        series: Object.fromEntries(who.map((name) => [name, line(name)])),
      },
    },
    notes: [
      ...notes,
      'CPU, us a connection: of client and server, which is where the kernel does nearly all of a packet (both stacks, routing, NAT); of the whole machine, whoever else was at work included; and in soft interrupts (part of both).',
      '"by CPU": the rate, as a part of direct, if both had the same CPU: what counts when others are at work on the machine.',
      '"more than direct": CPU that rules, NAT and conntrack add, in the same round.',
    ],
  }
}

const MODES = {
  Fairlead: 'nftables',
  'Fairlead, iptables-legacy': 'iptables-legacy',
  'Fairlead, iptables-nft': 'iptables-nft',
} as const
