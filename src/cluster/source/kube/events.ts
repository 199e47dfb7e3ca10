/**
 * Kubernetes Events (core/v1) about objects that Fairlead could not use, so that `kubectl describe` shows them. Few and small:
 * the same event is counted, not repeated, and a burst is cut.
 */
import { createHash } from 'node:crypto'
import { json } from 'node:stream/consumers'
import { kinds } from '../../kind.ts'
import type { Connection } from './connection.ts'
import type { Problem } from './problem.ts'

export interface ClusterEvent {
  readonly regarding: {
    readonly apiVersion: string
    readonly kind: string
    /** '' for objects without namespaces: their events are kept in `default`. */
    readonly namespace: string
    readonly name: string
  }
  /** One word in CamelCase, e.g. `InvalidAddress`. */
  readonly reason: string
  readonly message: string
  readonly type: 'Normal' | 'Warning'
}

/** `counted`: said lately. `too many`: at once, and this one was not said. */
export type Posted =
  { readonly kind: 'posted' | 'counted' | 'too many' } | { readonly kind: 'failed'; readonly problem: Problem }

/** Never rejects. */
export type PostEvent = (event: ClusterEvent) => Promise<Posted>

export interface EventOptions {
  readonly signal: AbortSignal
  /** Who reports, e.g. `fairlead-agent`, and on which node. */
  readonly component: string
  readonly host: string
  readonly now?: () => number
}

export function createEvents(connection: Connection, options: EventOptions): PostEvent {
  const now = options.now ?? Date.now
  const said = new Map<string, Said>()
  const bucket = new Bucket(now)
  return async (event) => {
    const name = nameOf(event, options)
    const before = said.get(name)
    const count = (before?.count ?? 0) + 1
    if (before !== undefined && now() - before.at < REPEAT_MS) {
      before.count = count
      return { kind: 'counted' }
    }
    if (!bucket.take()) return { kind: 'too many' }
    remember(said, name, { at: now(), first: before?.first ?? now(), count })
    const problem = await post(connection, name, event, said.get(name)!, options)
    if (problem === null) return { kind: 'posted' }
    said.delete(name) // so that the next one tries again
    return { kind: 'failed', problem }
  }
}

interface Said {
  at: number
  readonly first: number
  count: number
}

/** Creates the event; one that exists already (said before a restart, or again after a while) gets the new time and count. */
async function post(
  connection: Connection,
  name: string,
  event: ClusterEvent,
  said: Said,
  options: EventOptions,
): Promise<Problem | null> {
  const namespace = event.regarding.namespace || 'default'
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/events`
  const times = { lastTimestamp: iso(said.at), count: said.count }
  const body = {
    ...{ apiVersion: 'v1', kind: 'Event', metadata: { name, namespace } },
    ...{
      involvedObject: { ...event.regarding, ...(await identify(connection, event.regarding, options.signal)) },
      reason: event.reason,
      message: event.message.slice(0, MESSAGE_MAX),
      type: event.type,
    },
    ...{ source: { component: options.component, host: options.host }, firstTimestamp: iso(said.first), ...times },
    ...{ reportingComponent: options.component, reportingInstance: options.host },
  }
  const created = await send(connection, path, { method: 'POST', body }, options.signal)
  if (created?.status !== 409) return created
  const patch = { method: 'PATCH', body: times, contentType: 'application/merge-patch+json' } as const
  return send(connection, `${path}/${name}`, patch, options.signal)
}

/** `kubectl describe` finds events by uid. Rows have none: one in ten thousand objects is ever asked for it. */
async function identify(
  connection: Connection,
  { kind, namespace, name }: ClusterEvent['regarding'],
  signal: AbortSignal,
): Promise<{ readonly uid?: string }> {
  const known = kinds.find((each) => each.kind === kind)
  if (known === undefined) return {}
  const group = known.group === '' ? '/api' : `/apis/${known.group}`
  const place = known.namespaced ? `namespaces/${encodeURIComponent(namespace)}/` : ''
  const path = `${group}/${known.version}/${place}${known.plural}/${encodeURIComponent(name)}`
  const answer = await connection.request(path, { signal })
  if (answer.kind === 'failed') return {} // gone again, or may not be read: an event that is harder to find is better than none
  try {
    const { metadata } = (await json(answer.body)) as { metadata?: { uid?: string } }
    return metadata?.uid === undefined ? {} : { uid: metadata.uid }
  } catch {
    return {}
  }
}

async function send(
  connection: Connection,
  path: string,
  request: { method: 'POST' | 'PATCH'; body: object; contentType?: string },
  signal: AbortSignal,
): Promise<Problem | null> {
  const answer = await connection.request(path, { ...request, signal })
  if (answer.kind === 'failed') return answer.problem
  try {
    for await (const _ of answer.body); // read to its end, so that the connection can be used again
  } catch {
    // cut off behind its status, which says that it was done
  }
  return null
}

/** The same event has the same name, also from a restarted agent, and from that of another node: a thousand say it once. */
function nameOf({ regarding, reason, message, type }: ClusterEvent, { component }: EventOptions): string {
  const { kind, namespace, name } = regarding
  const whole = JSON.stringify([kind, namespace, name, reason, message, type, component])
  const digest = createHash('sha1').update(whole).digest('hex').slice(0, 16)
  return `${regarding.name.slice(0, 200)}.${digest}`
}

function remember(said: Map<string, Said>, name: string, entry: Said): void {
  said.delete(name)
  if (said.size >= SAID_MAX) said.delete(said.keys().next().value!)
  said.set(name, entry)
}

/** A burst of 25, then one in 5 s: an agent with a thousand bad objects must not flood the API server. */
class Bucket {
  readonly #now: () => number
  #tokens = BURST
  #since: number

  constructor(now: () => number) {
    this.#now = now
    this.#since = now()
  }

  take(): boolean {
    const passed = this.#now() - this.#since
    this.#tokens = Math.min(BURST, this.#tokens + passed / REFILL_MS)
    this.#since += passed
    if (this.#tokens < 1) return false
    this.#tokens--
    return true
  }
}

const iso = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z')

const REPEAT_MS = 10 * 60_000
const SAID_MAX = 4096
const BURST = 25
const REFILL_MS = 5_000
/** The API server refuses more. */
const MESSAGE_MAX = 1024
