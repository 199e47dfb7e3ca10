import type { Key } from './delta.ts'
import type { Graph, Settling } from './graph.ts'
import { asTable, Table, type Readable } from './table.ts'
import { asError } from './thrown.ts'
import type { Same } from './same.ts'

export interface Expansion<Out, In> {
  readonly name: string
  readonly driver: Readable<In>
  /** The driver's key whose rows `key` may be among; undefined: nobody's. Each key must be of one owner only. */
  readonly owner: (key: Key) => Key | undefined
  /** The rows that follow from one row of the driver. Pure, and cheap: called again whenever somebody looks. */
  readonly rows: (key: Key, row: In) => Iterable<readonly [Key, Out]>
  readonly same?: Same<Out>
}

/**
 * A table that is not there: its rows are made from those of its driver whenever they are asked for, and a change of one of
 * these is told as the difference between what it was and what it is. For rows so many that to hold them costs more than
 * to make them again. Reads nothing but the driver's row, has no indexes, and no two driver rows may yield one key.
 */
export function expand<Out, In>(graph: Graph, spec: Expansion<Out, In>): Readable<Out> {
  const table = new ExpandedTable(spec)
  graph.add(table)
  return table
}

class ExpandedTable<Out, In> extends Table<Out> implements Settling {
  readonly faults = new Map<Key, Error>()
  readonly #spec: Expansion<Out, In>
  readonly #driver: Table<In>
  #size = 0
  /** Whoever looks at one row soon looks at its neighbours. */
  #last: { readonly key: Key; readonly row: In; readonly rows: ReadonlyMap<Key, Out> } | null = null

  constructor(spec: Expansion<Out, In>) {
    super(spec.name, spec)
    this.#spec = spec
    this.#driver = asTable(spec.driver)
    for (const [key, row] of this.#driver.entries()) this.#changed(key, undefined, row)
    this.#driver.watch({ changed: (key, was, now) => this.#changed(key, was, now) })
  }

  get size(): number {
    return this.#size
  }
  get number(): number {
    return this.#driver.number
  }
  get synced(): boolean {
    return this.#driver.synced
  }

  get(key: Key): Out | undefined {
    const owner = this.#spec.owner(key)
    const row = owner === undefined ? undefined : this.#driver.get(owner)
    return row === undefined ? undefined : this.#expand(owner!, row).get(key)
  }

  has(key: Key): boolean {
    return this.get(key) !== undefined
  }

  *entries(): IterableIterator<[Key, Out]> {
    for (const [key, row] of this.#driver.entries()) yield* this.#expand(key, row).entries()
  }

  settle(): void {} // what the driver tells is passed on at once

  #changed(key: Key, was: In | undefined, now: In | undefined): void {
    this.faults.delete(key)
    const before = was === undefined ? NO_ROWS : this.#expand(key, was)
    const after = now === undefined ? NO_ROWS : this.#expand(key, now)
    this.#size += after.size - before.size
    for (const [each, row] of before) if (!after.has(each)) this.carry(each, row, undefined, [])
    for (const [each, row] of after) {
      const old = before.get(each)
      if (old === undefined || !this.same(old, row)) this.carry(each, old, row, [])
    }
  }

  /** Without rows when it throws, each time: the function is pure. */
  #expand(key: Key, row: In): ReadonlyMap<Key, Out> {
    if (this.#last?.row === row && this.#last.key === key) return this.#last.rows
    let rows: ReadonlyMap<Key, Out> = NO_ROWS
    try {
      rows = new Map(this.#spec.rows(key, row))
    } catch (error) {
      if (this.#driver.get(key) === row) this.faults.set(key, asError(error))
    }
    this.#last = { key, row, rows }
    return rows
  }
}

const NO_ROWS: ReadonlyMap<Key, never> = new Map<Key, never>()
