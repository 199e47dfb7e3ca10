/** All services from nothing into the kernel, in a process that has just started, against other layouts and tools. */
import { ip } from '../../test/netns/world.ts'
import type { Size } from '../cluster.ts'
import type { Peer } from '../peers.ts'
import type { Mode } from '../pipeline.ts'
import { figure, median, type Report } from '../report.ts'
import { runTask } from '../task.ts'

interface Case {
  readonly who: 'Fairlead' | Peer
  readonly size: Size
  /** Ours. */
  readonly mode?: Mode
  readonly rounds: number
}

interface Sample {
  /** Raw objects to rows; peers get theirs for nothing: their text is ready. */
  readonly decideMs: number
  /** Rows to kernel: wall time, and CPU of the tool that talks to it. */
  readonly applyMs: number
  readonly userMs: number
  readonly systemMs: number
  readonly rows: number
  readonly peakMB: number
}

export async function program(short: boolean, progress: (words: string) => void): Promise<Report> {
  const rounds = short ? 1 : 3
  const of = (who: Case['who'], services: number, endpoints = 2, more: Partial<Size> = {}): Case => ({
    ...{ who, rounds, size: { services, endpoints, ...more } },
  })
  const ours = (mode: Mode, services: number): Case => ({ ...of('Fairlead', services), mode })
  const peers = short ? [1_000, 10_000] : [1_000, 10_000, 30_000]
  const cases: Case[] = [
    ...[1_000, 10_000, 30_000].map((services) => of('Fairlead', services)),
    of('Fairlead', 10_000, 10, { type: 'NodePort', dual: true }),
    ...(short ? [10_000] : [1_000, 10_000]).map((services) => ours('iptables-legacy', services)),
    ...(short ? [] : [1_000, 10_000].map((services) => ours('iptables-nft', services))),
    ...peers.map((services) => of('iptables-legacy', services)),
    ...peers.map((services) => of('iptables-nft', services)),
    of('kube-proxy-nft', 1_000),
    // Ten seconds and more: once.
    ...(short ? [] : [{ ...of('kube-proxy-nft', 10_000), rounds: 1 }]),
  ]
  const notes: string[] = []
  const samples = new Map<Case, Sample[]>(cases.map((each) => [each, []]))
  for (let round = 0; round < rounds; round++) {
    for (const each of cases) {
      if (round >= each.rounds) continue
      progress(`program: round ${round + 1} of ${each.rounds}, ${nameOf(each)}`)
      try {
        samples.get(each)!.push(await sample(each))
      } catch (error) {
        if (each.who === 'Fairlead') throw error
        if (round === 0) notes.push(`${nameOf(each)} failed: ${String(error).slice(0, 200)}`)
      }
    }
  }
  return reportOf(samples, notes)
}

async function sample({ who, size, mode }: Case): Promise<Sample> {
  const namespace = `p-${serial++}`
  await ip(`netns add ${namespace}`, `-n ${namespace} link set lo up`)
  try {
    if (who === 'Fairlead') {
      const told = await runTask(namespace, 'program', { size, ...(mode && { mode }) })
      const { parseMs, deriveMs, applyMs, tool, rows, peakMB } = told
      return { decideMs: parseMs + deriveMs, applyMs, ...tool, rows, peakMB }
    }
    const { applyMs, cpu } = await runTask(namespace, 'peer', { peer: who, size })
    return { decideMs: 0, applyMs, ...cpu, rows: 0, peakMB: 0 }
  } finally {
    await ip(`netns del ${namespace}`)
  }
}

function reportOf(samples: ReadonlyMap<Case, readonly Sample[]>, notes: readonly string[]): Report {
  const of = (each: Case, name: keyof Sample): number => median(samples.get(each)!.map((sample) => sample[name]))
  const find = (services: number, dual: boolean): Case =>
    [...samples.keys()].find((it) => isMain(it) && it.size.services === services && !!it.size.dual === dual)!
  const rows = [...samples.keys()].map((each) => {
    const dash = (name: keyof Sample): number | string => (each.who === 'Fairlead' ? Math.round(of(each, name)) : '')
    const ours = find(each.size.services, false)
    return [
      ...[layoutOf(each), describe(each.size), dash('rows'), dash('decideMs')],
      ...(['applyMs', 'userMs', 'systemMs'] as const).map((name) => Math.round(of(each, name))),
      isMain(each) ? '' : `${figure(of(each, 'applyMs') / of(ours, 'applyMs'))}x`,
      dash('peakMB'),
    ]
  })
  return {
    tables: [
      {
        title: 'program: from nothing, wall and CPU time (ms) until the kernel has it all',
        columns: [
          'layout',
          'services',
          'rows',
          'decide',
          'apply',
          'tool user',
          'tool system',
          'apply of ours',
          'peak MB',
        ],
        rows,
      },
    ],
    checks: [
      {
        what: "30,000 x 2, nft's system time",
        value: of(find(30_000, false), 'systemMs') / 1000,
        unit: 's',
        target: { below: 0.5 },
      },
      {
        what: '30,000 x 2, apply, wall',
        value: of(find(30_000, false), 'applyMs') / 1000,
        unit: 's',
        target: { below: 5 },
      },
      {
        what: "10,000 x 10, NodePort, dual-stack, nft's system time",
        value: of(find(10_000, true), 'systemMs') / 1000,
        unit: 's',
        target: { below: 5 },
      },
    ],
    charts: {
      program: {
        ...{ kind: 'bars', title: 'From nothing into the kernel', unit: 'ms', log: true },
        bars: [...samples.keys()]
          .filter((each) => samples.get(each)!.length > 0)
          .map((each) => ({ label: nameOf(each), value: of(each, 'applyMs'), ours: each.who === 'Fairlead' })),
      },
    },
    notes: [
      ...notes,
      'Peers are given a finished text, and their time is that of their tool alone; "apply" of ours is from rows to kernel, "decide" is from raw objects to rows.',
      '"of ours": of Fairlead by nftables.',
    ],
  }
}

const isMain = ({ who, mode }: Case): boolean => who === 'Fairlead' && mode === undefined
const layoutOf = ({ who, mode }: Case): string => (mode === undefined ? who : `${who}, ${mode}`)
const nameOf = (each: Case): string => `${layoutOf(each)}, ${describe(each.size)}`
const describe = ({ services, endpoints, type, dual }: Size): string =>
  `${services.toLocaleString('en-US')} x ${endpoints}${type === 'NodePort' ? ' NodePort' : ''}${dual ? ' dual' : ''}`

let serial = 0
