import { createSocket } from 'node:dgram'
import { closeSync, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { start } from '../../src/kernel/exec.ts'

/** A server that a test runs beside itself. */
export interface Daemon {
  readonly pid: number
  /** SIGKILL (the API server waits for etcd for ever when asked politely), then waits until it is gone. */
  stop(): Promise<void>
  /** Rejects with the tail of its log when it ends by itself. */
  readonly failed: Promise<never>
}

/**
 * Starts a server that dies with this process, also when that is killed. It writes to `log` itself: what it said before it
 * answered stands there when the answer comes.
 */
export function startDaemon(command: readonly [string, ...string[]], log: string): Daemon {
  const file = openSync(log, 'a')
  // setpriv (util-linux) sets the signal that the kernel sends when the parent goes, then becomes the command.
  const child = start(['setpriv', '--pdeathsig', 'KILL', ...command], { stdio: ['ignore', file, file] })
  closeSync(file)
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', (code, signal) => resolve(`exit code ${code ?? signal}`))
  })
  const kill = () => void child.kill('SIGKILL')
  process.once('exit', kill)
  const failed = ended.then(async (how): Promise<never> => {
    process.off('exit', kill)
    const tail = (await readFile(log, 'utf8').catch(() => '')).slice(-2000)
    throw new Error(`${command.slice(0, 2).join(' ')} ended (${how}):\n${tail}`)
  })
  failed.catch(() => {}) // whoever waits for readiness races it; afterwards an end is no news
  return { pid: child.pid ?? 0, failed, stop: () => stop(child, ended) }
}

/**
 * Ports nobody listens on now, for TCP and UDP, of a block of this process' own: below those that the kernel gives to
 * whoever asks for any, so that none is taken before it is used, nor while its server is away for a moment.
 */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = []
  for (let looked = 0; ports.length < count; looked++) {
    if (looked === PORTS_EACH) throw new Error(`fewer than ${count} free ports from ${FIRST_PORT} on`)
    const port = FIRST_PORT + (nextPort++ % PORTS_EACH)
    if (await isFree(port)) ports.push(port)
  }
  return ports
}

async function isFree(port: number): Promise<boolean> {
  const stream = createServer()
  const datagrams = createSocket('udp4')
  try {
    await Promise.all([
      new Promise<void>((resolve, reject) => stream.once('error', reject).listen(port, resolve)),
      new Promise<void>((resolve, reject) => datagrams.once('error', reject).bind(port, resolve)),
    ])
    return true
  } catch {
    return false
  } finally {
    await Promise.all([
      new Promise((resolve) => stream.close(resolve)),
      new Promise<void>((resolve) => datagrams.close(resolve)),
    ])
  }
}

/** Polls `condition` until it holds. Errors count as not yet; the last one is told at the deadline. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  { deadlineMs = 60_000, everyMs = 20, signal }: { deadlineMs?: number; everyMs?: number; signal?: AbortSignal } = {},
): Promise<void> {
  const end = Date.now() + deadlineMs
  let last: unknown
  for (;;) {
    signal?.throwIfAborted()
    try {
      if (await condition()) return
    } catch (error) {
      last = error
    }
    if (Date.now() > end) throw new Error(`not within ${deadlineMs} ms: ${what}`, { cause: last })
    await wait(everyMs)
  }
}

async function stop(child: ReturnType<typeof start>, ended: Promise<unknown>): Promise<void> {
  child.kill('SIGKILL')
  await ended
}

const PORTS_EACH = 16
/** Of 11000 to 29999: behind what servers like to have by themselves, before the ports of nodes. */
const FIRST_PORT = 11_000 + (process.pid % 1180) * PORTS_EACH
let nextPort = 0
