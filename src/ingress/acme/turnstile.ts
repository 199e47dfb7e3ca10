/** So many at a time. */
export class Turnstile {
  #free: number
  readonly #waiting: (() => void)[] = []

  constructor(count: number) {
    this.#free = count
  }

  async pass(work: () => Promise<void>): Promise<void> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      await work()
    } finally {
      const first = this.#waiting.shift()
      if (first === undefined) this.#free++
      else first()
    }
  }
}
