import { createInterface } from 'node:readline'
import { carrier } from './carrier.ts'
import { start } from './exec.ts'

export interface KernelEvents {
  /** Flags of `fairlead-carrier monitor`: what to listen to. */
  readonly flags: readonly string[]
  readonly signal: AbortSignal
  /** One event, as `fairlead-carrier monitor --help` shows them. */
  readonly onEvent: (event: unknown) => void
  /** Nothing was heard for a while; it listens again soon. */
  readonly onEnd: (why: string) => void
}

/** Hears what changes in the kernel until the signal aborts, whatever happens to the process that listens. */
export async function hearKernel(options: KernelEvents): Promise<void> {
  const { signal, onEnd } = options
  for (let delayMs = RESTART_MS; !signal.aborted; delayMs = Math.min(delayMs * 2, RESTART_MAX_MS)) {
    const why = await listen(options, () => (delayMs = RESTART_MS))
    if (signal.aborted) return
    onEnd(why)
    await new Promise((resolve) => setTimeout(resolve, delayMs).unref())
  }
}

/** Returns why it ended. */
function listen({ flags, signal, onEvent }: KernelEvents, begun: () => void): Promise<string> {
  const child = start([carrier, 'monitor', ...flags], { stdio: ['ignore', 'pipe', 'pipe'], signal })
  let last = ''
  child.stderr?.on('data', (chunk: Buffer) => (last = (last + chunk.toString()).slice(-500)))
  // Out of descriptors there are no streams: `error` says so.
  if (child.stdout)
    createInterface({ input: child.stdout }).on('line', (line) => {
      begun()
      onEvent(JSON.parse(line))
    })
  return new Promise((resolve) => {
    child.once('error', (error) => resolve(`${carrier}: ${error.message}`))
    child.once('close', (code, killedBy) => resolve(`${killedBy ?? `exit code ${code}`} ${last.trim()}`))
  })
}

const RESTART_MS = 200
const RESTART_MAX_MS = 10_000
