import { randomBytes } from 'node:crypto'
import type { Key } from './delta.ts'
import type { InputTable, Owner } from './table.ts'

/** What the graph needs of a derived table. */
export interface Settling {
  readonly name: string
  /** Driver keys whose derivation threw, and what. */
  readonly faults: ReadonlyMap<Key, Error>
  /** Recomputes what is dirty. */
  settle(): void
}

/** Input tables and what is derived from them, in the order of their making, which is the order of dependency. */
export class Graph implements Owner {
  /** 64 random bits in hex, new with each process, so that a receiver never takes our numbers for those of our forebear. */
  readonly epoch: string
  readonly #derived: Settling[] = []
  readonly #callbacks: (() => void)[] = []
  #dirty = false
  #settling = false

  constructor(options: { readonly epoch?: string } = {}) {
    this.epoch = options.epoch ?? randomBytes(8).toString('hex')
  }

  /** Makes `table` an input; `derive` does so by itself for the tables it is given. Returns the table. */
  input<T extends Pick<InputTable<never>, 'own'>>(table: T): T {
    table.own(this)
    return table
  }

  add(derived: Settling): void {
    this.#derived.push(derived)
    this.touch()
  }

  /**
   * Drains dirty keys through all derivations: each runs once, after those it reads. Synchronous. What a derivation throws
   * is a fault of its key; what is thrown here is a bug of core, after all derivations had their turn.
   */
  settle(): void {
    this.assertOpen()
    this.#settling = true
    this.#dirty = false
    const bugs: unknown[] = []
    for (const derived of this.#derived) {
      try {
        derived.settle()
      } catch (bug) {
        bugs.push(bug)
      }
    }
    this.#settling = false
    if (bugs.length > 0) throw bugs[0]
  }

  /** Derivations that threw, and have not succeeded since: bugs of ours, each of which takes away the rows of its key. */
  *faults(): Iterable<{ readonly table: string; readonly key: Key; readonly error: Error }> {
    for (const { name, faults } of this.#derived) for (const [key, error] of faults) yield { table: name, key, error }
  }

  /** `callback` runs at the first change after a settle, inside whatever made that change: schedule there, do not act. */
  onDirty(callback: () => void): void {
    this.#callbacks.push(callback)
    if (this.#dirty) callback()
  }

  touch(): void {
    if (this.#dirty) return
    this.#dirty = true
    for (const callback of this.#callbacks) callback()
  }

  assertOpen(): void {
    if (this.#settling) throw new Error('a derivation is running: it must not write to a table or settle the graph')
  }
}
