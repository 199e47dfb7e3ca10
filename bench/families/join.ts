/** A node joins a cluster of 1,000, and one more joins such a cluster: the shipped agent, beside finished texts by hand. */
import { ip } from '../../test/netns/world.ts'
import type { Cluster, Joined } from '../join.ts'
import { endsOf, type Families } from '../nodes.ts'
import { byRound, median, quantile, type Cell, type Report } from '../report.ts'
import { runTask } from '../task.ts'

export interface Case {
  readonly who: 'Fairlead' | 'by hand'
  readonly families: Families
}

export async function join(short: boolean, progress: (words: string) => void): Promise<Report> {
  const [rounds, more] = short ? [1, 10] : [5, 40]
  const results = new Map<Case, Joined[]>(CASES.map((each) => [each, []]))
  progress('join: a first start, so that compiled code is at hand as on every later one')
  await sample(CASES[0]!, { peers: 1, more: 0 })
  for (let round = 0; round < rounds; round++) {
    for (const each of CASES) {
      progress(`join: round ${round + 1} of ${rounds}, ${each.who}, ${each.families}`)
      results.get(each)!.push(await sample(each, { peers: PEERS, more }))
    }
  }
  return reportOf(results)
}

async function sample({ who, families }: Case, size: Omit<Cluster, 'families'>): Promise<Joined> {
  const namespace = `j-${serial++}`
  const at = `-n ${namespace}`
  await ip(
    `netns add ${namespace}`,
    `${at} link set lo up`,
    `${at} link add eth0 type veth peer name wire`,
    `${at} link set wire up`,
    `${at} link set eth0 up`,
    ...endsOf(0, families).map(({ address }) => `${at} addr add ${address}${address.includes(':') ? '/64 nodad' : '/16'} dev eth0`), // prettier-ignore
  )
  try {
    return await runTask(namespace, who === 'Fairlead' ? 'joinByAgent' : 'joinByHand', { ...size, families })
  } finally {
    await ip(`netns del ${namespace}`)
  }
}

export function reportOf(results: ReadonlyMap<Case, readonly Joined[]>): Report {
  const find = (who: Case['who'], families: Families): readonly Joined[] =>
    [...results].find(([each]) => each.who === who && each.families === families)![1]
  const of = (all: readonly Joined[], field: Exclude<keyof Joined, 'moreMs'>): number =>
    Math.round(median(all.map((each) => each[field])))
  const more = (all: readonly Joined[], part: number): number =>
    quantile(
      all.flatMap(({ moreMs }) => moreMs),
      part,
    )
  return {
    tables: [
      {
        title: `join: a node comes to ${PEERS.toLocaleString('en-US')} others, ms and CPU ms until the kernel has the last entry`,
        columns: [
          ...['who', 'pods and nodes', 'entries', 'first list to last entry', 'of by hand', 'its CPU'],
          ...['from the start of the process', 'its CPU '],
        ],
        rows: [...results].map(([{ who, families }, all]): Cell[] => [
          ...[who, families, of(all, 'entries'), of(all, 'listedMs')],
          `${byRound(all, find('by hand', families), (one, base) => one.listedMs / base.listedMs).toPrecision(2)}x`,
          ...[of(all, 'listedCpuMs'), of(all, 'startedMs'), of(all, 'startedCpuMs')],
        ]),
      },
      {
        title: `join: one more comes to ${PEERS.toLocaleString('en-US')}, ms from the API server until the kernel has its last entry`,
        columns: ['who', 'pods and nodes', 'nodes', 'p50', 'p99', 'max'],
        rows: [...results].map(([{ who, families }, all]): Cell[] => [
          ...[who, families, all.flatMap(({ moreMs }) => moreMs).length],
          ...[0.5, 0.99, 1].map((part) => more(all, part)),
        ]),
      },
    ],
    checks: (['IPv4', 'dual-stack'] as const).map((families) => ({
      what: `${PEERS.toLocaleString('en-US')} peers, ${families}, first list to last entry`,
      ...{ value: of(find('Fairlead', families), 'listedMs') / 1000, unit: 's', target: { below: 1 } },
    })),
    charts: {},
    notes: [
      'Fairlead: the agent as shipped with --overlay vxlan, on an API server of the lab, whose nodes have some 8 KB each; from its request for the list, so that being served and parsing is in it. Seen by a process that the kernel tells of each entry.',
      'By hand: finished texts for ip -batch and bridge -batch, three processes; one more is three processes, too.',
    ],
  }
}

const PEERS = 1_000
const CASES: readonly Case[] = [
  { who: 'Fairlead', families: 'IPv4' },
  { who: 'by hand', families: 'IPv4' },
  { who: 'Fairlead', families: 'dual-stack' },
  { who: 'by hand', families: 'dual-stack' },
]
let serial = 0
