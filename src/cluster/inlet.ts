import type { Key } from '../core/delta.ts'
import type { InputTable } from '../core/table.ts'
import type { Kind } from './kind.ts'
import { identity } from './metadata.ts'
import { show, type Parsed, type Rejection } from './rejection.ts'

/**
 * What every source writes raw objects of one kind into. Parses each object once, at the edge; keeps its row in `table`
 * and what was wrong with it in `rejections` (a table all inlets share), until the object is mended or gone.
 */
export class Inlet<Row> {
  readonly kind: Kind<Row>
  readonly table: InputTable<Row>
  readonly #rejections: InputTable<Rejection>
  /** Objects with rejections, and how many each. */
  #rejected = new Map<Key, number>()

  constructor(kind: Kind<Row>, table: InputTable<Row>, rejections: InputTable<Rejection>) {
    this.kind = kind
    this.table = table
    this.#rejections = rejections
  }

  /** A list is truth: what it does not name is gone. Rows that are the same as before are no change. */
  replace(objects: Iterable<unknown>): void {
    const stage = this.begin()
    for (const object of objects) stage.add(object)
    stage.commit()
  }

  /** For lists that come in pages: nothing is seen before `commit`, and no raw object is kept. */
  begin(): Stage {
    const rows = new Map<Key, Row>()
    const rejected = new Map<Key, readonly Rejection[]>()
    return {
      add: (object) => {
        const key = identity(object, this.kind.namespaced)
        const { row, rejections } = this.#parse(object)
        if (row === null) rows.delete(key)
        else rows.set(key, this.#known(key, row))
        if (rejections.length > 0) rejected.set(key, rejections)
        else rejected.delete(key)
      },
      commit: () => {
        this.table.replace(rows)
        for (const key of [...this.#rejected.keys()]) if (!rejected.has(key)) this.#report(key, [])
        for (const [key, rejections] of rejected) this.#report(key, rejections)
      },
    }
  }

  /** A new or changed object. */
  put(object: unknown): void {
    const key = identity(object, this.kind.namespaced)
    const { row, rejections } = this.#parse(object)
    if (row === null) this.table.drop(key)
    else this.table.put(key, row)
    this.#report(key, rejections)
  }

  /** An object that is gone; only its name and namespace are read. */
  drop(object: unknown): void {
    const key = identity(object, this.kind.namespaced)
    this.table.drop(key)
    this.#report(key, [])
  }

  /** The first list is complete. */
  synced(): void {
    this.table.markSynced()
  }

  /** The row that is in the table already, when it is the same: a relist then holds few rows twice. */
  #known(key: Key, row: Row): Row {
    const known = this.table.get(key)
    return known !== undefined && this.table.same(known, row) ? known : row
  }

  #parse(object: unknown): Parsed<Row> {
    try {
      return this.kind.parse(object)
    } catch (error) {
      // A bug of ours, but one object must not cost all others.
      const { kind } = this.kind
      const problem = `Fairlead could not read it: ${show(String(error))}`
      const remedy = 'please report this object to the makers of Fairlead'
      return {
        row: null,
        rejections: [{ object: `${kind} ${show(identity(object, true))}`, field: '', problem, remedy }],
      }
    }
  }

  #report(key: Key, rejections: readonly Rejection[]): void {
    const before = this.#rejected.get(key) ?? 0
    if (before === 0 && rejections.length === 0) return
    for (const [i, rejection] of rejections.entries()) this.#rejections.put(`${this.kind.kind} ${key} ${i}`, rejection)
    for (let i = rejections.length; i < before; i++) this.#rejections.drop(`${this.kind.kind} ${key} ${i}`)
    if (rejections.length === 0) this.#rejected.delete(key)
    else this.#rejected.set(key, rejections.length)
  }
}

/** A list being received. Dropped without `commit`, it leaves no trace. */
export interface Stage {
  add(object: unknown): void
  commit(): void
}

/** An inlet of some kind: what sources are given a list of. */
export type AnyInlet = Inlet<any>
