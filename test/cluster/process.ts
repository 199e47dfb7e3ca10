import { createWriteStream } from 'node:fs'
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

/** Starts a server that dies with this process, also when that is killed. Output goes to `log`. */
export function startDaemon(command: readonly [string, ...string[]], log: string): Daemon {
  // setpriv (util-linux) sets the signal that the kernel sends when the parent goes, then becomes the command.
  const child = start(['setpriv', '--pdeathsig', 'KILL', ...command], { stdio: ['ignore', 'pipe', 'pipe'] })
  const file = createWriteStream(log, { flags: 'a' })
  child.stdout!.pipe(file, { end: false })
  child.stderr!.pipe(file, { end: false })
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', (code, signal) => resolve(`exit code ${code ?? signal}`))
  })
  const kill = () => void child.kill('SIGKILL')
  process.once('exit', kill)
  const failed = ended.then(async (how): Promise<never> => {
    process.off('exit', kill)
    file.end()
    const tail = (await readFile(log, 'utf8').catch(() => '')).slice(-2000)
    throw new Error(`${command.slice(0, 2).join(' ')} ended (${how}):\n${tail}`)
  })
  failed.catch(() => {}) // whoever waits for readiness races it; afterwards an end is no news
  return { pid: child.pid ?? 0, failed, stop: () => stop(child, ended) }
}

/** Ports nobody listens on now. Somebody may take one before it is used: callers start over then. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer()
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen(0, '127.0.0.1', resolve)
      })
      return server
    }),
  )
  const ports = servers.map((server) => (server.address() as { port: number }).port)
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
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
