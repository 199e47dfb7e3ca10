/** One endpoint changes: from the event to the kernel's commit, and to the first connection that goes to the new place. */
import { ip } from '../../test/netns/world.ts'
import type { Size } from '../cluster.ts'
import type { Mode } from '../pipeline.ts'
import { NOT_A_POD } from '../place.ts'
import { quantile, type Report } from '../report.ts'
import { runTask } from '../task.ts'

interface Case {
  readonly who: string
  readonly what: string
  readonly run: (namespace: string) => Promise<number[]>
}

export async function change(short: boolean, progress: (words: string) => void): Promise<Report> {
  const small: Size = { services: 1_000, endpoints: 10 }
  const large: Size = { services: 10_000, endpoints: 10 }
  const thin: Size = { services: 10_000, endpoints: 2 }
  const changes = short ? 100 : 500
  const few = short ? 10 : 50
  const ours = (what: string, size: Size, of: 'any' | 'crowd'): Case => ({
    ...{ who: 'Fairlead', what, run: (namespace) => runTask(namespace, 'change', { size, of, changes }) },
  })
  // Legacy writes the whole table each time: as few as of peers.
  const byIptables = (mode: Mode, what: string, size: Size, changes: number): Case => ({
    who: `Fairlead, ${mode}`,
    ...{ what, run: (namespace) => runTask(namespace, 'change', { size, of: 'any', changes, mode }) },
  })
  const peer = (peer: 'kube-proxy-nft' | 'iptables-legacy' | 'iptables-nft', what: string, size: Size): Case => ({
    ...{ who: peer, what, run: (namespace) => runTask(namespace, 'peerChange', { peer, size, changes: few }) },
  })
  const cases: Case[] = [
    ours('1,000 x 10', small, 'any'),
    ours(TARGETED, large, 'any'),
    ours('1 of 5,000 endpoints, 10,000 x 10 beside', { ...large, special: true }, 'crowd'),
    {
      ...{ who: 'Fairlead', what: `until a connection gets there, ${TARGETED}` },
      run: (namespace) => runTask(namespace, 'follow', { size: large, changes: few }),
    },
    byIptables('iptables-legacy', TARGETED, large, short ? 5 : 25),
    ...(short
      ? []
      : [
          byIptables('iptables-legacy', '1,000 x 10', small, few),
          byIptables('iptables-nft', '1,000 x 10', small, few),
          byIptables('iptables-nft', TARGETED, large, few),
        ]),
    peer('kube-proxy-nft', '1,000 x 10', small),
    peer('iptables-legacy', '10,000 x 2', thin),
    peer('iptables-nft', '10,000 x 2', thin),
    ...(short ? [] : [peer('kube-proxy-nft', '10,000 x 2', thin)]),
  ]
  const notes: string[] = []
  const results = new Map<Case, number[]>()
  for (const each of cases) {
    progress(`change: ${each.who}, ${each.what}`)
    try {
      results.set(each, await sample(each))
    } catch (error) {
      if (isOurs(each)) throw error
      notes.push(`${each.who}, ${each.what} failed: ${String(error).slice(0, 200)}`)
    }
  }
  const p99 = quantile(results.get(cases[1]!)!, 0.99)
  return {
    tables: [
      {
        title: 'change: one endpoint is replaced, ms from the event to the commit',
        columns: ['who', 'cluster', 'changes', 'p50', 'p99', 'max'],
        rows: [...results].map(([{ who, what }, times]) => [
          ...[who, what, times.length],
          ...[0.5, 0.99, 1].map((part) => quantile(times, part)),
        ]),
      },
    ],
    checks: [{ what: `one endpoint, ${TARGETED}, p99`, value: p99, unit: 'ms', target: { below: 10 } }],
    charts: {
      change: {
        ...{ kind: 'bars', title: 'One endpoint changes: median until the kernel has it', unit: 'ms', log: true },
        bars: [...results].map(([{ who, what }, times]) => ({
          ...{ label: `${who}, ${what.replace('until a connection gets there, ', 'used, ')}`.slice(0, 38) },
          ...{ value: quantile(times, 0.5), ours: isOurs({ who }) },
        })),
      },
    },
    notes: [
      ...notes,
      'Peers: their tool alone, with a finished text of only what changes; what finds out what changes is not counted.',
    ],
  }
}

async function sample({ run }: Case): Promise<number[]> {
  const namespace = `h-${serial++}`
  // Someone must be there to send to: a node has a route for any address.
  await ip(
    `netns add ${namespace}`,
    `-n ${namespace} link set lo up`,
    `-n ${namespace} route add local 10.128.0.0/10 dev lo`,
    `-n ${namespace} addr add ${NOT_A_POD}/32 dev lo`,
    `-n ${namespace} route add 10.96.0.0/12 dev lo src ${NOT_A_POD}`,
  )
  try {
    return await run(namespace)
  } finally {
    await ip(`netns del ${namespace}`)
  }
}

const isOurs = ({ who }: Pick<Case, 'who'>): boolean => who.startsWith('Fairlead')

const TARGETED = '10,000 x 10'
let serial = 0
