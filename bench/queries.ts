/** What is asked of DNS servers, and what an answer cost. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { carrier } from '../src/kernel/carrier.ts'
import { text } from 'node:stream/consumers'
import { cpuOf, memoryOf, watchCpu } from './machine.ts'
import { CLIENT_CORE, pinned } from './pinned.ts'
import { nameOf, OUTSIDE_NAMES, outsideName, type Resolver } from './resolvers.ts'

export type Questions = 'services' | 'search list' | 'outside'

export interface Asking {
  readonly questions: Questions
  /** Of the cluster. */
  readonly services: number
  readonly seconds: number
  readonly tcp?: boolean
  /** A second; without it, as many as are answered. */
  readonly rate?: number
}

export interface Answers {
  readonly count: number
  /** A second. */
  readonly rate: number
  /** CPU of the server, user and system, for each: all that the kernel does in its name. */
  readonly cpuUs: number
  /** Of the whole machine, in soft interrupts. */
  readonly softirqUs: number
  readonly p50Us: number
  readonly p99Us: number
  readonly lost: number
  /** Answers that are neither an answer nor a denial. */
  readonly failed: number
}

/** From CLIENT_CORE. Throws when nothing is answered. */
export async function query({ who, port, process: server }: Resolver, asking: Asking): Promise<Answers> {
  const { questions, services, seconds, tcp, rate } = asking
  const words = [
    ...['--to', `127.0.0.1:${port}`, '--names', fileOf(questions, services), '--seconds', `${seconds}`],
    ...(tcp ? ['--tcp'] : []),
    ...(rate === undefined ? [] : ['--rate', `${rate}`]),
  ]
  const pids = processesOf(server.pid!)
  const cpu = (): number => pids.reduce((sum, pid) => sum + cpuOf(pid), 0)
  const [before, busy] = [cpu(), watchCpu()]
  const client = pinned(CLIENT_CORE, [carrier, 'load', 'dns', ...words], { stdout: 'pipe' })
  const printed = await text(client.stdout!)
  const { softirqSeconds } = busy()
  if (printed === '') throw new Error(`${who} cannot be asked`)
  const told = JSON.parse(printed) as Told
  if (told.answers === 0) throw new Error(`${who} answers nothing`)
  const each = (seconds: number): number => (seconds * 1e6) / told.answers
  return {
    ...{ count: told.answers, rate: told.qps, p50Us: told.p50Us, p99Us: told.p99Us, lost: told.lost },
    ...{ cpuUs: each(cpu() - before), softirqUs: each(softirqSeconds) },
    failed: Object.entries(told.codes).reduce((sum, [code, count]) => (code in USUAL ? sum : sum + count), 0),
  }
}

interface Told {
  readonly answers: number
  readonly codes: Readonly<Record<string, number>>
  readonly lost: number
  readonly qps: number
  readonly p50Us: number
  readonly p99Us: number
}

/** RSS of a server, with its children. */
export const residentMB = ({ process: server }: Pick<Resolver, 'process'>): number =>
  processesOf(server.pid!).reduce((sum, pid) => sum + memoryOf(pid).rssMB, 0)

/** A process and all below it. */
export function processesOf(pid: number): readonly number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number),
  )
  return [pid, ...children.flatMap(processesOf)]
}

function fileOf(questions: Questions, services: number): string {
  const file = `/run/bench-dns-${questions.replace(' ', '-')}-${services}`
  if (!written.has(file)) writeFileSync(file, `${[...LINES[questions](services)].join('\n')}\n`)
  written.add(file)
  return file
}

const LINES: Readonly<Record<Questions, (services: number) => Iterable<string>>> = {
  *services(services) {
    for (let i = 0; i < services; i++) yield nameOf(mixed(i, services))
  },
  /** What glibc asks in a pod of namespace `bench` with ndots:5, addresses of both families each, for a Service's name and one outside. */
  *'search list'(services) {
    for (let i = 0; i < services; i++) {
      const short = nameOf(mixed(i, services)).replace('.svc.cluster.local.', '')
      const outside = outsideName(i % OUTSIDE_NAMES).slice(0, -1)
      for (const name of [`${short}.bench.svc.cluster.local.`, `${short}.svc.cluster.local.`]) yield* both(name)
      for (const domain of ['bench.svc.', 'svc.', '']) yield* both(`${outside}.${domain}cluster.local.`)
    }
  },
  *outside() {
    for (let i = 0; i < OUTSIDE_NAMES; i++) yield outsideName(i)
  },
}

const both = (name: string): readonly string[] => [`${name} ${A}`, `${name} ${AAAA}`]
/** Neighbours in the list are none in memory. */
const mixed = (i: number, services: number): number => (i * 7919) % services

const A = 1
const AAAA = 28
/** NOERROR, NXDOMAIN. */
const USUAL: Readonly<Record<string, true>> = { 0: true, 3: true }
const written = new Set<string>()
