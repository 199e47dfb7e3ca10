/** Events: news for people. The same news again counts up; the oldest are forgotten. */
import { timestamp, type ApiObject, type Fields } from './object.ts'
import { refOf, type Outcome, type Store } from './store.ts'

export interface News {
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly message: string
  /** Who says it, e.g. `scheduler`. */
  readonly from: string
}

/** Tells news about an object of the store. */
export function tell(store: Store, about: ApiObject, news: News): void {
  const { apiVersion, kind, metadata } = about
  const namespace = metadata.namespace ?? 'default'
  recordEvent(store, {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { generateName: `${metadata.name}.`, namespace },
    involvedObject: { apiVersion, kind, name: metadata.name, namespace: metadata.namespace, uid: metadata.uid },
    type: news.type,
    reason: news.reason,
    message: news.message.slice(0, MESSAGE_MAX),
    source: { component: news.from },
  })
}

/** An Event as a client sends it. */
export function recordEvent(store: Store, event: Fields): Outcome {
  const now = timestamp(store.nowMs())
  const known = store.list('events', event['metadata']?.namespace ?? 'default').find((other) => isSame(other, event))
  if (known !== undefined) {
    return store.modify(refOf('events', known), (next) => {
      next['count'] = (next['count'] ?? 1) + 1
      next['lastTimestamp'] = now
    })
  }
  const firstTimestamp = event['firstTimestamp'] ?? now
  const lastTimestamp = event['lastTimestamp'] ?? now
  const made = store.create({ count: 1, ...event, firstTimestamp, lastTimestamp })
  forgetOldest(store)
  return made
}

function isSame(a: Fields, b: Fields): boolean {
  const [x, y] = [a['involvedObject'], b['involvedObject']]
  return (
    a['reason'] === b['reason'] &&
    a['message'] === b['message'] &&
    x?.kind === y?.kind &&
    x?.name === y?.name &&
    x?.uid === y?.uid &&
    a['source']?.component === b['source']?.component
  )
}

function forgetOldest(store: Store): void {
  const events = store.list('events')
  if (events.length <= EVENTS_MAX) return
  const age = (event: ApiObject): number => Number(event.metadata.resourceVersion)
  const oldest = events.toSorted((a, b) => age(a) - age(b)).slice(0, events.length - EVENTS_MAX)
  for (const event of oldest) store.delete(refOf('events', event))
}

const EVENTS_MAX = 1000
const MESSAGE_MAX = 1024
