import type { Key } from './delta.ts'
import type { Readable } from './table.ts'

/**
 * A table as it was at one moment, without a copy of it: the live table, and the rows as they were of what has changed
 * since, which the cursor keeps in any case. Usable until `end`, that is while the delta is being applied; a receiver that
 * wants to keep it makes its own Map of it.
 */
export class Snapshot<Row> implements ReadonlyMap<Key, Row> {
  readonly size: number
  #table: Readable<Row> | null
  /** Grows and shrinks with the table. undefined: there was no row. */
  readonly #before: ReadonlyMap<Key, Row | undefined>

  constructor(table: Readable<Row>, before: ReadonlyMap<Key, Row | undefined>) {
    this.size = table.size
    this.#table = table
    this.#before = before
  }

  get(key: Key): Row | undefined {
    const table = this.#open()
    return this.#before.has(key) ? this.#before.get(key) : table.get(key)
  }

  has(key: Key): boolean {
    return this.get(key) !== undefined
  }

  *keys(): MapIterator<Key> {
    yield* this.#keys()
  }

  *values(): MapIterator<Row> {
    for (const key of this.#keys()) yield this.get(key)!
  }

  *entries(): MapIterator<[Key, Row]> {
    for (const key of this.#keys()) yield [key, this.get(key)!]
  }

  [Symbol.iterator](): MapIterator<[Key, Row]> {
    return this.entries()
  }

  forEach(visit: (row: Row, key: Key, map: ReadonlyMap<Key, Row>) => void): void {
    for (const [key, row] of this.entries()) visit(row, key, this)
  }

  /** From now on every use throws: the table has moved on. */
  end(): void {
    this.#table = null
  }

  /** 8 bytes a key, for as long as somebody iterates: the live keys cannot be walked while they change. */
  #keys(): Key[] {
    const keys: Key[] = []
    for (const [key] of this.#open().entries())
      if (!this.#before.has(key) || this.#before.get(key) !== undefined) keys.push(key)
    for (const [key, row] of this.#before) if (row !== undefined && !this.#table!.has(key)) keys.push(key)
    return keys
  }

  #open(): Readable<Row> {
    if (this.#table === null)
      throw new Error('a delta from 0 is readable only while it is being applied: copy what you keep')
    return this.#table
  }
}
