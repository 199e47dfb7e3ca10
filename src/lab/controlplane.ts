/** The lab's control plane, and the manifest files it follows. */
import { describeProblem, type Manifest } from '../cluster/manifest.ts'
import type { Raw } from '../cluster/raw.ts'
import { watchManifests } from '../cluster/source/files.ts'
import { anyObject, type Reference } from '../cluster/source/holdings.ts'
import { applyObjects, type Applied } from './api/apply.ts'
import type { Store } from './api/store.ts'
import type { Authority } from './authority.ts'
import { POOLS } from './controllers/load-balancer.ts'
import { createControlPlane } from './controllers/plane.ts'
import type { Progress } from './progress.ts'

export interface ControlPlane {
  readonly store: Store
  /** Controllers begin to work. */
  start(): void
}

export function makeControlPlane(progress: Progress, authority: Authority): ControlPlane {
  const onBug = (error: unknown, controller: string, key: string): void => {
    const why = error instanceof Error ? (error.stack ?? error.message) : String(error)
    progress.warn(`the ${controller} controller failed on ${key} and tries again: ${why}`)
  }
  const { store, runner } = createControlPlane({ loadBalancerPools: LOAD_BALANCER_POOLS, authority, onBug })
  return { store, start: () => runner.start() }
}

export interface FollowedFiles {
  /** Resolves when they are applied for the first time. */
  readonly applied: Promise<void>
  /** What of them the cluster does not have, and why; one line each. */
  problems(): string[]
}

/** Applies the files, and again whenever one is saved. */
export function followFiles(store: Store, paths: readonly string[], progress: Progress): FollowedFiles {
  const { promise, resolve } = Promise.withResolvers<void>()
  const held = new Map<string, Manifest>()
  let rejected: string[] = []
  let isFirst = true
  const watched = watchManifests({
    paths,
    identify: anyObject,
    signal: new AbortController().signal, // until the lab ends
    onProblem: (problem) => progress.warn(describeProblem(problem)),
    onChange: ({ put, drop }) => {
      const startMs = performance.now()
      for (const object of drop) held.delete(idOf(object))
      for (const manifest of put) held.set(idOf(manifest.object), manifest)
      const applied = applyObjects(
        store,
        [...held.values()].map(({ object }) => object),
        { owner: 'files' },
      )
      const before = new Set(rejected)
      rejected = applied.flatMap(rejectionOf)
      for (const problem of rejected) if (!before.has(problem)) progress.warn(problem)
      tell(applied, isFirst, performance.now() - startMs, progress)
      isFirst = false
      resolve()
    },
  })
  void watched.done
  return { applied: promise, problems: () => [...watched.problems().map(describeProblem), ...rejected] }
}

function tell(applied: readonly Applied[], isFirst: boolean, ms: number, progress: Progress): void {
  if (isFirst)
    return progress.done(`${applied.filter(({ action }) => action !== 'rejected').length} objects from files`, ms)
  const changes = applied.filter(({ action }) => action !== 'unchanged' && action !== 'rejected')
  const shown = changes.slice(0, CHANGES_SHOWN).map(({ object, action }) => `${object} ${action}`)
  const more = changes.length > shown.length ? `, and ${changes.length - shown.length} more` : ''
  progress.news(`saved: ${shown.join(', ') || 'nothing of the cluster changed'}${more} (${Math.round(ms)} ms)`)
}

/** Most messages begin with the object by themselves. */
function rejectionOf({ object, action, message }: Applied): string[] {
  if (action !== 'rejected') return []
  return [message.startsWith(object) ? message : `${object}: ${message}`]
}

const idOf = (object: Raw | Reference): string => String(anyObject(object as Raw))

/** Within the underlay, away from the nodes' own addresses. */
export const LOAD_BALANCER_POOLS = POOLS
const CHANGES_SHOWN = 5
