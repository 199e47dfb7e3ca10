/** What each part of the ruleset costs a new connection: where the next microsecond can be had. */
import { describe, exec } from '../../src/kernel/exec.ts'
import { within } from '../../test/netns/world.ts'
import { BACKEND_PORT, clusterIP, podIP, WAYS } from '../cluster.ts'
import { Lane, type Load } from '../lane.ts'
import { byRound, median, type Report } from '../report.ts'
import { COPIES, KINDS, PARTS, repeated } from '../rulesets.ts'
import { runTask } from '../task.ts'

export interface Step {
  readonly what: string
  readonly lane: keyof typeof PARTS | 'Fairlead' | 'iptables' | `${typeof COPIES} x ${string}`
  /** IP:PORT. */
  readonly to: readonly string[]
  readonly from?: 'outsiders'
  /** The step that this one adds something to. */
  readonly on: string
}

export async function rules(short: boolean, progress: (words: string) => void): Promise<Report> {
  const steps = short ? STEPS : [...STEPS, ...REPEATED]
  const lanes = new Map<string, Lane>()
  const results = new Map<Step, Load[]>(steps.map((step) => [step, []]))
  progress(`rules: ${new Set(steps.map(({ lane }) => lane)).size} rulesets`)
  for (const { lane } of steps) if (!lanes.has(lane)) lanes.set(lane, await openLane(lane, lanes.size))
  for (const { lane, to, from } of steps) await lanes.get(lane)!.load(0.2, to, from)
  const [rounds, seconds] = short ? [3, 0.3] : [9, 0.4]
  for (let round = 0; round < rounds; round++) {
    progress(`rules: round ${round + 1} of ${rounds}`)
    for (let i = 0; i < steps.length; i++) {
      const step = steps[(i + round * 5) % steps.length]!
      results.get(step)!.push(await lanes.get(step.lane)!.load(seconds, step.to, step.from))
    }
  }
  for (const lane of lanes.values()) lane.close()
  return reportOf(results)
}

async function openLane(name: Step['lane'], number: number): Promise<Lane> {
  const lane = await Lane.open(`r${number}`)
  const size = { services: 1, endpoints: 2 }
  try {
    if (name === 'Fairlead') await runTask(lane.node, 'program', { size: { ...size, ways: true } })
    else if (name === 'iptables') await runTask(lane.node, 'peer', { peer: 'iptables-legacy', size })
    else await load(lane.node, name in PARTS ? PARTS[name as keyof typeof PARTS] : repeated(name.slice(PREFIX.length)))
    return lane
  } catch (error) {
    lane.close()
    throw error
  }
}

async function load(namespace: string, stdin: string): Promise<void> {
  const command: string[] = [...within(namespace), 'nft', '-f', '-']
  const result = await exec(command as [string, ...string[]], { stdin })
  if (result.kind !== 'done') throw new Error(describe(result))
}

export function reportOf(results: ReadonlyMap<Step, readonly Load[]>): Report {
  const loadsOf = (what: string): readonly Load[] => [...results].find(([step]) => step.what === what)![1]
  const more = (loads: readonly Load[], than: string): number =>
    byRound(loads, loadsOf(than), (load, base) => load.cpuUs - base.cpuUs)
  const parts = [...results].filter(([step]) => !step.what.startsWith(PREFIX))
  const kinds = [...results].filter(([step]) => step.what.startsWith(PREFIX))
  const tables = [
    {
      title: 'rules: what each part costs a new connection, one Service',
      columns: ['rules', 'conn/s', 'of direct', 'CPU us/conn', 'client', 'more than direct', 'adds', 'to', 'failed'],
      rows: parts.map(([{ what, on }, loads]) => [
        what,
        median(loads.map(({ rate }) => Math.round(rate))),
        byRound(loads, loadsOf('direct'), (load, direct) => load.rate / direct.rate),
        median(loads.map(({ cpuUs }) => cpuUs)),
        median(loads.map(({ clientUs }) => clientUs)),
        ...(what === on ? ['', '', ''] : [more(loads, 'direct'), more(loads, on), on]),
        loads.reduce((sum, { failed }) => sum + failed, 0),
      ]),
    },
    {
      title: `rules: one rule of each kind, weighed by ${COPIES} of it`,
      columns: ['rule', 'ns'],
      rows: kinds.map(([{ what, on }, loads]) => [
        KINDS[what.slice(PREFIX.length)]!,
        Math.round((more(loads, on) * 1000) / COPIES),
      ]),
    },
  ]
  return {
    tables: tables.filter(({ rows }) => rows.length > 0),
    checks: [],
    charts: {},
    notes: [
      'CPU of client and server, us a connection; "adds" is the median of the differences within each round, and as uncertain as two of these figures.',
      'A pod reaches a ClusterIP; an outsider is masqueraded, except at a node port with externalTrafficPolicy Local.',
      'NAT chains see the first packet of a connection and no other.',
    ],
  }
}

const PLACE = `${clusterIP(0)}:80`
const at = (name: string): string => WAYS.find((way) => way.name === name)!.at

const DIRECT = [`${podIP(0)}:${BACKEND_PORT}`, `${podIP(1)}:${BACKEND_PORT}`]
const STEPS: readonly Step[] = [
  { what: 'direct', lane: 'direct', to: DIRECT, on: 'direct' },
  { what: 'conntrack', lane: 'conntrack', to: DIRECT, on: 'direct' },
  { what: 'nat hooks, one rule', lane: 'nat', to: DIRECT, on: 'conntrack' },
  { what: 'one dnat to a constant', lane: 'dnat', to: [PLACE], on: 'nat hooks, one rule' },
  { what: 'one dnat by a map', lane: 'map', to: [PLACE], on: 'one dnat to a constant' },
  { what: 'iptables-legacy', lane: 'iptables', to: [PLACE], on: 'one dnat to a constant' },
  { what: 'Fairlead, past it', lane: 'Fairlead', to: DIRECT, on: 'nat hooks, one rule' },
  { what: 'Fairlead, ClusterIP', lane: 'Fairlead', to: [PLACE], on: 'one dnat by a map' },
  { what: '+ affinity', lane: 'Fairlead', to: [at('sticky')], on: 'Fairlead, ClusterIP' },
  { what: '+ masquerade', lane: 'Fairlead', to: [at('plain')], from: 'outsiders', on: 'Fairlead, ClusterIP' },
  { what: 'node port', lane: 'Fairlead', to: [at('ported')], from: 'outsiders', on: '+ masquerade' },
  { what: 'load balancer, source ranges', lane: 'Fairlead', to: [at('ranged')], from: 'outsiders', on: 'node port' },
  { what: 'node port, Local', lane: 'Fairlead', to: [at('local')], from: 'outsiders', on: 'Fairlead, ClusterIP' },
]
const PREFIX = `${COPIES} x `
const REPEATED: readonly Step[] = Object.keys(KINDS).map((kind) => ({
  ...{ what: `${PREFIX}${kind}`, lane: `${PREFIX}${kind}` as const, to: DIRECT, on: 'nat hooks, one rule' },
}))
