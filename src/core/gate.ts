import type { Key } from './delta.ts'
import type { Graph, Settling } from './graph.ts'
import { asTable, Table, type Readable } from './table.ts'

/**
 * A table that shows no row of another until that one is synced: then all at once, and what follows. Others need not wait for
 * it: `pass` has it count as synced before, and empty.
 */
export class Gate<Row> extends Table<Row> implements Settling {
  readonly faults: ReadonlyMap<Key, Error> = new Map()
  readonly #graph: Graph
  readonly #table: Table<Row>
  #open = false
  #passed = false
  #number = 0

  constructor(graph: Graph, table: Readable<Row>) {
    super(table.name)
    this.#graph = graph
    this.#table = asTable(table)
    this.#table.watch({ changed: (key, was, now) => this.#open && this.#carry(key, was, now) })
    graph.add(this)
  }

  /** The other one's rows are seen. */
  get open(): boolean {
    return this.#open
  }
  get size(): number {
    return this.#open ? this.#table.size : 0
  }
  get number(): number {
    return this.#number
  }
  get synced(): boolean {
    return this.#open || this.#passed
  }
  get(key: Key): Row | undefined {
    return this.#open ? this.#table.get(key) : undefined
  }
  has(key: Key): boolean {
    return this.#open && this.#table.has(key)
  }
  entries(): IterableIterator<[Key, Row]> {
    return this.#open ? this.#table.entries() : new Map<Key, Row>().entries()
  }

  pass(): void {
    if (this.synced) return
    this.#passed = true
    this.#number++
    this.#graph.touch()
  }

  settle(): void {
    if (this.#open || !this.#table.synced) return
    this.#open = true
    this.#number++
    for (const [key, row] of this.#table.entries()) this.#carry(key, undefined, row)
  }

  #carry(key: Key, was: Row | undefined, now: Row | undefined): void {
    this.#number++
    this.carry(key, was, now, this.plan(key, was, now))
  }
}
