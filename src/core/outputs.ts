import type { Key } from './delta.ts'
import type { Move } from './indexed.ts'
import { Ints, NOBODY } from './ints.ts'
import type { Same } from './same.ts'

/** Called around each change of a row. `plan` may throw, and then nothing has changed. */
export interface Effect<Row> {
  plan(key: Key, was: Row | undefined, now: Row | undefined): readonly Move[]
  carry(key: Key, was: Row | undefined, now: Row | undefined, moves: readonly Move[]): void
}

/**
 * The rows of a derived table, and which reader each comes from. When two readers claim one key, the one whose own key
 * is smaller holds it; the other's row waits. Uncontested rows cost 24 bytes beside the row, its key and a Map entry.
 */
export class Outputs<Row> {
  readonly #effect: Effect<Row>
  readonly #same: Same<Row>
  readonly #nameOf: (reader: number) => Key
  readonly #ids = new Map<Key, number>()
  readonly #keys: Key[] = []
  readonly #rows: (Row | undefined)[] = []
  readonly #owner = new Ints()
  /** Rows of one reader are a list. */
  readonly #next = new Ints()
  readonly #first = new Ints()
  readonly #free: number[] = []
  /** Only for contested keys: rows that wait, by key and reader; and the keys that a reader waits for. */
  readonly #waiting = new Map<Key, Map<number, Row>>()
  readonly #waits = new Map<number, Set<Key>>()

  constructor(effect: Effect<Row>, same: Same<Row>, nameOf: (reader: number) => Key) {
    this.#effect = effect
    this.#same = same
    this.#nameOf = nameOf
  }

  get size(): number {
    return this.#ids.size
  }
  /** Keys that more than one reader claims. */
  get contested(): number {
    return this.#waiting.size
  }

  get(key: Key): Row | undefined {
    const id = this.#ids.get(key)
    return id === undefined ? undefined : this.#rows[id]
  }

  has(key: Key): boolean {
    return this.#ids.has(key)
  }

  *entries(): IterableIterator<[Key, Row]> {
    for (const [key, id] of this.#ids) yield [key, this.#rows[id]!]
  }

  /** `rows` are now all that `reader` claims. Throws when an index function does; then some rows may be missing. */
  replace(reader: number, rows: ReadonlyMap<Key, Row>): void {
    this.#release(reader, rows)
    for (const [key, row] of rows) {
      const id = this.#ids.get(key)
      if (id === undefined) this.#create(key, row, reader)
      else if (this.#owner.get(id) === reader) this.#change(id, row)
      else if (this.#nameOf(reader) < this.#nameOf(this.#owner.get(id))) this.#depose(id, row, reader)
      else this.#wait(key, row, reader)
    }
  }

  #release(reader: number, keep: ReadonlyMap<Key, Row>): void {
    let previous = NOBODY
    for (let id = this.#first.get(reader); id !== NOBODY;) {
      const next = this.#next.get(id)
      if (keep.has(this.#keys[id]!)) {
        previous = id
      } else {
        if (previous === NOBODY) this.#first.set(reader, next)
        else this.#next.set(previous, next)
        this.#vacate(id)
      }
      id = next
    }
    for (const key of this.#waits.get(reader) ?? []) if (!keep.has(key)) this.#leave(key, reader)
  }

  #create(key: Key, row: Row, reader: number): void {
    const moves = this.#effect.plan(key, undefined, row)
    const id = this.#free.pop() ?? this.#keys.length
    this.#ids.set(key, id)
    this.#keys[id] = key
    this.#rows[id] = row
    this.#give(id, reader)
    this.#effect.carry(key, undefined, row, moves)
  }

  #change(id: number, row: Row): void {
    const was = this.#rows[id]!
    if (this.#same(was, row)) return
    const key = this.#keys[id]!
    const moves = this.#effect.plan(key, was, row)
    this.#rows[id] = row
    this.#effect.carry(key, was, row, moves)
  }

  /** The row's owner let go of it, and has taken it off its list. */
  #vacate(id: number): void {
    const key = this.#keys[id]!
    const heir = this.#heir(key)
    if (heir !== NOBODY) {
      const row = this.#waiting.get(key)!.get(heir)!
      this.#leave(key, heir)
      this.#give(id, heir)
      this.#change(id, row)
      return
    }
    const was = this.#rows[id]!
    const moves = this.#effect.plan(key, was, undefined)
    this.#ids.delete(key)
    this.#keys[id] = ''
    this.#rows[id] = undefined
    this.#owner.set(id, NOBODY)
    this.#free.push(id)
    this.#effect.carry(key, was, undefined, moves)
  }

  #depose(id: number, row: Row, reader: number): void {
    const key = this.#keys[id]!
    const loser = this.#owner.get(id)
    this.#take(id, loser)
    this.#wait(key, this.#rows[id]!, loser)
    this.#give(id, reader)
    this.#change(id, row)
  }

  #wait(key: Key, row: Row, reader: number): void {
    this.#effect.plan(key, undefined, row) // a row that cannot be indexed is its own reader's fault, now, not its heir's later
    const rows = this.#waiting.get(key) ?? new Map<number, Row>()
    const keys = this.#waits.get(reader) ?? new Set<Key>()
    this.#waiting.set(key, rows.set(reader, row))
    this.#waits.set(reader, keys.add(key))
  }

  #leave(key: Key, reader: number): void {
    const rows = this.#waiting.get(key)
    const keys = this.#waits.get(reader)
    if (rows?.delete(reader) && rows.size === 0) this.#waiting.delete(key)
    if (keys?.delete(key) && keys.size === 0) this.#waits.delete(reader)
  }

  #heir(key: Key): number {
    let heir = NOBODY
    for (const reader of this.#waiting.get(key)?.keys() ?? [])
      if (heir === NOBODY || this.#nameOf(reader) < this.#nameOf(heir)) heir = reader
    return heir
  }

  #give(id: number, reader: number): void {
    this.#owner.set(id, reader)
    this.#next.set(id, this.#first.get(reader))
    this.#first.set(reader, id)
  }

  /** Takes a row off the list of its owner. Walks that list: only a contest does this. */
  #take(id: number, owner: number): void {
    let previous = NOBODY
    for (let at = this.#first.get(owner); at !== id; at = this.#next.get(at)) previous = at
    if (previous === NOBODY) this.#first.set(owner, this.#next.get(id))
    else this.#next.set(previous, this.#next.get(id))
  }
}
