/** The DNS server of this node, as it tells an agent where it answers: native/wire, serving.rs. */
import { connect } from 'node:net'
import { Lines } from '../../core/lines.ts'
import type { Serving, Switched } from '../../carrier/wire.ts'

export interface ServerOptions {
  /** Unix socket: `fairlead-carrier dns --node-local`. */
  readonly path: string
  readonly signal: AbortSignal
  /**
   * Where it answers, and at once when it does no longer: [] when there is no connection, and the next one fails. It goes on
   * answering until what is returned resolves: then packets go where this wants them.
   */
  readonly onServing: (places: readonly string[]) => Promise<void>
  /** It is not there, or says what it must not. Said once for the same reason; null: it is there. */
  readonly onProblem: (problem: string | null) => void
}

/** Until the signal aborts. */
export async function followServer(options: ServerOptions): Promise<void> {
  const { signal, onServing, onProblem } = options
  let last: string | null = ''
  const tell = (problem: string | null): void => {
    if (problem !== last) onProblem((last = problem))
  }
  while (!signal.aborted) {
    let hasBegun = false
    let problem = await listen(options, () => ((hasBegun = true), tell(null)))
    // Another carrier that has taken over listens there, and answers what this one answered.
    while (hasBegun && !signal.aborted) {
      hasBegun = false
      problem = await listen(options, () => (hasBegun = true), AGAIN_MS)
    }
    if (signal.aborted) return
    void onServing([]).catch(() => {}) // it rejects when we are stopped
    tell(problem)
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS).unref())
  }
}

/** Returns why it ended. `limitMs`: it is to begin within that. */
function listen(
  { path, signal, onServing }: ServerOptions,
  begun: () => void,
  limitMs: number = FIRST_LIMIT_MS,
): Promise<string> {
  const socket = connect({ path })
  const lines = new Lines(LINE_MAX_BYTES)
  const ended = Promise.withResolvers<string>()
  const end = (why: string): void => {
    socket.destroy()
    ended.resolve(why)
  }
  const stop = (): void => end('stopped')
  signal.addEventListener('abort', stop)
  const limit = setTimeout(() => end(`${path}: the DNS server of this node says nothing`), limitMs)
  const hear = (line: string): void => {
    clearTimeout(limit)
    const said = read(line)
    if (said === null) return end(`${path}: what listens there is no DNS server of this node`)
    begun()
    const switched = (): void => void socket.write(JSON.stringify({ switched: said.number } satisfies Switched) + '\n')
    onServing(said.serving).then(switched, () => {})
  }
  socket.on('data', (chunk: Buffer) => {
    try {
      lines.push(chunk, hear)
    } catch (error) {
      end(`${path}: ${(error as Error).message}`)
    }
  })
  socket.on('error', (error) => end(`${path}: ${error.message}`))
  socket.on('close', () => end(`${path}: the DNS server of this node ended`))
  return ended.promise.finally(() => (clearTimeout(limit), signal.removeEventListener('abort', stop)))
}

/** null: it is none. */
function read(line: string): Serving | null {
  try {
    const { number, serving } = JSON.parse(line) as Serving
    const isServing = Array.isArray(serving) && serving.length <= PLACES_MAX
    return isServing && Number.isSafeInteger(number) && serving.every((each) => typeof each === 'string')
      ? { number, serving }
      : null
  } catch {
    return null
  }
}

const RETRY_MS = 200
const FIRST_LIMIT_MS = 10_000
/** Queries that come meanwhile wait in its sockets, if it is there. */
const AGAIN_MS = 500
const LINE_MAX_BYTES = 65_536
const PLACES_MAX = 1_000
