import type { Delta, Drift, Refused, Target } from './delta.ts'

/** A target that takes another's place: what that left is removed once this one has applied its first whole table, not before. */
export class Successor<Row> implements Target<Row> {
  readonly #target: Target<Row>
  readonly #removeFormer: () => Promise<void>
  #hasSucceeded = false

  constructor(target: Target<Row>, removeFormer: () => Promise<void>) {
    this.#target = target
    this.#removeFormer = removeFormer
  }

  get name(): string {
    return this.#target.name
  }

  async apply(delta: Delta<Row>, signal: AbortSignal): Promise<readonly Refused[]> {
    const refused = await this.#target.apply(delta, signal)
    if (!this.#hasSucceeded) await this.#removeFormer()
    this.#hasSucceeded = true
    return refused
  }

  audit(signal: AbortSignal): Promise<Drift> {
    return this.#target.audit(signal)
  }

  async cleanup(): Promise<void> {
    await this.#target.cleanup()
    await this.#removeFormer()
  }
}
