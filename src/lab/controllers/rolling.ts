/**
 * How many pods each ReplicaSet of a Deployment should have next. Pure arithmetic, as upstream computes it
 * (k8s.io/kubernetes/pkg/controller/deployment/{rolling,sync}.go and util/deployment_util.go).
 */

export interface Share {
  /** Wanted by its spec. */
  readonly replicas: number
  /** Available by its status. */
  readonly available: number
}

export interface Limits {
  readonly replicas: number
  readonly maxSurge: number
  readonly maxUnavailable: number
}

/** Numbers or percentages, as in spec.strategy.rollingUpdate: a surge rounds up, what may be missing rounds down. */
export function limitsOf(replicas: number, maxSurge: number | string, maxUnavailable: number | string): Limits {
  const surge = part(maxSurge, replicas, Math.ceil)
  const unavailable = part(maxUnavailable, replicas, Math.floor)
  // Both rounded to nothing would stop every rollout.
  return { replicas, maxSurge: surge, maxUnavailable: surge === 0 && unavailable === 0 ? 1 : unavailable }
}

/** A number, or a percentage of `total`. */
export function part(value: number | string, total: number, round: (x: number) => number): number {
  return typeof value === 'number' ? value : round((parseInt(value, 10) * total) / 100)
}

/** The new ReplicaSet's next size. */
export function nextNew({ replicas, maxSurge }: Limits, current: number, total: number): number {
  if (current >= replicas) return replicas
  return current + Math.max(0, Math.min(replicas + maxSurge - total, replicas - current))
}

/** The old ReplicaSets' next sizes, oldest first: what is not available goes first, then as many as may be missing. */
export function nextOld(limits: Limits, fresh: Share, old: readonly Share[]): number[] {
  const next = old.map((share) => share.replicas)
  const total = sum(next) + fresh.replicas
  const minAvailable = limits.replicas - limits.maxUnavailable
  let mayGo = total - minAvailable - (fresh.replicas - fresh.available)
  if (mayGo <= 0) return next
  for (const [i, share] of old.entries()) {
    const broken = Math.max(0, Math.min(mayGo, share.replicas - share.available))
    next[i]! -= broken
    mayGo -= broken
  }
  let spare = sum(old.map((share) => share.available)) + fresh.available - minAvailable
  for (let i = 0; i < next.length && spare > 0; i++) {
    const gone = Math.min(next[i]!, spare)
    next[i]! -= gone
    spare -= gone
  }
  return next
}

/** Scaling amid a rollout: each ReplicaSet grows or shrinks by its share. `max`: replicas + surge when it was last sized. */
export function proportions(limits: Limits, sets: readonly { replicas: number; max: number }[]): number[] {
  const allowed = limits.replicas > 0 ? limits.replicas + limits.maxSurge : 0
  const toAdd = allowed - sum(sets.map((set) => set.replicas))
  let added = 0
  const next = sets.map(({ replicas, max }) => {
    if (replicas === 0 || toAdd === added) return replicas
    const share = limits.replicas === 0 ? -replicas : Math.round((replicas * allowed) / max) - replicas
    const left = toAdd - added
    const change = toAdd > 0 ? Math.max(0, Math.min(share, left)) : Math.min(0, Math.max(share, left))
    added += change
    return replicas + change
  })
  if (next.length > 0) next[0] = Math.max(0, next[0]! + toAdd - added)
  return next
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0)
}
