import { setTimeout } from 'node:timers/promises'

/** Time, as tests can replace it. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number
  /** Ends after so many milliseconds, or when the signal aborts: look which. Never rejects. */
  after(ms: number, signal: AbortSignal): Promise<void>
}

export interface Backoff {
  readonly firstMs: number
  readonly maxMs: number
}

/**
 * How long to wait before try number `failures` + 1: doubling, bounded, and up to half of it by chance, so that the nodes
 * of a cluster that failed together do not come back together. `random` gives 0..1.
 */
export function backoffMs(backoff: Backoff, failures: number, random: () => number): number {
  const full = Math.min(backoff.maxMs, backoff.firstMs * 2 ** Math.min(failures - 1, 30))
  return Math.round(full * (1 - random() / 2))
}

export const systemClock: Clock = {
  now: () => Date.now(),
  after: (ms, signal) => setTimeout(ms, undefined, { signal }).catch(() => {}),
}
