/**
 * One agent in a network namespace. Who holds the abstract Unix socket is the one: such names are per network namespace, as
 * are the rules that two agents would fight over, and the kernel takes the name back when its process ends, however it ends.
 * Whoever connects is told who it is.
 */
import { connect, createServer, type Server } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'

export interface Holder {
  readonly node: string
  /** In the holder's own PID namespace. */
  readonly pid: number
  readonly version: string
}

export type Claim =
  | { readonly kind: 'held'; release(): Promise<void> }
  /** `holder` null: it does not say who it is. */
  | { readonly kind: 'taken'; readonly holder: Holder | null }
  | { readonly kind: 'failed'; readonly reason: string }

export interface ClaimOptions {
  /** How long one that is ending may take. */
  readonly waitMs: number
  /** Called once, when it is not free at once. */
  readonly onWait?: (holder: Holder | null) => void
  readonly signal?: AbortSignal
}

export async function claimNamespace(self: Holder, options: ClaimOptions): Promise<Claim> {
  const deadlineMs = performance.now() + options.waitMs
  for (let first = true; ; first = false) {
    const server = await listen(self)
    if (typeof server !== 'string') return { kind: 'held', release: () => close(server) }
    if (server !== 'EADDRINUSE') return { kind: 'failed', reason: server }
    const isLate = performance.now() >= deadlineMs || options.signal?.aborted === true
    const holder = first || isLate ? await ask() : null
    if (isLate) return { kind: 'taken', holder }
    if (first) options.onWait?.(holder)
    await pause(LOOK_MS, undefined, { signal: options.signal }).catch(() => {})
  }
}

/** For people: who it is, and what to do. */
export function describeTaken(holder: Holder | null): string {
  const who =
    holder === null
      ? `something that does not say who it is holds the Unix socket @${NAME}: find it with: ss -xlp | grep ${NAME}`
      : `the agent of node ${holder.node} (pid ${holder.pid}, version ${holder.version}) runs here`
  return `only one agent may program a network namespace, and ${who}; end that one first, or start this one in a namespace of its own`
}

function listen(self: Holder): Promise<Server | string> {
  return new Promise((resolve) => {
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.end(JSON.stringify(self) + '\n')
    })
    server.maxConnections = CONNECTIONS_MAX
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    server.listen({ path: PATH }, () => {
      server.unref()
      resolve(server)
    })
  })
}

/** Who holds it; null: nobody any more, or it does not answer in time (it may be stopped), or not as an agent does. */
function ask(): Promise<Holder | null> {
  return new Promise((resolve) => {
    const socket = connect({ path: PATH })
    let text = ''
    const done = (): void => {
      socket.destroy()
      resolve(read(text))
    }
    socket.setTimeout(ANSWER_MAX_MS, done)
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      if (text.length > ANSWER_MAX_LENGTH) done()
    })
    socket.once('end', done)
    socket.once('error', done)
  })
}

/** The name may be held by anybody: only what an agent would say is believed, and no more of it than is shown. */
function read(text: string): Holder | null {
  try {
    const { node, pid, version } = JSON.parse(text) as Partial<Record<keyof Holder, unknown>>
    if (typeof node !== 'string' || typeof pid !== 'number' || typeof version !== 'string') return null
    return WORD.test(node) && WORD.test(version) ? { node, pid, version } : null
  } catch {
    return null
  }
}

const close = (server: Server): Promise<void> => new Promise((resolve) => void server.close(() => resolve()))

const NAME = 'fairlead-agent'
const PATH = `\0${NAME}`
const WORD = /^[\w.+:-]{1,253}$/
const LOOK_MS = 100
const ANSWER_MAX_MS = 5_000
const ANSWER_MAX_LENGTH = 2_000
const CONNECTIONS_MAX = 16
