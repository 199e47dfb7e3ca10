import type { Key } from './delta.ts'
import { Index, type Move, type Values } from './indexed.ts'
import { same, type Same } from './same.ts'

/** Rows by key, and a number that grows with each committed change. What derivations, targets and status read. */
export interface Readable<Row> {
  readonly name: string
  readonly size: number
  /** Number of the last commit; 0 before the first. At least 1 once synced. */
  readonly number: number
  /** True once the rows are a whole truth: every input has finished its first list. Never becomes false again. */
  readonly synced: boolean
  get(key: Key): Row | undefined
  has(key: Key): boolean
  entries(): IterableIterator<[Key, Row]>
  /** Keys of the rows that carry `value` in the named index, in no particular order. */
  keysBy(index: string, value: string): Iterable<Key>
}

export interface TableOptions<Row> {
  readonly indexes?: Readonly<Record<string, Values<Row>>>
  /** Default: structural equality (same.ts). Rows that are the same are no change. */
  readonly same?: Same<Row>
}

/** Is told of each change of a table, at once. Marks what it must look at; never reads or writes a table from here. */
export interface Listener<Row> {
  changed(key: Key, was: Row | undefined, now: Row | undefined): void
  /** A row under `value` changed; `members`: it came or went. */
  indexed?(index: string, value: string, members: boolean): void
}

/** What the tables of this room share: indexes, listeners, numbers. */
export abstract class Table<Row> implements Readable<Row> {
  readonly name: string
  readonly same: Same<Row>
  readonly #indexes = new Map<string, Index<Row>>()
  readonly #listeners: Listener<Row>[] = []

  constructor(name: string, options: TableOptions<Row> = {}) {
    this.name = name
    this.same = options.same ?? same
    for (const [index, values] of Object.entries(options.indexes ?? {})) this.#indexes.set(index, new Index(values))
  }

  abstract readonly size: number
  abstract readonly number: number
  abstract readonly synced: boolean
  abstract get(key: Key): Row | undefined
  abstract has(key: Key): boolean
  abstract entries(): IterableIterator<[Key, Row]>

  keysBy(index: string, value: string): Iterable<Key> {
    const found = this.#indexes.get(index)
    if (found === undefined) throw new Error(`table ${this.name} has no index ${index}`)
    return found.keys(value)
  }

  watch(listener: Listener<Row>): void {
    this.#listeners.push(listener)
  }

  unwatch(listener: Listener<Row>): void {
    const at = this.#listeners.indexOf(listener)
    if (at >= 0) this.#listeners.splice(at, 1)
  }

  /** What the change does to the indexes; throws (before anything is changed) when an index function does. */
  protected plan(key: Key, was: Row | undefined, now: Row | undefined): readonly Move[] {
    if (this.#indexes.size === 0) return NONE
    const moves: Move[] = []
    for (const index of this.#indexes.values()) moves.push(index.plan(key, was, now))
    return moves
  }

  /** Carries the planned change into the indexes and tells the listeners. The row itself is the caller's to store, before. */
  protected carry(key: Key, was: Row | undefined, now: Row | undefined, moves: readonly Move[]): void {
    let at = 0
    for (const [name, index] of this.#indexes) {
      const move = moves[at++]!
      index.carry(key, move)
      for (const listener of this.#listeners) if (listener.indexed) announce(listener, name, move)
    }
    for (const listener of this.#listeners) listener.changed(key, was, now)
  }
}

/** A table that a source fills. Each call that changes something is a commit. Rows are immutable from here on. */
export class InputTable<Row> extends Table<Row> {
  readonly #rows = new Map<Key, Row>()
  #number = 0
  #synced = false
  #owner: Owner | null = null

  get size(): number {
    return this.#rows.size
  }
  get number(): number {
    return this.#number
  }
  get synced(): boolean {
    return this.#synced
  }
  get(key: Key): Row | undefined {
    return this.#rows.get(key)
  }
  has(key: Key): boolean {
    return this.#rows.has(key)
  }
  entries(): IterableIterator<[Key, Row]> {
    return this.#rows.entries()
  }

  put(key: Key, row: Row): void {
    if (this.#store(key, row)) this.#commit()
  }

  drop(key: Key): void {
    if (this.#remove(key)) this.#commit()
  }

  /** A new list: rows it does not hold are dropped, in place. Only real differences become changes. */
  replace(rows: Iterable<readonly [Key, Row]>): void {
    const fresh = rows instanceof Map ? (rows as Map<Key, Row>) : new Map<Key, Row>(rows)
    let changed = false
    try {
      for (const key of this.#rows.keys()) if (!fresh.has(key)) changed = this.#remove(key) || changed
      for (const [key, row] of fresh) changed = this.#store(key, row) || changed
    } finally {
      if (changed) this.#commit()
    }
  }

  /** The first list is complete. Later calls change nothing. */
  markSynced(): void {
    if (this.#synced) return
    this.#owner?.assertOpen()
    this.#synced = true
    this.#commit()
  }

  /** Called by the graph that the table becomes an input of. */
  own(owner: Owner): void {
    if (this.#owner !== null && this.#owner !== owner)
      throw new Error(`table ${this.name} is an input of another graph`)
    this.#owner = owner
  }

  #store(key: Key, row: Row): boolean {
    if (row === undefined) throw new TypeError(`table ${this.name}: no row for ${key}`)
    this.#owner?.assertOpen()
    const was = this.#rows.get(key)
    if (was !== undefined && this.same(was, row)) return false
    const moves = this.plan(key, was, row)
    this.#rows.set(key, row)
    this.carry(key, was, row, moves)
    return true
  }

  #remove(key: Key): boolean {
    this.#owner?.assertOpen()
    const was = this.#rows.get(key)
    if (was === undefined) return false
    const moves = this.plan(key, was, undefined)
    this.#rows.delete(key)
    this.carry(key, was, undefined, moves)
    return true
  }

  #commit(): void {
    this.#number++
    this.#owner?.touch()
  }
}

/** Who drains what changes of an input dirty: the graph. */
export interface Owner {
  touch(): void
  /** Throws while derivations run: they are pure. */
  assertOpen(): void
}

/** Derivations and cursors must be told of changes; a look-alike cannot. */
export function asTable<Row>(readable: Readable<Row>): Table<Row> {
  if (readable instanceof Table) return readable
  throw new Error(`${readable.name} is not a table of core: it cannot tell what changes`)
}

function announce<Row>(listener: Listener<Row>, index: string, move: Move): void {
  for (const value of move.left) listener.indexed!(index, value, true)
  for (const value of move.joined) listener.indexed!(index, value, true)
  for (const value of move.stayed) listener.indexed!(index, value, false)
}

const NONE: readonly never[] = []
