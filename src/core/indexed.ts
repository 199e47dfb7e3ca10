import type { Key } from './delta.ts'

/** The values under which a row is found. Pure; an empty result keeps the row out of the index. */
export type Values<Row> = (row: Row, key: Key) => Iterable<string>

/** What a change of one row means to one index. */
export interface Move {
  readonly left: readonly string[]
  readonly joined: readonly string[]
  readonly stayed: readonly string[]
}

/** One index of a table: keys by value. Bounded by the rows of its table. */
export class Index<Row> {
  readonly #values: Values<Row>
  /** A lone key stands for itself: most values of most indexes have one, and a Set costs about 200 bytes. */
  readonly #keys = new Map<string, Key | Set<Key>>()

  constructor(values: Values<Row>) {
    this.#values = values
  }

  /** What changes when `was` becomes `now`. Changes nothing itself: a throw of the values function harms nobody. */
  plan(key: Key, was: Row | undefined, now: Row | undefined): Move {
    const before = was === undefined ? NONE : distinct(this.#values(was, key))
    const after = now === undefined ? NONE : distinct(this.#values(now, key))
    if (before.length === 0) return { left: NONE, joined: after, stayed: NONE }
    if (after.length === 0) return { left: before, joined: NONE, stayed: NONE }
    const old = before.length > FEW ? new Set(before) : null
    const fresh = after.length > FEW ? new Set(after) : null
    const wasIn = (value: string) => (old ? old.has(value) : before.includes(value))
    const isIn = (value: string) => (fresh ? fresh.has(value) : after.includes(value))
    return {
      left: before.filter((value) => !isIn(value)),
      joined: after.filter((value) => !wasIn(value)),
      stayed: after.filter(wasIn),
    }
  }

  carry(key: Key, move: Move): void {
    for (const value of move.left) this.#remove(value, key)
    for (const value of move.joined) this.#add(value, key)
  }

  keys(value: string): Iterable<Key> {
    const found = this.#keys.get(value)
    return found === undefined ? NONE : typeof found === 'string' ? [found] : found
  }

  #add(value: string, key: Key): void {
    const found = this.#keys.get(value)
    if (found === undefined) this.#keys.set(value, key)
    else if (typeof found === 'string') this.#keys.set(value, new Set([found, key]))
    else found.add(key)
  }

  #remove(value: string, key: Key): void {
    const found = this.#keys.get(value)
    if (found === undefined || typeof found === 'string') {
      this.#keys.delete(value)
      return
    }
    found.delete(key)
    if (found.size === 1) for (const last of found) this.#keys.set(value, last)
  }
}

function distinct(values: Iterable<string>): readonly string[] {
  const list = Array.isArray(values) ? (values as readonly string[]) : [...values]
  if (list.length < 2) return list
  return [...new Set(list)]
}

const NONE: readonly never[] = []
/** Up to here a scan of an array beats building a Set. */
const FEW = 16
