/**
 * One measurement in a process of its own, so that none finds what another left: `node bench/task.ts NAME ARGUMENTS-AS-JSON`.
 * Prints its result as the last line. Runs in the network namespace it is started in.
 */
import { exec, describe } from '../src/kernel/exec.ts'
import { within } from '../test/netns/world.ts'
import { TASKS } from './tasks.ts'

type Name = keyof typeof TASKS
type Arguments<N extends Name> = Parameters<(typeof TASKS)[N]>[0]
type Outcome<N extends Name> = Awaited<ReturnType<(typeof TASKS)[N]>>

/** Runs a task in a network namespace (n1: the world's own). Throws what it says when it fails. */
export async function runTask<N extends Name>(namespace: string, name: N, args: Arguments<N>): Promise<Outcome<N>> {
  const command = [...within(namespace), process.execPath, import.meta.filename, name, JSON.stringify(args)]
  const result = await exec(command as [string, ...string[]], { timeoutMs: TASK_MAX_MS })
  if (result.kind !== 'done') throw new Error(`${name} ${JSON.stringify(args)}: ${describe(result)}`)
  return JSON.parse(result.stdout.trim().split('\n').at(-1)!) as Outcome<N>
}

const TASK_MAX_MS = 300_000

if (process.argv[1] === import.meta.filename) {
  const [, , name, args] = process.argv as string[]
  const task = TASKS[name as Name] as (args: unknown) => Promise<unknown>
  console.log(JSON.stringify(await task(JSON.parse(args!))))
  process.exit(0)
}
