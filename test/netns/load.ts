/** The carrier's load programs in network namespaces of the test: each says a line when it is ready, and one at its end. */
import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'
import { carrier } from '../../src/kernel/carrier.ts'
import { start } from '../../src/kernel/exec.ts'
import { ended } from './waiting.ts'
import { within } from './world.ts'

/** `args`: of the carrier. What is refused or reset fails at once, what is not answered after a while that no stalled machine takes. */
export function run(namespace: string, ...args: string[]): ChildProcess {
  const patience = CLIENTS.has(args[1] ?? '') && !args.includes('--timeout-ms') ? ['--timeout-ms', '20000'] : []
  const command = [...within(namespace), carrier, ...args, ...patience] as unknown as readonly [string, ...string[]]
  const child = start(command, { stdio: ['pipe', 'pipe', 'inherit'] })
  const all: string[] = []
  const first = new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stdout! }).on('line', (line) => {
      all.push(line)
      resolve()
    })
    child.once('close', () => reject(new Error(`${args.join(' ')} ended without a word`)))
  })
  first.catch(() => {})
  lines.set(child, { all, first })
  return child
}

export const ready = (load: ChildProcess): Promise<void> => lines.get(load)!.first

/** Ends it; what it counted. */
export async function finish(load: ChildProcess): Promise<Record<string, unknown>> {
  load.stdin!.end()
  await ended(load)
  return JSON.parse(lines.get(load)!.all.at(-1)!) as Record<string, unknown>
}

/** New and standing connections to `to` (ADDRESS:PORT): of a pod, of a host outside, of the node itself. */
export async function loadFromAll(
  to: string,
  pod: { readonly namespace: string; readonly ip: string },
): Promise<ChildProcess[]> {
  const loads = [
    run(pod.namespace, 'load', 'hold', '--to', to, '--count', '20', '--from', pod.ip),
    run('outside', 'load', 'hold', '--to', to, '--count', '20'),
    run(pod.namespace, 'load', 'steady', '--to', to, '--rate', '200', '--from', pod.ip),
    run('outside', 'load', 'steady', '--to', to, '--rate', '200'),
    run('n1', 'load', 'steady', '--to', to, '--rate', '100'),
  ]
  for (const load of loads) await ready(load)
  return loads
}

/** Ends them: none failed, none broke, and each made more than `least` connections or exchanges. */
export async function unharmed(t: Test, loads: readonly ChildProcess[], least: number): Promise<void> {
  for (const load of loads) {
    const result = await finish(load)
    const what = JSON.stringify(result)
    t.equal(result['failedTotal'] ?? 0, 0, `no connection failed: ${what}`)
    t.equal(result['broken'] ?? 0, 0, `no connection broke: ${what}`)
    t.ok(Number(result['exchanged'] ?? result['connections']) > least, 'and it was a load')
  }
}

export function killLoads(): void {
  for (const load of lines.keys()) load.kill('SIGKILL')
}

const CLIENTS: ReadonlySet<string> = new Set(['hold', 'steady', 'connect'])
const lines = new Map<ChildProcess, { readonly all: string[]; readonly first: Promise<void> }>()
