/**
 * How long to wait before the next try: full jitter (a random time between nothing and the bound, which doubles), so that
 * a thousand agents do not come back to a restarted API server in step.
 */
export class Backoff {
  readonly #random: () => number
  readonly #maxMs: number
  #failures = 0

  constructor({ random = Math.random, maxMs = MAX_MS } = {}) {
    this.#random = random
    this.#maxMs = maxMs
  }

  /** Failures since the last success. */
  get failures(): number {
    return this.#failures
  }

  /** Counts a failure; milliseconds to wait. */
  next(): number {
    const bound = Math.min(this.#maxMs, BASE_MS * 2 ** Math.min(this.#failures++, EXPONENT_MAX))
    return Math.floor(this.#random() * bound)
  }

  reset(): void {
    this.#failures = 0
  }
}

const BASE_MS = 500
const MAX_MS = 30_000
const EXPONENT_MAX = 16
