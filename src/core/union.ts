import type { Key } from './delta.ts'
import { asTable, Table, type Readable } from './table.ts'

/**
 * Several tables seen as one, without a copy of any row: for a target that takes rows from more than one derivation. When
 * two hold a key, the row of the first table stands. Synced once all are.
 */
export function union<Row>(name: string, tables: readonly Readable<Row>[]): Readable<Row> {
  return new UnionTable(name, tables)
}

class UnionTable<Row> extends Table<Row> {
  readonly #tables: readonly Table<Row>[]
  #size = 0

  constructor(name: string, tables: readonly Readable<Row>[]) {
    super(name)
    this.#tables = tables.map(asTable)
    for (const _ of this.entries()) this.#size++
    this.#tables.forEach((table, i) => {
      table.watch({ changed: (key, was, now) => this.#changed(i, key, was, now) })
    })
  }

  get size(): number {
    return this.#size
  }
  get number(): number {
    return this.#tables.reduce((sum, table) => sum + table.number, 0)
  }
  get synced(): boolean {
    return this.#tables.every((table) => table.synced)
  }
  get(key: Key): Row | undefined {
    return this.#from(0, key)
  }
  has(key: Key): boolean {
    return this.#tables.some((table) => table.has(key))
  }
  *entries(): IterableIterator<[Key, Row]> {
    for (const [i, table] of this.#tables.entries()) {
      for (const entry of table.entries()) if (!this.#isHidden(i, entry[0])) yield entry
    }
  }

  #changed(at: number, key: Key, was: Row | undefined, now: Row | undefined): void {
    if (this.#isHidden(at, key)) return
    const behind = this.#from(at + 1, key)
    const [before, after] = [was ?? behind, now ?? behind]
    this.#size += (after === undefined ? 0 : 1) - (before === undefined ? 0 : 1)
    if (before !== undefined && after !== undefined && this.same(before, after)) return
    this.carry(key, before, after, this.plan(key, before, after))
  }

  #isHidden(at: number, key: Key): boolean {
    for (let i = 0; i < at; i++) if (this.#tables[i]!.has(key)) return true
    return false
  }

  #from(start: number, key: Key): Row | undefined {
    for (let i = start; i < this.#tables.length; i++) {
      const row = this.#tables[i]!.get(key)
      if (row !== undefined) return row
    }
    return undefined
  }
}
