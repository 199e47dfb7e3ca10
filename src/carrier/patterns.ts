/** Names that a reader of answers wants: `example.com.`, or `*.example.com.` for all names below it, however deep. */
export class Patterns {
  readonly #exact: ReadonlySet<string>
  readonly #below: ReadonlySet<string>

  /** Absolute, lower case. */
  constructor(patterns: readonly string[]) {
    this.#exact = new Set(patterns.filter((pattern) => !pattern.startsWith('*.')))
    this.#below = new Set(patterns.flatMap((pattern) => (pattern.startsWith('*.') ? [pattern.slice(2)] : [])))
  }

  matches(name: string): boolean {
    if (this.#exact.has(name) || (this.#below.has('') && name !== '.')) return true
    if (this.#below.size === 0) return false
    for (let at = name.indexOf('.'); at >= 0 && at + 1 < name.length; at = name.indexOf('.', at + 1))
      if (this.#below.has(name.slice(at + 1))) return true
    return false
  }
}
