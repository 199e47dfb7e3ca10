import type { ChildProcess } from 'node:child_process'
import { carrier } from './carrier.ts'
import { exec, start, type ExecOptions, type ExecResult } from './exec.ts'

/** A network namespace of our own, to try something in. It ends with this process, however that ends, and all in it. */
export interface Namespace {
  /** Runs a command inside. */
  run(command: readonly [string, ...string[]], options?: ExecOptions): Promise<ExecResult>
  close(): void
}

export type Made =
  | { readonly kind: 'made'; readonly namespace: Namespace }
  /** This kernel, or whoever restricts this process, does not permit it. */
  | { readonly kind: 'failed'; readonly reason: string }

/** Without the right to make one directly, it is made in a user namespace, where those are permitted. */
export async function makeNamespace(signal?: AbortSignal): Promise<Made> {
  const plain = await hold(['--net'], signal)
  return plain.kind === 'made' ? plain : hold(['--user', '--map-root-user', '--net'], signal)
}

/** `cat` keeps it, for as long as somebody holds the other end of its standard input: us. */
function hold(flags: readonly string[], signal: AbortSignal | undefined): Promise<Made> {
  const command = ['unshare', ...flags, '--', 'cat'] as const
  const holder = start(command, { stdio: ['pipe', 'pipe', 'pipe'], ...(signal && { signal }) })
  let said = ''
  return new Promise((resolve) => {
    const fail = (why: string): void => {
      holder.kill('SIGKILL')
      resolve({ kind: 'failed', reason: `unshare ${flags.join(' ')}: ${said.trim().slice(0, SAID_MAX) || why}` })
    }
    const limit = setTimeout(() => fail('no answer'), MAKE_MAX_MS).unref()
    holder.once('error', ({ message }) => fail(message))
    holder.once('close', (code) => fail(`exit code ${code}`))
    holder.once('close', () => clearTimeout(limit))
    holder.stderr?.on('data', (chunk: Buffer) => (said += said.length < SAID_MAX ? chunk.toString() : ''))
    holder.stdin?.on('error', () => {}) // it ended: `close` says so
    holder.stdout?.once('data', () => {
      clearTimeout(limit)
      resolve({ kind: 'made', namespace: within(holder) })
    })
    holder.stdin?.write('made?\n') // an echo comes once `cat` runs, inside
  })
}

function within(holder: ChildProcess): Namespace {
  return {
    run: (command, options) =>
      exec([carrier, 'enter', '--pid', String(holder.pid), '--keep-env', '--', ...command], options),
    close: () => void holder.kill('SIGKILL'),
  }
}

const MAKE_MAX_MS = 5_000
const SAID_MAX = 500
