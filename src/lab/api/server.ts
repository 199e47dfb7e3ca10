/** The API over HTTP on a Unix socket, for agents and people's commands: list, watch, create, replace, patch, delete. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { discover } from './discovery.ts'
import { badRequest, notFound, statusOf, type Failure } from './failure.ts'
import { cut, isObject, type ApiObject, type Fields, type Ref } from './object.ts'
import type { DeleteOptions } from './ending.ts'
import { filterOf, Pages } from './page.ts'
import { patched } from './patch.ts'
import { parsePath, type Place } from './path.ts'
import { recordEvent } from './event.ts'
import { scaled, scaleOf } from './scale.ts'
import type { Outcome, Store } from './store.ts'
import { tableOf } from './table.ts'
import { watch } from './watch.ts'

export interface ServerOptions {
  /** How often a quiet watch gets a bookmark; default 10 s (a real server: about a minute). */
  readonly bookmarkMs?: number
}

/** Not yet listening: `listen({ path })` or `listen({ fd })` is the caller's. */
export function createApiServer(store: Store, options: ServerOptions = {}): Server {
  const api = new Api(store, options)
  const server = createServer((request, response) => void api.answer(request, response))
  server.requestTimeout = 60_000
  server.keepAliveTimeout = 120_000
  return server
}

type Answer = { readonly code: number; readonly body: Fields } | { readonly failure: Failure }

class Api {
  readonly #store: Store
  readonly #pages: Pages
  readonly #bookmarkMs: number

  constructor(store: Store, options: ServerOptions) {
    this.#store = store
    this.#pages = new Pages(store)
    this.#bookmarkMs = options.bookmarkMs ?? 10_000
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const url = new URL(request.url ?? '/', 'http://lab')
      if (HEALTH.has(url.pathname)) return void response.end('ok')
      const found = discover(url.pathname.replace(/(.)\/$/, '$1'), this.#store.resources)
      if (found !== null) return reply(response, request, { code: 200, body: found })
      const body = await readBody(request)
      if (typeof body !== 'string') return reply(response, request, body)
      const place = parsePath(url.pathname, this.#store.resources) ?? this.#learn(url.pathname, request, body)
      if (place === null) return reply(response, request, { failure: notFound(`the path ${url.pathname}`) })
      const isWatch = ['true', '1'].includes(url.searchParams.get('watch') ?? '')
      if (request.method === 'GET' && isWatch) return this.#watch(place, url.searchParams, request, response)
      reply(response, request, this.#handle(request, place, url.searchParams, body))
    } catch (error) {
      // A bug of ours: this request fails, the cluster goes on. Printed, so that it is found.
      console.error('api:', error)
      reply(response, request, { failure: { code: 500, reason: 'InternalError', message: String(error) } })
    }
  }

  #handle(request: IncomingMessage, place: Place, query: URLSearchParams, text: string): Answer {
    const { resource, namespace, name } = place
    const body = parseBody(text)
    if ('failure' in body) return body
    if (request.method === 'GET' && name === undefined) return okOr(this.#pages.list(place, query))
    if (request.method === 'POST' && name === undefined) return this.#create(place, body.value)
    if (request.method === 'DELETE' && name === undefined) return this.#deleteAll(place, query, body.value)
    if (name === undefined) return { failure: notAllowed(request) }
    const ref: Ref = { resource: resource.plural, namespace: namespace ?? '', name }
    const object = this.#store.get(ref.resource, ref.namespace, name)
    if (object === undefined && this.#isApply(request)) return this.#create(place, body.value)
    if (object === undefined) return { failure: notFound(`${resource.plural} "${name}"`) }
    switch (request.method) {
      case 'GET':
        return read(place, object)
      case 'PUT':
        return this.#replace(place, object, body.value)
      case 'PATCH':
        return this.#patch(place, object, body.value, String(request.headers['content-type'] ?? ''))
      case 'DELETE':
        return answerOf(this.#store.delete(ref, deleteOptions(body.value, query)))
      case 'POST':
        return this.#act(place, ref, body.value, query)
      default:
        return { failure: notAllowed(request) }
    }
  }

  #watch(place: Place, query: URLSearchParams, request: IncomingMessage, response: ServerResponse): void {
    const filter = filterOf(place, query)
    if (typeof filter !== 'function') return reply(response, request, filter)
    watch(this.#store, { resource: place.resource, filter, query, bookmarkMs: this.#bookmarkMs }, response)
  }

  #create(place: Place, body: unknown): Answer {
    const placed = inPlace(place, body)
    if ('failure' in placed) return placed
    if (place.resource.plural === 'events') return answerOf(recordEvent(this.#store, placed.object), 201)
    return answerOf(this.#store.create(placed.object), 201)
  }

  #replace(place: Place, object: ApiObject, body: unknown): Answer {
    if (place.subresource === 'scale') return this.#scale(object, body)
    const placed = inPlace(place, body)
    if ('failure' in placed) return placed
    return answerOf(this.#store.update(placed.object, place.subresource === 'status' ? 'status' : 'object'))
  }

  #patch(place: Place, object: ApiObject, patch: unknown, type: string): Answer {
    const target = place.subresource === 'scale' ? (scaleOf(object) as ApiObject) : object
    const next = patched(target, patch, type)
    return 'failure' in next ? next : this.#replace(place, object, next.object)
  }

  #scale(object: ApiObject, scale: unknown): Answer {
    const next = scaled(object, scale)
    if (next === null) return { failure: badRequest('spec.replicas of a Scale must be a whole number, 0 or more') }
    const outcome = this.#store.update(next)
    return outcome.ok ? { code: 200, body: scaleOf(outcome.object) } : outcome
  }

  /** POST to a subresource: what kubectl drain and a scheduler of one's own ask. */
  #act({ resource, subresource }: Place, ref: Ref, body: unknown, query: URLSearchParams): Answer {
    if (resource.plural === 'pods' && subresource === 'eviction') {
      const options = isObject(body) ? body['deleteOptions'] : undefined
      return answerOf(this.#store.delete(ref, deleteOptions(options, query)), 201)
    }
    if (resource.plural === 'pods' && subresource === 'binding' && isObject(body)) {
      const node: unknown = body['target']?.name
      return answerOf(
        this.#store.modify(ref, (pod) => void (pod['spec'].nodeName = node)),
        201,
      )
    }
    return { failure: notFound(`${resource.plural}/${subresource}`) }
  }

  #deleteAll(place: Place, query: URLSearchParams, body: unknown): Answer {
    const list = this.#pages.list(place, query)
    if ('failure' in list) return { failure: list['failure'] as Failure }
    for (const { metadata } of (list as { items: ApiObject[] }).items) {
      const ref = { resource: place.resource.plural, namespace: metadata.namespace ?? '', name: metadata.name }
      this.#store.delete(ref, deleteOptions(body, query))
    }
    return { code: 200, body: list }
  }

  /** Server-side apply makes what is not there. */
  #isApply(request: IncomingMessage): boolean {
    return request.method === 'PATCH' && String(request.headers['content-type']).startsWith('application/apply-patch')
  }

  /** A POST of a kind nobody knew: its path is known from then on. */
  #learn(path: string, request: IncomingMessage, body: string): Place | null {
    if (request.method !== 'POST') return null
    const parsed = parseBody(body)
    if ('failure' in parsed || !isObject(parsed.value)) return null
    const { apiVersion, kind } = parsed.value
    if (typeof apiVersion !== 'string' || typeof kind !== 'string') return null
    if (this.#store.resources.byKind(apiVersion.split('/')[0]!, kind) !== undefined) return null
    this.#store.resources.learn(apiVersion, kind, path.includes('/namespaces/'))
    return parsePath(path, this.#store.resources)
  }
}

function read({ subresource }: Place, object: ApiObject): Answer {
  if (subresource === undefined || subresource === 'status') return { code: 200, body: object }
  if (subresource === 'scale') return { code: 200, body: scaleOf(object) }
  return { failure: notFound(`the subresource ${subresource}`) }
}

/** The body's namespace and name may be left out, but not contradict the path. */
function inPlace(place: Place, body: unknown): { object: ApiObject } | { failure: Failure } {
  if (!isObject(body) || !isObject(body['metadata']))
    return { failure: badRequest('an object with metadata was expected') }
  const { resource, namespace, name } = place
  const metadata = body['metadata']
  if (body['kind'] !== resource.kind) {
    return { failure: badRequest(`a ${resource.kind} was expected here, not a ${cut(body['kind'])}`) }
  }
  if (resource.namespaced && namespace !== undefined && metadata['namespace'] && metadata['namespace'] !== namespace) {
    return {
      failure: badRequest(`the namespace of the object (${cut(metadata['namespace'])}) is not that of the path`),
    }
  }
  if (name !== undefined && metadata['name'] && metadata['name'] !== name) {
    return { failure: badRequest(`the name of the object (${metadata['name']}) is not that of the path (${name})`) }
  }
  const placed = { ...(namespace && { namespace }), ...(name !== undefined && { name }) }
  return { object: { ...body, metadata: { ...metadata, ...placed } } as ApiObject }
}

function deleteOptions(body: unknown, query: URLSearchParams): DeleteOptions {
  const sent = isObject(body) ? body : {}
  const grace: unknown = sent['gracePeriodSeconds'] ?? query.get('gracePeriodSeconds') ?? undefined
  const propagation: unknown = sent['propagationPolicy'] ?? query.get('propagationPolicy')
  const uid: unknown = isObject(sent['preconditions']) ? sent['preconditions']['uid'] : undefined
  return {
    ...(grace !== undefined && Number(grace) >= 0 && { graceSeconds: Number(grace) }),
    ...((propagation === 'Foreground' || propagation === 'Orphan') && { propagation }),
    ...(typeof uid === 'string' && { uid }),
  }
}

function answerOf(outcome: Outcome, code = 200): Answer {
  return outcome.ok ? { code, body: outcome.object } : { failure: outcome.failure }
}

function okOr(body: Fields | { failure: Failure }): Answer {
  return 'failure' in body ? { failure: body['failure'] as Failure } : { code: 200, body }
}

function notAllowed(request: IncomingMessage): Failure {
  return { code: 405, reason: 'MethodNotAllowed', message: `${request.method} is not possible here` }
}

function reply(response: ServerResponse, request: IncomingMessage, answer: Answer): void {
  if (response.headersSent) return void response.destroy()
  const failed = 'failure' in answer
  const code = failed ? answer.failure.code : answer.code
  let body = failed ? statusOf(answer.failure) : answer.body
  if (!failed && request.method === 'GET' && /as=Table/.test(request.headers.accept ?? '')) body = tableOf(body)
  const text = `${JSON.stringify(body)}\n`
  response.writeHead(code, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
  response.end(text)
}

async function readBody(request: IncomingMessage): Promise<string | { failure: Failure }> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size <= BODY_MAX_BYTES) chunks.push(chunk) // the rest is read and dropped, so that the answer can be read
  }
  if (size <= BODY_MAX_BYTES) return Buffer.concat(chunks).toString('utf8')
  const message = `the request is larger than ${BODY_MAX_BYTES} bytes; split the object`
  return { failure: { code: 413, reason: 'RequestEntityTooLarge', message } }
}

function parseBody(text: string): { value: unknown } | { failure: Failure } {
  if (text === '') return { value: undefined }
  try {
    return { value: JSON.parse(text) as unknown }
  } catch (error) {
    return { failure: badRequest(`the body is not JSON: ${(error as Error).message.slice(0, 200)}`) }
  }
}

const HEALTH = new Set(['/healthz', '/livez', '/readyz'])
const BODY_MAX_BYTES = 3 * 1024 * 1024 // as the real server
