/** How many need each name. */
export class Counts {
  readonly #counts = new Map<string, number>()

  /** True: the first. */
  add(name: string): boolean {
    const count = this.#counts.get(name) ?? 0
    this.#counts.set(name, count + 1)
    return count === 0
  }

  /** True: that was the last. */
  remove(name: string): boolean {
    const count = this.#counts.get(name)!
    if (count > 1) this.#counts.set(name, count - 1)
    else this.#counts.delete(name)
    return count === 1
  }

  has(name: string): boolean {
    return this.#counts.has(name)
  }

  names(): Iterable<string> {
    return this.#counts.keys()
  }
}
