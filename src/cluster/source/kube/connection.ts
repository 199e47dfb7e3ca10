/**
 * HTTP to one API server, on undici: HTTP/2 over TLS (all watches share one connection), else HTTP/1.1.
 *
 * A connection whose other end is gone without a word is found within 25 s, with or without a proxy in between that still
 * acknowledges what TCP sends: each connection on which no byte arrives that long is cut, and a living one is never that
 * silent. On HTTP/2 a PING every 8 s makes the server itself answer. HTTP/1.1 has no ping, so watches are asked for 15 s
 * only and the server ends them in time. A Unix socket needs neither: the kernel tells when its other end closes.
 */
import type { Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { buildConnector, Pool } from 'undici'
import { createCredentials, type Credentials } from './credentials.ts'
import { fromError, fromStatus, type Problem } from './problem.ts'
import type { Settings } from './settings.ts'

export interface Connection {
  /** For people. */
  readonly server: string
  /** Starts a request. The body of a good answer must be read to its end or aborted; reading it may throw. */
  request(path: string, options: RequestOptions): Promise<Answer>
  /** How long a watch may be asked for, so that a dead connection is found in time. */
  watchSeconds(): number
  /** Cuts all that is under way, a second later at the latest. */
  close(): Promise<void>
}

export interface RequestOptions {
  readonly signal: AbortSignal
  readonly method?: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  readonly body?: object
  readonly contentType?: string
  /** Longest pause between two parts of the answer; 0: any. */
  readonly quietMs?: number
}

export type Answer =
  | { readonly kind: 'ok'; readonly body: AsyncIterable<Uint8Array> }
  | { readonly kind: 'failed'; readonly problem: Problem }

export interface Tuning {
  /** Silence after which a connection is dead. */
  readonly silenceMs?: number
  /** At most so many at a time. */
  readonly connections?: number
  readonly random?: () => number
  /** Told of each answer, when its head is there, and of each failure. */
  readonly onAnswer?: (answer: Answered) => void
}

export interface Answered {
  readonly method: string
  readonly host: string
  /** Of HTTP; null: there was no answer. */
  readonly status: number | null
  readonly seconds: number
}

export function connect(settings: Settings, tuning: Tuning = {}): Connection {
  const silenceMs = tuning.silenceMs ?? SILENCE_MS
  const random = tuning.random ?? Math.random
  const unix = settings.server.startsWith('unix://')
  const url = new URL(unix ? 'http://localhost' : settings.server)
  const credentials = createCredentials(settings.auth, settings.tls)
  const live = new Set<Socket>()
  const pool = new Pool(url.origin, {
    connect: connector(settings, credentials, live, silenceMs),
    connections: tuning.connections ?? CONNECTIONS_MAX,
    headersTimeout: HEADERS_TIMEOUT_MS,
    h2Options: { pingInterval: Math.ceil(silenceMs / 3) },
  })
  const gate = new Gate(() => live.size > 0)
  const prefix = url.pathname.replace(/\/+$/, '')
  const host = unix ? settings.server.slice('unix://'.length) : url.host
  const request = async (path: string, options: RequestOptions): Promise<Answer> => {
    const began = performance.now()
    const answer = await send(pool, settings.server, `${prefix}${path}`, credentials, options)
    const seconds = (performance.now() - began) / 1000
    tuning.onAnswer?.({ method: options.method ?? 'GET', host, status: answer.status, seconds })
    return answer
  }
  return {
    server: settings.server,
    request: (path, options) => gate.pass(() => request(path, options)),
    watchSeconds: () => {
      const pinged = unix || [...live].some((socket) => (socket as { alpnProtocol?: unknown }).alpnProtocol === 'h2')
      // client-go's: between 5 and 10 minutes, so that watches move to other API servers now and then, not all at once.
      return pinged
        ? WATCH_SECONDS + Math.floor(random() * WATCH_SECONDS)
        : Math.max(1, Math.floor((silenceMs * 0.6) / 1000))
    },
    close: () => (live.size === 0 || unix ? pool.destroy() : letGo(pool, live)),
  }
}

/**
 * What was aborted is let go first: undici 8 that destroys streams of HTTP/2 which are about to end throws where nobody can
 * catch it, or spins for ever (nodejs/node#52952).
 */
async function letGo(pool: Pool, live: ReadonlySet<Socket>): Promise<void> {
  const end = performance.now() + CLOSE_MS
  while (pool.stats.running + pool.stats.pending > 0 && performance.now() < end) await wait(LET_GO_MS / 10)
  for (const socket of live) socket.destroy() // before the pool does it with an error
  await wait(LET_GO_MS)
  await pool.destroy()
}

async function send(
  pool: Pool,
  server: string,
  path: string,
  credentials: Credentials,
  { signal, method = 'GET', body, contentType = 'application/json', quietMs = QUIET_MS }: RequestOptions,
): Promise<Answer & { readonly status: number | null }> {
  try {
    const authorization = await credentials.authorization()
    const answer = await pool.request({
      path,
      method,
      signal,
      bodyTimeout: quietMs,
      headers: {
        accept: 'application/json',
        'user-agent': 'fairlead',
        ...(authorization !== null && { authorization }),
        ...(body && { 'content-type': contentType }),
      },
      ...(body && { body: JSON.stringify(body) }),
    })
    const status = answer.statusCode
    if (status < 300) return { kind: 'ok', body: answer.body, status }
    if (status === 401) credentials.refused()
    const retryAfter = answer.headers['retry-after']
    const said = parse(await head(answer.body))
    return { kind: 'failed', problem: fromStatus(status, said, [retryAfter].flat()[0]), status }
  } catch (error) {
    return { kind: 'failed', problem: fromError(error, server), status: null }
  }
}

/** While there is no connection one request goes ahead and makes it; the others then find it, and learn if it is HTTP/2. */
class Gate {
  readonly #open: () => boolean
  #first: Promise<unknown> | null = null

  constructor(open: () => boolean) {
    this.#open = open
  }

  async pass<T>(request: () => Promise<T>): Promise<T> {
    if (this.#open()) return request()
    if (this.#first !== null) {
      await this.#first
      return request()
    }
    const made = request()
    this.#first = made.finally(() => (this.#first = null))
    return made
  }
}

/** Makes sockets, with certificates read anew each time, and watches over them. */
function connector(
  settings: Settings,
  credentials: Credentials,
  live: Set<Socket>,
  silenceMs: number,
): buildConnector.connector {
  const socketPath = settings.server.startsWith('unix://')
    ? decodeURIComponent(settings.server.slice('unix://'.length))
    : null
  const base = {
    ...{ timeout: CONNECT_TIMEOUT_MS, keepAlive: true, keepAliveInitialDelay: KEEPALIVE_MS },
    ...{ allowH2: true, preferH2: true },
  }
  return (options, callback) => {
    const connected: buildConnector.Callback = (...[error, socket]) => {
      if (socket) {
        live.add(socket)
        socket.once('close', () => live.delete(socket))
        if (socketPath === null) cutWhenSilent(socket, silenceMs)
        callback(null, socket)
      } else callback(error!, null)
    }
    const material = options.protocol === 'https:' ? credentials.tls() : Promise.resolve({})
    material.then(
      (tls) => buildConnector({ ...base, ...tls, ...(socketPath !== null && { socketPath }) })(options, connected),
      (error: Error) => callback(error, null),
    )
  }
}

/** Counts looks, not time: a process that was stopped (or busy) for a minute has looked once. */
function cutWhenSilent(socket: Socket, silenceMs: number): void {
  let heard = socket.bytesRead
  let silent = 0
  const look = setInterval(() => {
    silent = socket.bytesRead === heard ? silent + 1 : 0
    heard = socket.bytesRead
    if (silent >= LOOKS) socket.destroy(new Error(`no byte for ${silenceMs} ms: the connection is dead`))
  }, silenceMs / LOOKS)
  look.unref()
  socket.once('close', () => clearInterval(look))
}

/** The first part of a body: enough for a Status. */
async function head(body: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of body) {
    chunks.push(chunk)
    size += chunk.length
    if (size > ERROR_MAX_BYTES) break
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** Whoever closes has aborted what was under way. */
const CLOSE_MS = 1_000
/** From the end of a socket to that of its streams. */
const LET_GO_MS = 100
const SILENCE_MS = 25_000
const LOOKS = 5
const WATCH_SECONDS = 300
const CONNECT_TIMEOUT_MS = 10_000
const KEEPALIVE_MS = 15_000
const HEADERS_TIMEOUT_MS = 30_000
const QUIET_MS = 60_000
/** HTTP/1.1 takes one for each watch. */
const CONNECTIONS_MAX = 32
const ERROR_MAX_BYTES = 64 * 1024
