/** A growing array of 32-bit integers, 4 bytes each; what was never set is NOBODY. */
export class Ints {
  #values = new Int32Array(16).fill(NOBODY)

  get(at: number): number {
    return this.#values[at] ?? NOBODY
  }

  set(at: number, value: number): void {
    if (at >= this.#values.length) this.#grow(at + 1)
    this.#values[at] = value
  }

  #grow(least: number): void {
    // By half: doubling would leave up to as many bytes idle as are used.
    const grown = new Int32Array(Math.max(least, this.#values.length + (this.#values.length >> 1))).fill(NOBODY)
    grown.set(this.#values)
    this.#values = grown
  }
}

/** End of a list; no number given. */
export const NOBODY = -1
