import type { Drift, Key, Refused, Revision } from './delta.ts'

/** Where a target stands. */
export interface Status {
  readonly target: string
  readonly table: string
  /** The last revision that the outside world was made equal to; null before the first. */
  readonly applied: Revision | null
  /** Rows not delivered yet. */
  readonly pending: number
  /** Since when something waits to be delivered, in ms since 1970; null when nothing does. */
  readonly pendingSince: number | null
  readonly refused: ReadonlyMap<Key, Refused>
  /** Of the last apply or audit that failed; null once the next succeeds. */
  readonly lastError: Error | null
  readonly lastAppliedAt: number | null
  /** Failed applies in a row. */
  readonly retries: number
  /** What the last audit found wrong; null when it was clean, or none was made. */
  readonly drift: string | null
}

/** What a log or a metric wants to know. */
export type Event = { readonly target: string } & Happening

export type Happening =
  | {
      readonly kind: 'applied'
      readonly from: number
      readonly to: Revision
      readonly put: number
      readonly drop: number
      readonly ms: number
    }
  | { readonly kind: 'refused'; readonly refused: readonly Refused[] }
  | { readonly kind: 'failed'; readonly error: Error; readonly retries: number; readonly retryInMs: number }
  | { readonly kind: 'audited'; readonly drift: Drift; readonly ms: number }
  | { readonly kind: 'audit failed'; readonly error: Error }
  | { readonly kind: 'recovering'; readonly reason: string }
  /** Did not end, although told to, in this time: nothing else can be done for this target until it does. */
  | { readonly kind: 'stuck'; readonly ms: number }
  /** Something of ours threw that must not. */
  | { readonly kind: 'bug'; readonly error: Error }

/** Callers that wait until a number is reached. Bounded. */
export class Waiters {
  readonly #waiting = new Set<{
    readonly number: number
    readonly resolve: () => void
    readonly reject: (why: Error) => void
  }>()
  #reached = 0
  #closed: Error | null = null

  until(number: number): Promise<void> {
    if (this.#reached >= number) return Promise.resolve()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    promise.catch(() => {}) // a caller that does not wait must not end the process
    if (this.#closed !== null) reject(this.#closed)
    else if (this.#waiting.size >= WAITERS_MAX) reject(new Error(`more than ${WAITERS_MAX} wait`))
    else this.#waiting.add({ number, resolve, reject })
    return promise
  }

  reach(number: number): void {
    this.#reached = number
    for (const waiter of this.#waiting) {
      if (waiter.number > number) continue
      this.#waiting.delete(waiter)
      waiter.resolve()
    }
  }

  close(why: Error): void {
    this.#closed = why
    for (const waiter of this.#waiting) waiter.reject(why)
    this.#waiting.clear()
  }
}

const WAITERS_MAX = 10_000
