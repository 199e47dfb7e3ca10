/** Processes on a core of their own, as far as a busy machine allows. */
import type { ChildProcess } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { describe, exec, start } from '../src/kernel/exec.ts'

export interface PinnedOptions {
  readonly stdout: 'ignore' | 'pipe'
  readonly signal?: AbortSignal
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
}

/**
 * In a session of its own: the kernel shares a core among sessions (autogroup, sched(7)), so a server that makes itself one
 * would get more of it than others; and this one gets more than who builds something beside the benchmark.
 */
export function pinned(core: number, words: readonly string[], options: PinnedOptions): ChildProcess {
  const { stdout, ...rest } = options
  const child = start(['taskset', '-c', `${core}`, ...words], {
    ...{ stdio: ['ignore', stdout, 'inherit'], detached: true, ...rest },
  })
  child.once('error', () => {}) // aborted
  weigh(child.pid!, FAVOURED)
  return child
}

/** A server that is compared, alone on its core. */
export const pinnedServer = (
  words: readonly string[],
  signal: AbortSignal,
  cwd: string,
  env = process.env,
): ChildProcess => pinned(SERVER_CORE, words, { stdout: 'ignore', signal, cwd, env })

/** While `use` runs, this session, too, gets more of a core than others. */
export async function favoured<T>(use: () => Promise<T>): Promise<T> {
  weigh(process.pid, FAVOURED)
  try {
    return await use()
  } finally {
    weigh(process.pid, 0)
  }
}

/** The session of a process, as nice(1) would. */
function weigh(pid: number, nice: number): void {
  try {
    writeFileSync(`/proc/${pid}/autogroup`, `${nice}`)
  } catch {
    // A kernel without it, or a process that is gone.
  }
}

/** All its threads: knot chooses cores for them itself, the client's among them. */
export async function pinAgain({ pid }: ChildProcess, core: number): Promise<void> {
  const result = await exec(['taskset', '--all-tasks', '--cpu-list', '--pid', `${core}`, `${pid}`])
  if (result.kind !== 'done') throw new Error(`taskset: ${describe(result)}`)
}

export const SERVER_CORE = 1
export const CLIENT_CORE = 0
const FAVOURED = -10
