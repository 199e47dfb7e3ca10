/** What each part of the ruleset costs a new connection: where the next microsecond can be had. */
import { inside } from '../../test/netns/world.ts'
import { BACKEND_PORT, clusterIP, podIP, WAYS } from '../cluster.ts'
import { Lane, type Load } from '../lane.ts'
import { byRound, median, type Report } from '../report.ts'
import { runTask } from '../task.ts'

interface Step {
  readonly what: string
  /** Whose ruleset: a text for nft, or one of the names below. */
  readonly lane: string
  /** IP:PORT. */
  readonly to: readonly string[]
  readonly from?: 'outsiders'
  /** The step that this one adds something to. */
  readonly on: string
}

export async function rules(short: boolean, progress: (words: string) => void): Promise<Report> {
  const lanes = new Map<string, Lane>()
  const results = new Map<Step, Load[]>(STEPS.map((step) => [step, []]))
  for (const name of new Set(STEPS.map(({ lane }) => lane))) {
    progress(`rules: ${name}`)
    lanes.set(name, await openLane(name))
  }
  const [rounds, seconds] = short ? [3, 0.3] : [9, 1]
  for (const { lane, to, from } of STEPS) await lanes.get(lane)!.load(0.2, to, from)
  for (let round = 0; round < rounds; round++) {
    progress(`rules: round ${round + 1} of ${rounds}`)
    for (let i = 0; i < STEPS.length; i++) {
      const step = STEPS[(i + round * 5) % STEPS.length]!
      results.get(step)!.push(await lanes.get(step.lane)!.load(seconds, step.to, step.from))
    }
  }
  for (const lane of lanes.values()) lane.close()
  return reportOf(results)
}

async function openLane(name: string): Promise<Lane> {
  const lane = await Lane.open(`r-${name}`)
  try {
    if (name === FAIRLEAD) await runTask(lane.node, 'program', { services: 1, endpoints: 2, ways: true })
    else if (name === IPTABLES)
      await runTask(lane.node, 'peer', { peer: 'iptables-legacy', size: { services: 1, endpoints: 2 } })
    else for (const line of TEXTS[name]!) await inside(lane.node, 'nft', line)
    return lane
  } catch (error) {
    lane.close()
    throw error
  }
}

function reportOf(results: ReadonlyMap<Step, readonly Load[]>): Report {
  const loadsOf = (what: string): readonly Load[] => [...results].find(([step]) => step.what === what)![1]
  const rows = [...results].map(([{ what, on }, loads]) => [
    what,
    median(loads.map(({ rate }) => Math.round(rate))),
    byRound(loads, loadsOf('direct'), (load, direct) => load.rate / direct.rate),
    median(loads.map(({ cpuUs }) => cpuUs)),
    median(loads.map(({ clientUs }) => clientUs)),
    what === on ? '' : byRound(loads, loadsOf('direct'), (load, direct) => load.cpuUs - direct.cpuUs),
    what === on ? '' : byRound(loads, loadsOf(on), (load, base) => load.cpuUs - base.cpuUs),
    what === on ? '' : on,
    loads.reduce((sum, { failed }) => sum + failed, 0),
  ])
  return {
    tables: [
      {
        title: 'rules: what each part costs a new connection, one Service',
        columns: [
          ...['rules', 'conn/s', 'of direct', 'CPU us/conn', 'client', 'more than direct', 'adds', 'to', 'failed'],
        ],
        rows,
      },
    ],
    checks: [],
    charts: {},
    notes: [
      'CPU of client and server, us a connection; "adds" is the median of the differences within each round, and as uncertain as two of these figures.',
      'A pod reaches a ClusterIP; an outsider is masqueraded, except at a node port with externalTrafficPolicy Local.',
    ],
  }
}

const PLACE = `${clusterIP(0)}:80`
const at = (name: string): string => WAYS.find((way) => way.name === name)!.at

const FAIRLEAD = 'fairlead'
const IPTABLES = 'iptables'
const chain = (name: string, hook: string): string => `add chain inet bench ${name} { type ${hook}; }`
const NAT = [
  'add table inet bench',
  chain('pre', 'nat hook prerouting priority dstnat'),
  chain('out', 'nat hook output priority -100'),
  chain('post', 'nat hook postrouting priority srcnat'),
  // Never met, but for it the kernel would not follow connections.
  'add rule inet bench pre ip daddr 203.0.113.1 dnat ip to 203.0.113.2',
]
const TEXTS: Readonly<Record<string, readonly string[]>> = {
  direct: [],
  conntrack: [
    'add table inet bench',
    chain('pre', 'filter hook prerouting priority 0'),
    'add rule inet bench pre ct state invalid drop',
  ],
  nat: NAT,
  dnat: [
    ...NAT,
    `add rule inet bench pre ip daddr ${clusterIP(0)} tcp dport 80 dnat ip to ${podIP(0)}:${BACKEND_PORT}`,
  ],
  map: [
    ...NAT,
    'add map inet bench slots { typeof ip daddr . tcp dport . numgen random mod 1 : ip daddr . tcp dport; }',
    `add element inet bench slots { ${[0, 1].map((i) => `${clusterIP(0)} . 80 . ${i} : ${podIP(i)} . ${BACKEND_PORT}`).join(', ')} }`,
    'add rule inet bench pre dnat ip to ip daddr . tcp dport . numgen random mod 2 map @slots',
  ],
}

const DIRECT = [`${podIP(0)}:${BACKEND_PORT}`, `${podIP(1)}:${BACKEND_PORT}`]
const STEPS: readonly Step[] = [
  { what: 'direct', lane: 'direct', to: DIRECT, on: 'direct' },
  { what: 'conntrack', lane: 'conntrack', to: DIRECT, on: 'direct' },
  { what: 'nat hooks, one rule', lane: 'nat', to: DIRECT, on: 'conntrack' },
  { what: 'one dnat to a constant', lane: 'dnat', to: [PLACE], on: 'nat hooks, one rule' },
  { what: 'one dnat by a map', lane: 'map', to: [PLACE], on: 'one dnat to a constant' },
  { what: 'iptables-legacy', lane: IPTABLES, to: [PLACE], on: 'one dnat to a constant' },
  { what: 'Fairlead, past it', lane: FAIRLEAD, to: DIRECT, on: 'nat hooks, one rule' },
  { what: 'Fairlead, ClusterIP', lane: FAIRLEAD, to: [PLACE], on: 'one dnat by a map' },
  { what: '+ affinity', lane: FAIRLEAD, to: [at('sticky')], on: 'Fairlead, ClusterIP' },
  { what: '+ masquerade', lane: FAIRLEAD, to: [at('plain')], from: 'outsiders', on: 'Fairlead, ClusterIP' },
  { what: 'node port', lane: FAIRLEAD, to: [at('ported')], from: 'outsiders', on: '+ masquerade' },
  { what: 'load balancer, source ranges', lane: FAIRLEAD, to: [at('ranged')], from: 'outsiders', on: 'node port' },
  { what: 'node port, Local', lane: FAIRLEAD, to: [at('local')], from: 'outsiders', on: 'Fairlead, ClusterIP' },
]
