import type { Kind } from '../../kind.ts'
import type { Connection } from './connection.ts'
import { Lines } from '../../../core/lines.ts'
import { OBJECT_MAX_BYTES, pathOf, type Selector } from './list.ts'
import { explain, fromError, fromStatus, type Problem } from './problem.ts'

export interface WatchOptions {
  readonly connection: Connection
  readonly kind: Kind<unknown>
  readonly selector: Selector
  /** Revision to resume after. */
  readonly from: string
  readonly signal: AbortSignal
  /** The server has accepted the watch. */
  readonly onOpen: () => void
  readonly onEvent: (event: WatchEvent) => void
}

export interface WatchEvent {
  readonly type: 'put' | 'drop' | 'bookmark'
  readonly object: unknown
  readonly resourceVersion: string
}

/** `ended`: by the server, in its time. Whatever came before was told to `onEvent`, each event once and whole. */
export type Watched = { readonly kind: 'ended' } | { readonly kind: 'failed'; readonly problem: Problem }

/** One watch, from its request to its end. An event that was cut off is not told: the next watch brings it again. */
export async function watch(options: WatchOptions): Promise<Watched> {
  const seconds = options.connection.watchSeconds()
  const attempt = new AbortController()
  const stop = (): void => attempt.abort(options.signal.reason)
  if (options.signal.aborted) stop()
  options.signal.addEventListener('abort', stop, { once: true })
  // Should the server forget its own time-out, we do not.
  const late = () => attempt.abort(new Error('the API server does not end a watch in its time'))
  const timer = setTimeout(late, (seconds + GRACE_SECONDS) * 1000).unref()
  try {
    return await read(options, seconds, attempt.signal)
  } finally {
    // By hand rather than with AbortSignal.any and .timeout: nothing of a watch outlives it.
    clearTimeout(timer)
    options.signal.removeEventListener('abort', stop)
  }
}

async function read(options: WatchOptions, seconds: number, signal: AbortSignal): Promise<Watched> {
  const { connection, kind, selector, from } = options
  const query = {
    ...selector,
    ...{ watch: '1', allowWatchBookmarks: 'true', resourceVersion: from, timeoutSeconds: `${seconds}` },
  }
  const answer = await connection.request(pathOf(kind, query), { signal, quietMs: 0 })
  if (answer.kind === 'failed') return { kind: 'failed', problem: explain(answer.problem, 'watch', kind) }
  options.onOpen()
  const lines = new Lines(OBJECT_MAX_BYTES)
  let problem: Problem | null = null
  const line = (text: string): void => {
    if (problem === null) problem = tell(text, options.onEvent)
  }
  try {
    for await (const chunk of answer.body) {
      lines.push(chunk, line)
      if (problem !== null) return { kind: 'failed', problem: explain(problem, 'watch', kind) }
    }
  } catch (error) {
    return { kind: 'failed', problem: fromError(error, connection.server) }
  }
  return { kind: 'ended' }
}

/** Passes one line on; a Problem when it ends the watch. */
function tell(text: string, onEvent: (event: WatchEvent) => void): Problem | null {
  const event = parse(text)
  const resourceVersion: unknown = event?.object?.metadata?.resourceVersion
  switch (event?.type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
    case 'BOOKMARK':
      // Without it there is no way to resume: the list is asked again.
      if (typeof resourceVersion !== 'string' || resourceVersion === '')
        return GARBLED('an event without resourceVersion')
      onEvent({ type: TYPES[event.type as keyof typeof TYPES], object: event.object, resourceVersion })
      return null
    case 'ERROR':
      return fromStatus(500, event.object)
    default:
      return GARBLED(`a watch event of type ${JSON.stringify(event?.type)}`)
  }
}

function parse(text: string): any {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

/** As if history were gone: what a server that speaks differently sent may have been lost. */
const GARBLED = (what: string): Problem => ({
  status: 410,
  message: `the API server sent ${what}`,
  remedy: 'is there a proxy in between that changes answers?',
  retryAfterMs: null,
})

const TYPES = { ADDED: 'put', MODIFIED: 'put', DELETED: 'drop', BOOKMARK: 'bookmark' } as const
const GRACE_SECONDS = 15
