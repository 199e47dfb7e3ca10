/** `fairlead-carrier load` in network namespaces: servers, and what a client of theirs told and cost. */
import { createInterface } from 'node:readline'
import { carrier } from '../src/kernel/carrier.ts'
import { start } from '../src/kernel/exec.ts'
import { inside, within } from '../test/netns/world.ts'
import { cpuOf, watchCpu } from './machine.ts'

/** Of one run, in seconds. */
export interface Cost {
  /** CPU of the client. */
  readonly client: number
  readonly server: number
  /** Of the whole machine, whoever else was at work included; and in soft interrupts. */
  readonly machine: number
  readonly softirq: number
}

/** Returns the server's process id. It serves until the signal aborts. */
export async function serve(namespace: string, words: readonly string[], signal: AbortSignal): Promise<number> {
  const command = [...within(namespace), carrier, 'load', 'serve', ...words]
  const child = start(command as [string, ...string[]], { stdio: ['ignore', 'pipe', 'inherit'], signal })
  child.once('error', () => {}) // aborted
  for await (const line of createInterface({ input: child.stdout! })) {
    if (line.includes('ready')) return child.pid! // `ip netns exec` becomes it
  }
  throw new Error(`no server in ${namespace}`)
}

/** `server`: its process id. What the client prints has at least these numbers. */
export async function generate<Name extends string>(
  namespace: string,
  server: number,
  words: readonly string[],
): Promise<{ readonly told: Readonly<Record<Name | 'seconds', number>>; readonly cost: Cost }> {
  const before = cpuOf(server)
  const busy = watchCpu()
  const told = JSON.parse(await inside(namespace, carrier, 'load', ...words)) as Record<
    Name | 'seconds' | 'cpuSeconds',
    number
  >
  const { seconds: machine, softirqSeconds: softirq } = busy()
  return { told, cost: { client: told.cpuSeconds, server: cpuOf(server) - before, machine, softirq } }
}

/** Connects as fast as it can, from eight threads, each time to one of `to` (as --to takes it) at random. */
export const connecting = (seconds: number, to: string, from: readonly string[]): readonly string[] => [
  ...['connect', '--to', to, '--from', from.join(',')],
  ...['--random', '--threads', '8', '--seconds', `${seconds}`],
]

/** A sample that says nothing is taken again: of a machine that stalls nobody may get an answer for a moment. Throws what the last try threw. */
export async function persist<T>(take: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    const taken = await take().then(
      (sample) => ({ sample }),
      (error: unknown) => ({ error }),
    )
    if ('sample' in taken) return taken.sample
    if (tries === TRIES_MAX) throw taken.error
  }
}

const TRIES_MAX = 5
