/** Kubernetes Events for what cannot be used: each problem once, while it lasts; again when it comes back. */
import type { Rejection } from '../cluster/rejection.ts'
import type { ClusterEvent, PostEvent } from '../cluster/source/kube/events.ts'
import type { Refused } from '../core/delta.ts'
import type { Readable } from '../core/table.ts'

export interface ProblemEvents {
  /** All problems that there are now. Cheap to call often: only what is new is posted. */
  tell(rejections: Iterable<Rejection>, refused: Iterable<RefusedRow>): void
}

export interface RefusedRow {
  readonly target: string
  readonly refused: Refused
}

/** All problems that there are at a moment. */
export interface Problems {
  readonly rejections: Pick<Readable<Rejection>, 'entries'>
  readonly refused: Iterable<RefusedRow>
}

/** Problems become Events a little after they appear, so that one that mends itself is not told. */
export function tellProblems(events: ProblemEvents, problems: () => Problems): NodeJS.Timeout {
  return setInterval(() => {
    const { rejections, refused } = problems()
    events.tell(
      [...rejections.entries()].map(([, rejection]) => rejection),
      refused,
    )
  }, TELL_EVERY_MS).unref()
}

/** `node`: its name; what this node refuses and is of no object is its own. What could not be posted is posted later, while it lasts. */
export function problemEvents(node: string, post: PostEvent, clock: () => number = Date.now): ProblemEvents {
  let told = new Map<string, Told>()
  return {
    tell(rejections, refused) {
      const now = new Map<string, Told>()
      for (const event of eventsOf(node, rejections, refused)) {
        if (now.size >= TOLD_MAX) break
        const { kind, namespace, name } = event.regarding
        const id = `${kind} ${namespace}/${name} ${event.message}`
        if (now.has(id)) continue
        const state = told.get(id) ?? { next: 0 }
        now.set(id, state)
        if (clock() < state.next) continue
        state.next = Infinity
        void post(event).then(({ kind }) => {
          // One that fails for good (its namespace ends) must not use up the turns of the others.
          if (kind === 'failed') state.next = clock() + RETRY_MS
          if (kind === 'too many') state.next = 0
        })
      }
      told = now
    },
  }
}

interface Told {
  /** When it is to be posted, by the clock: Infinity while that is under way and when it was. */
  next: number
}

function* eventsOf(
  node: string,
  rejections: Iterable<Rejection>,
  refused: Iterable<RefusedRow>,
): Iterable<ClusterEvent> {
  for (const { object, field, problem, remedy } of rejections) {
    const regarding = regardingOf(object)
    if (regarding) yield { regarding, type: 'Warning', reason: 'Rejected', message: `${field}: ${problem}: ${remedy}` }
  }
  const ofNode = new Map<string, number>()
  const refusal = { type: 'Warning', reason: 'Refused' } as const
  for (const { target, refused: row } of refused) {
    const { key, reason, remedy } = row
    const regarding = regardingOf(key)
    if (regarding) {
      yield { regarding, ...refusal, message: `${reason}: ${remedy}` }
      continue
    }
    const count = (ofNode.get(target) ?? 0) + 1
    ofNode.set(target, count)
    if (count > OF_NODE_MAX) continue // status has them all
    const what = key === '' ? target : `${target}: ${key}`
    yield {
      regarding: { apiVersion: 'v1', kind: 'Node', namespace: '', name: node },
      ...refusal,
      message: `${what}: ${reason}: ${remedy}`,
    }
  }
}

/** `Service shop/frontend` or `Node n1`, perhaps with more words behind that say which part of it; null for anything else: there is nothing an Event could be about. */
function regardingOf(object: string): ClusterEvent['regarding'] | null {
  const match = /^(\w+) (?:([^/ ]+)\/)?([^/ ]+)(?: .*)?$/.exec(object)
  const apiVersion = match && API_VERSIONS[match[1]!]
  return match && apiVersion ? { apiVersion, kind: match[1]!, namespace: match[2] ?? '', name: match[3]! } : null
}

const TOLD_MAX = 4096
const RETRY_MS = 10_000
/** Of one target. */
const OF_NODE_MAX = 20
const API_VERSIONS: Readonly<Record<string, string>> = {
  Service: 'v1',
  Node: 'v1',
  Namespace: 'v1',
  Pod: 'v1',
  EndpointSlice: 'discovery.k8s.io/v1',
  ServiceCIDR: 'networking.k8s.io/v1',
  Ingress: 'networking.k8s.io/v1',
  IngressClass: 'networking.k8s.io/v1',
  ConfigMap: 'v1',
  Secret: 'v1',
}
const TELL_EVERY_MS = 2_000
