/** Whole agents on a real API server: Fairlead's and the real kube-proxy, from start to first connection, and through changes. */
import { build, whyNotBuilt } from '../../test/cluster/build.ts'
import type { Journey, Who } from '../agents.ts'
import { openApi } from '../api.ts'
import type { Size } from '../cluster.ts'
import { figure, median, quantile, type Cell, type Report } from '../report.ts'
import { runTask } from '../task.ts'

export interface Case {
  readonly who: Who
  readonly services: number
  readonly rounds: number
  readonly changes: number
}

type TravelBy = (who: Who, changes: number) => Promise<Journey>

export async function agents(short: boolean, progress: (words: string) => void): Promise<Report> {
  const missing = await whyNotBuilt()
  if (missing !== null) return { ...NOTHING, notes: [`Left out, no real API server and kube-proxy here: ${missing}.`] }
  const built = await build('components')
  if (built.kind !== 'built') throw new Error(built.hint)
  progress('agents: kube-apiserver and etcd')
  const api = await openApi()
  const notes: string[] = []
  const results = new Map<Case, Journey[]>()
  const { kubeconfig, caFile, url, token } = api
  const travelBy: TravelBy = (who, changes) => {
    const trip = { who, changes, binary: built.binary, api: { kubeconfig, caFile, url, token } }
    return api.room((namespace) => runTask(namespace, 'agent', trip))
  }
  try {
    progress('agents: a first start, so that compiled code is at hand as on every later one')
    await travelBy('Fairlead', 0)
    for (const [services, cases] of Map.groupBy(casesOf(short), (each) => each.services)) {
      const size: Size = { services, endpoints: 2 }
      progress(`agents: ${figure(services)} services are written`)
      progress(`agents: written in ${figure(await api.write(size))} s`)
      await rounds(cases, travelBy, results, notes, progress)
    }
  } finally {
    await api.stop()
  }
  return reportOf(results, notes)
}

function casesOf(short: boolean): Case[] {
  const of = (who: Who, services: number, rounds: number, changes: number): Case => ({ who, services, rounds, changes })
  if (short) return [of('Fairlead', 1_000, 1, 3), of('kube-proxy nftables', 1_000, 1, 3)]
  const small = WHO.map((who) => of(who, 1_000, 2, 6))
  // The peers take half a minute to two minutes each: once.
  const large = WHO.map((who) => of(who, 10_000, who === 'Fairlead' ? 2 : 1, 6))
  return [...small, ...large]
}

/** All take turns; a peer that fails is left out, and said. */
async function rounds(
  cases: readonly Case[],
  travelBy: TravelBy,
  results: Map<Case, Journey[]>,
  notes: string[],
  progress: (words: string) => void,
): Promise<void> {
  const left = new Set(cases)
  for (let round = 0; round < Math.max(...cases.map((each) => each.rounds)); round++) {
    for (const each of left) {
      if (round >= each.rounds) continue
      const { who, services, changes } = each
      progress(`agents: round ${round + 1} of ${each.rounds}, ${who}, ${figure(services)} services`)
      try {
        results.set(each, [...(results.get(each) ?? []), await travelBy(who, changes)])
      } catch (error) {
        if (who === 'Fairlead') throw error
        left.delete(each)
        notes.push(`${who} with ${figure(services)} services failed: ${String(error).slice(0, 300)}`)
      }
    }
  }
}

export function reportOf(results: ReadonlyMap<Case, readonly Journey[]>, notes: readonly string[]): Report {
  const figures = [...results].map(([{ who, services }, journeys]) => ({ who, services, ...summary(journeys) }))
  const ours = (services: number) => figures.find((it) => it.who === 'Fairlead' && it.services === services)!
  return {
    tables: [
      {
        title:
          'agents: on a real API server, services of 2 endpoints; times of ours in brackets: how many times as long',
        columns: [
          ...['agent', 'services', 'start to first connection, s', 'first sync, as it says, s'],
          ...['change to connection: n', 'p50 ms', 'max ms', 'RSS MB', 'children MB'],
        ],
        rows: figures.map((each) => {
          const own = ours(each.services)
          const times = (value: number, of: number): Cell =>
            each === own ? value : `${figure(value)} (${figure(value / of)}x)`
          return [
            ...[each.who, each.services, times(each.firstMs / 1000, own.firstMs / 1000)],
            ...[times(each.syncMs / 1000, own.syncMs / 1000), each.changes, times(each.changeMs, own.changeMs)],
            ...[each.changeMaxMs, times(each.rssMB, own.rssMB), each.helpersMB],
          ]
        }),
      },
    ],
    checks: [],
    charts: {
      agents: {
        ...{ kind: 'bars', title: 'From the start of an agent to the first connection', unit: 's', log: true },
        bars: figures.map(({ who, services, firstMs }) => ({
          ...{ label: `${who}, ${figure(services)}`, value: firstMs / 1000, ours: who === 'Fairlead' },
        })),
      },
      'agents-change': {
        ...{ kind: 'bars', title: 'An endpoint changes: median until a connection gets there', unit: 'ms', log: true },
        bars: figures.map(({ who, services, changeMs }) => ({
          ...{ label: `${who}, ${figure(services)}`, value: changeMs, ours: who === 'Fairlead' },
        })),
      },
    },
    notes: [
      ...notes,
      'Processes as their users start them, kube-proxy 1.36 with its defaults, kube-apiserver and etcd beside them on the same cores. First connection: of a client that polls every few ms.',
      "First sync: kubeproxy_sync_proxy_rules_duration_seconds of each. Change: from the API server's answer to a connection at the new endpoint; changes 1.5 s apart, since kube-proxy syncs once a second at most. RSS after the changes.",
    ],
  }
}

function summary(journeys: readonly Journey[]) {
  const of = (value: (journey: Journey) => number): number => median(journeys.map(value))
  const changes = journeys.flatMap(({ changesMs }) => changesMs)
  return {
    firstMs: of(({ firstMs }) => firstMs),
    syncMs: of(({ syncMs }) => syncMs),
    changes: changes.length,
    changeMs: median(changes),
    changeMaxMs: quantile(changes, 1),
    rssMB: of(({ memory }) => memory.rssMB),
    helpersMB: of(({ memory }) => memory.helpersMB),
  }
}

const WHO: readonly Who[] = ['Fairlead', 'kube-proxy nftables', 'kube-proxy iptables']
const NOTHING: Report = { tables: [], checks: [], charts: {}, notes: [] }
