/** HTTP servers of the status side: a few fixed paths, GET and HEAD only, small bounds. They can never hurt the data path. */
import { unlink } from 'node:fs/promises'
import { createServer, type Server, type ServerResponse } from 'node:http'
import { connect } from 'node:net'

export interface Answer {
  readonly status: number
  readonly type: 'application/json' | 'text/plain' | 'text/plain; version=0.0.4'
  readonly body: string
  readonly headers?: Readonly<Record<string, string>>
}

/** By exact path; `*` answers any path that has no entry. */
export type Routes = Readonly<Record<string, () => Answer>>

/** As Routes, for what depends on the query and takes a while. By exact path; they come first. */
export type Questions = Readonly<Record<string, (query: URLSearchParams) => Promise<Answer>>>

/** Where to listen: a TCP address (`host` '' means every address of both families) or the path of a Unix socket. */
export type Where = { readonly host: string; readonly port: number } | { readonly path: string }

export type Listening =
  | { readonly kind: 'listening'; readonly port: number; close(): Promise<void> }
  | { readonly kind: 'refused'; readonly reason: string; readonly remedy: string }

/** Never rejects: a port that is taken is a value. */
export async function serve(where: Where, routes: Routes, questions: Questions = {}): Promise<Listening> {
  const server = createServer({ requestTimeout: REQUEST_MS, headersTimeout: REQUEST_MS, keepAliveTimeout: 5_000 })
  server.maxConnections = CONNECTIONS_MAX
  server.on('request', (request, response) => {
    const isHead = request.method === 'HEAD'
    const [path, query] = (request.url ?? '/').split('?', 2)
    const question = Object.hasOwn(questions, path!) ? questions[path!] : undefined
    request.resume()
    if (request.method !== 'GET' && !isHead) write(response, NO_METHOD, isHead)
    else if (question === undefined) write(response, route(routes, path!), isHead)
    else
      question(new URLSearchParams(query)).then(
        (answer) => write(response, answer, isHead),
        (error: unknown) => write(response, bug(error), isHead),
      )
  })
  let error = await listen(server, where)
  // No IPv6 on this machine: every address then means every IPv4 address.
  if (error !== null && 'host' in where && where.host === '' && NO_IPV6.has(error.code ?? '')) {
    error = await listen(server, { ...where, host: '0.0.0.0' })
  }
  if (error?.code === 'EADDRINUSE' && 'path' in where && (await isAbandoned(where.path))) {
    await unlink(where.path).catch(() => {})
    error = await listen(server, where)
  }
  if (error !== null) return refused(where, error)
  server.on('error', () => {}) // accept() out of descriptors: the next one may work
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return { kind: 'listening', port, close: () => close(server) }
}

/** `0.0.0.0:10256`, `[::1]:10249`, `:10256`, `/run/x.sock`; null when it is none of these. `0.0.0.0` is every address, as kube-proxy takes it. */
export function parseWhere(text: string): Where | null {
  if (text.startsWith('/')) return { path: text }
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([0-9.]*)):(\d{1,5})$/.exec(text)
  if (!match || Number(match[3]) > 65535) return null
  const host = match[1] ?? match[2] ?? ''
  return { host: host === '0.0.0.0' || host === '::' ? '' : host, port: Number(match[3]) }
}

export const json = (status: number, body: unknown, headers?: Readonly<Record<string, string>>): Answer => ({
  status,
  type: 'application/json',
  body: JSON.stringify(body),
  ...(headers && { headers }),
})

function write(response: ServerResponse, answer: Answer, isHead: boolean): void {
  response.writeHead(answer.status, {
    'content-type': answer.type,
    'content-length': Buffer.byteLength(answer.body),
    'x-content-type-options': 'nosniff',
    ...answer.headers,
  })
  response.end(isHead ? undefined : answer.body)
}

function route(routes: Routes, path: string): Answer {
  const handler = routes[path] ?? routes['*'] // paths begin with /, so none is a member of Object.prototype
  if (!handler) return NOT_FOUND
  try {
    return handler()
  } catch (error) {
    return bug(error)
  }
}

const bug = (error: unknown): Answer => ({
  ...{ status: 500, type: 'text/plain' },
  body: `${error instanceof Error ? error.stack : String(error)}\n`,
})

function listen(server: Server, where: Where): Promise<NodeJS.ErrnoException | null> {
  return new Promise((resolve) => {
    const failed = (error: NodeJS.ErrnoException): void => resolve(error)
    server.once('error', failed)
    const target = 'path' in where ? { path: where.path } : { port: where.port, host: where.host || '::' }
    server.listen(target, () => {
      server.off('error', failed)
      resolve(null)
    })
  })
}

/** A socket file outlives a process that was killed: then nobody answers behind it. */
function isAbandoned(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path })
    socket.once('connect', () => resolve((socket.destroy(), false)))
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'))
  })
}

function refused(where: Where, error: NodeJS.ErrnoException): Listening {
  const at = 'path' in where ? where.path : `port ${where.port}`
  if (error.code === 'EADDRINUSE') {
    const who = 'path' in where ? `lsof ${where.path}` : `ss -ltnp 'sport = :${where.port}'`
    return { kind: 'refused', reason: `${at} is taken by another process`, remedy: `see who has it: ${who}` }
  }
  if (error.code === 'EACCES') {
    return {
      kind: 'refused',
      reason: `not permitted to listen on ${at}`,
      remedy: 'run as root or choose another address',
    }
  }
  return { kind: 'refused', reason: `cannot listen on ${at}: ${error.message}`, remedy: 'check the address' }
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve())
    server.closeAllConnections()
  })
}

const NOT_FOUND: Answer = { status: 404, type: 'text/plain', body: '404 page not found\n' }
const NO_METHOD: Answer = {
  status: 405,
  type: 'text/plain',
  body: 'only GET and HEAD\n',
  headers: { allow: 'GET, HEAD' },
}
const REQUEST_MS = 10_000
const CONNECTIONS_MAX = 256
const NO_IPV6 = new Set(['EAFNOSUPPORT', 'EADDRNOTAVAIL'])
