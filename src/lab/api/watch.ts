/** A watch over HTTP: one JSON event a line, from a revision on, until it times out or its reader is too slow. */
import type { ServerResponse } from 'node:http'
import { expired, statusOf } from './failure.ts'
import type { Change } from './history.ts'
import type { ApiObject, Fields } from './object.ts'
import type { Filter } from './page.ts'
import { apiVersionOf, type Resource } from './resource.ts'
import type { Store } from './store.ts'

export interface WatchRequest {
  readonly resource: Resource
  readonly filter: Filter
  readonly query: URLSearchParams
  /** How often a bookmark tells a quiet watch where it is; ms. */
  readonly bookmarkMs: number
}

export function watch(store: Store, request: WatchRequest, response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/json', 'transfer-encoding': 'chunked' })
  response.flushHeaders()
  const { query } = request
  const from = query.get('resourceVersion') ?? ''
  const initial = from === '' || from === '0' || query.get('sendInitialEvents') === 'true'
  if (!initial && !replay(store, request, response, Number(from))) return void response.end()
  if (initial) sendAll(store, request, response)
  follow(store, request, response)
}

/** False when the revision is not one we can go on from: the client is told to list again. */
function replay(store: Store, request: WatchRequest, response: ServerResponse, from: number): boolean {
  const changes = from > store.revision || Number.isNaN(from) ? null : store.since(from)
  if (changes === null) {
    const why = `too old resource version: ${request.query.get('resourceVersion')} (${store.revision})`
    response.write(line('ERROR', statusOf(expired(why))))
    return false
  }
  for (const change of changes) send(change, request, response)
  return true
}

function sendAll(store: Store, request: WatchRequest, response: ServerResponse): void {
  for (const object of store.list(request.resource.plural)) {
    if (request.filter(object)) response.write(line('ADDED', object))
  }
  if (request.query.get('sendInitialEvents') !== 'true') return
  const annotations = { 'k8s.io/initial-events-end': 'true' } // KEP-3157: the list is complete
  response.write(bookmark(store, request.resource, { annotations }))
}

function follow(store: Store, request: WatchRequest, response: ServerResponse): void {
  const stop = store.onChange((change) => {
    send(change, request, response)
    // A reader that does not read: it can list again, we cannot hold the world for it.
    if (response.writableLength > UNREAD_MAX_BYTES) response.destroy()
  })
  const wanted = Number(request.query.get('timeoutSeconds')) || TIMEOUT_SECONDS
  const end = setTimeout(() => response.end(), Math.min(wanted, TIMEOUT_SECONDS) * 1000)
  const marks =
    request.query.get('allowWatchBookmarks') === 'true'
      ? setInterval(() => response.write(bookmark(store, request.resource)), request.bookmarkMs)
      : undefined
  response.on('error', () => {}) // the reader went away: close follows
  response.once('close', () => {
    stop()
    clearTimeout(end)
    clearInterval(marks)
  })
}

/** An object that enters or leaves the filter is added or deleted for this watch. */
function send(change: Change, { resource, filter }: WatchRequest, response: ServerResponse): void {
  if (change.resource !== resource) return
  const { object, previous } = change
  const was = previous !== null && filter(previous)
  const is = change.type !== 'DELETED' && filter(object)
  if (is) response.write(was === (change.type === 'MODIFIED') ? lineOf(change) : line('ADDED', object))
  else if (was) response.write(change.type === 'DELETED' ? lineOf(change) : line('DELETED', left(previous, object)))
}

/** As the real server: the last state that matched, at the revision at which it no longer did. */
function left(previous: ApiObject, { metadata: { resourceVersion } }: ApiObject): ApiObject {
  return { ...previous, metadata: { ...previous.metadata, resourceVersion } }
}

/** Made once, however many watch. */
function lineOf(change: Change): string {
  const made = lines.get(change) ?? line(change.type, change.object)
  lines.set(change, made)
  return made
}

function line(type: string, object: Fields): string {
  return `${JSON.stringify({ type, object })}\n`
}

function bookmark(store: Store, resource: Resource, extra: Fields = {}): string {
  const metadata = { resourceVersion: String(store.revision), creationTimestamp: null, ...extra }
  return line('BOOKMARK', { kind: resource.kind, apiVersion: apiVersionOf(resource), metadata })
}

const lines = new WeakMap<Change, string>()
const TIMEOUT_SECONDS = 3600
const UNREAD_MAX_BYTES = 32 * 1024 * 1024
