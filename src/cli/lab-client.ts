/** The Kubernetes API of the cluster that runs here, over its Unix socket (or --server). node:http, since undici alone would take all of a quick command's time. */
import { request as send, type IncomingMessage, type RequestOptions } from 'node:http'
import { type LabRecord, placeOf, readRecord } from '../lab/place.ts'
import { Failure } from './failure.ts'

/** An object as the API has it. */
export interface ApiObject {
  readonly apiVersion?: string
  readonly kind?: string
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly resourceVersion?: string }
  readonly [field: string]: unknown
}

export interface Question {
  readonly method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly path: string
  readonly query?: Readonly<Record<string, string | undefined>>
  readonly body?: unknown
  readonly contentType?: string
  readonly accept?: string
}

export interface Reply {
  readonly code: number
  /** Parsed JSON; for an error, a metav1.Status. */
  readonly body: unknown
}

export interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK' | 'ERROR'
  readonly object: ApiObject
}

/** The lab that runs here and its folder. Throws a Failure when there is none. */
export function findLab(): { readonly record: LabRecord; readonly place: string } {
  const place = placeOf()
  const record = readRecord(place)
  if (record === null) throw new Failure('no cluster is running here: start one with: bin/fairlead up')
  return { record, place }
}

/** `server`: unix:///path or http://host:port; undefined: the lab. */
export function connect(server?: string): Api {
  if (server === undefined) return new Api({ socketPath: findLab().record.apiSocket })
  if (server.startsWith('unix://')) return new Api({ socketPath: server.slice('unix://'.length) })
  const url = URL.canParse(server) ? new URL(server) : null
  if (url?.protocol !== 'http:') throw new Failure(`--server ${server}: expected unix:///path or http://host:port`, 2)
  return new Api({ host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port || 80 })
}

export class Api {
  readonly #where: RequestOptions

  constructor(where: RequestOptions) {
    this.#where = where
  }

  /** Throws a Failure when there is no answer; an error status is a reply. */
  async ask(question: Question): Promise<Reply> {
    const response = await this.#send(question, AbortSignal.timeout(TIMEOUT_MS))
    const code = response.statusCode ?? 0
    try {
      const text = await textOf(response)
      return { code, body: text === '' ? {} : (JSON.parse(text) as unknown) }
    } catch (error) {
      throw new Failure(`the cluster's answer to ${question.path} cannot be read: ${(error as Error).message}`)
    }
  }

  /** As `ask`, but an error status throws a Failure with the server's words. */
  async must<Body>(question: Question): Promise<Body> {
    const reply = await this.ask(question)
    if (reply.code >= 400) throw new Failure(messageOf(reply))
    return reply.body as Body
  }

  /** Ends when the server ends it or the signal aborts. */
  async *watch(question: Question, signal: AbortSignal): AsyncGenerator<WatchEvent> {
    const response = await this.#send({ ...question, query: { ...question.query, watch: 'true' } }, signal)
    if (response.statusCode !== 200) {
      const body: unknown = JSON.parse(await textOf(response))
      throw new Failure(messageOf({ code: response.statusCode ?? 0, body }))
    }
    let rest = ''
    try {
      for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) {
        const lines = (rest + chunk).split('\n')
        rest = lines.pop()!
        for (const line of lines) if (line !== '') yield JSON.parse(line) as WatchEvent
      }
    } catch (error) {
      if (!signal.aborted) throw new Failure(`the watch ended: ${(error as Error).message}`)
    }
  }

  #send(question: Question, signal: AbortSignal): Promise<IncomingMessage> {
    const query = new URLSearchParams()
    for (const [name, value] of Object.entries(question.query ?? {})) if (value !== undefined) query.set(name, value)
    const path = query.size > 0 ? `${question.path}?${query}` : question.path
    const body = question.body === undefined ? undefined : JSON.stringify(question.body)
    const headers: Record<string, string | number> = { accept: question.accept ?? 'application/json', host: 'cluster' }
    if (body !== undefined) {
      headers['content-type'] = question.contentType ?? 'application/json'
      headers['content-length'] = Buffer.byteLength(body)
    }
    return new Promise((resolve, reject) => {
      const request = send({ ...this.#where, method: question.method ?? 'GET', path, headers, signal }, resolve)
      request.once('error', (error: NodeJS.ErrnoException) => reject(new Failure(whyNot(error))))
      request.end(body)
    })
  }
}

/** What an error reply says, in one line. */
export function messageOf({ code, body }: Reply): string {
  const message = (body as { message?: unknown } | null)?.message
  return typeof message === 'string' && message !== '' ? message : `the cluster answered ${code}`
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) {
    text += chunk
    if (text.length > BODY_MAX) throw new Error(`it is larger than ${BODY_MAX / 1024 / 1024} MiB`)
  }
  return text
}

function whyNot(error: NodeJS.ErrnoException): string {
  if (error.code === 'ENOENT' || error.code === 'ECONNREFUSED') {
    return 'the cluster does not answer; it may be starting or ending. Start one with: bin/fairlead up'
  }
  if (error.code === 'EACCES') return 'the cluster belongs to another user: run this as that user'
  if (error.name === 'TimeoutError') return `the cluster did not answer within ${TIMEOUT_MS / 1000} s`
  return `the cluster cannot be asked: ${error.message}`
}

const TIMEOUT_MS = 30_000
const BODY_MAX = 512 * 1024 * 1024
