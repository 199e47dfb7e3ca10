import type { Delta, Drift, Refused, Target } from './delta.ts'

/** A target whose rows mean those of another table: each delta waits until what it may mean was delivered. */
export class After<Row> implements Target<Row> {
  readonly #target: Target<Row>
  readonly #before: () => Promise<void>

  /** `before`: resolves once the other table is delivered as it is now. */
  constructor(target: Target<Row>, before: () => Promise<void>) {
    this.#target = target
    this.#before = before
  }

  get name(): string {
    return this.#target.name
  }

  async apply(delta: Delta<Row>, signal: AbortSignal): Promise<readonly Refused[]> {
    const aborted = Promise.withResolvers<never>()
    const stop = (): void => aborted.reject(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
    try {
      signal.throwIfAborted()
      await Promise.race([this.#before(), aborted.promise])
    } finally {
      signal.removeEventListener('abort', stop)
    }
    return this.#target.apply(delta, signal)
  }

  audit(signal: AbortSignal): Promise<Drift> {
    return this.#target.audit(signal)
  }

  cleanup(): Promise<void> {
    return this.#target.cleanup()
  }
}
