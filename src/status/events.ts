/** Kubernetes Events for what cannot be used: each problem once, while it lasts; again when it comes back. */
import type { Rejection } from '../cluster/rejection.ts'
import type { ClusterEvent } from '../cluster/source/kube/events.ts'
import type { Refused } from '../core/delta.ts'

export interface ProblemEvents {
  /** All problems that there are now. Cheap to call often: only what is new is posted. */
  tell(rejections: Iterable<Rejection>, refused: Iterable<{ readonly object: string; readonly refused: Refused }>): void
}

/** `post` must not reject; it may drop what is too much. */
export function problemEvents(post: (event: ClusterEvent) => void): ProblemEvents {
  let told: ReadonlySet<string> = new Set()
  return {
    tell(rejections, refused) {
      const now = new Set<string>()
      for (const event of eventsOf(rejections, refused)) {
        if (now.size >= TOLD_MAX) break
        const { kind, namespace, name } = event.regarding
        const id = `${kind} ${namespace}/${name} ${event.message}`
        if (!told.has(id) && !now.has(id)) post(event)
        now.add(id)
      }
      told = now
    },
  }
}

function* eventsOf(
  rejections: Iterable<Rejection>,
  refused: Iterable<{ readonly object: string; readonly refused: Refused }>,
): Iterable<ClusterEvent> {
  for (const { object, field, problem, remedy } of rejections) {
    const regarding = regardingOf(object)
    if (regarding) yield { regarding, type: 'Warning', reason: 'Rejected', message: `${field}: ${problem}: ${remedy}` }
  }
  for (const {
    object,
    refused: { reason, remedy },
  } of refused) {
    const regarding = regardingOf(object)
    if (regarding) yield { regarding, type: 'Warning', reason: 'Refused', message: `${reason}: ${remedy}` }
  }
}

/** `Service shop/frontend` or `Node n1`, perhaps with more words behind that say which part of it; null for anything else: there is nothing an Event could be about. */
function regardingOf(object: string): ClusterEvent['regarding'] | null {
  const match = /^(\w+) (?:([^/ ]+)\/)?([^/ ]+)(?: .*)?$/.exec(object)
  const apiVersion = match && API_VERSIONS[match[1]!]
  return match && apiVersion ? { apiVersion, kind: match[1]!, namespace: match[2] ?? '', name: match[3]! } : null
}

const TOLD_MAX = 4096
const API_VERSIONS: Readonly<Record<string, string>> = {
  Service: 'v1',
  Node: 'v1',
  Namespace: 'v1',
  Pod: 'v1',
  EndpointSlice: 'discovery.k8s.io/v1',
  ServiceCIDR: 'networking.k8s.io/v1',
}
