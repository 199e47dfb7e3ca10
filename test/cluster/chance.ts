/** What happens by chance, and happens again with the same seed. */
export class Chance {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** A whole number from 0 on (mulberry32: https://gist.github.com/tommyettinger/46a874533244883189143505d203312c). */
  below(bound: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % bound
  }

  of<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!
  }

  shuffled<T>(all: readonly T[]): T[] {
    const found = [...all]
    for (let i = found.length - 1; i > 0; i--) {
      const other = this.below(i + 1)
      ;[found[i], found[other]] = [found[other]!, found[i]!]
    }
    return found
  }
}
