import type { Delta, Key, Refused } from './delta.ts'
import { Snapshot } from './snapshot.ts'
import type { Listener, Table } from './table.ts'

/**
 * How far one receiver has come with a table: what it holds, told as the difference to the table. Costs nothing while the
 * two are equal, and nothing while the next delta is from 0 anyway.
 */
export class Cursor<Row> implements Listener<Row> {
  readonly #table: Table<Row>
  readonly #epoch: string
  /** The row as delivered (undefined: none) of each key that differs from it now. null: the next delta is from 0. */
  #differs: Map<Key, Row | undefined> | null = null
  /** Delivered, but not taken: the receiver holds nothing under these keys. */
  #refused: Map<Key, Refused> = new Map()
  /** Number of the last delta that landed. */
  #held = 0
  #flight: { readonly delta: Delta<Row>; readonly view: Snapshot<Row> | null } | null = null
  /** Recovery was asked for while a delta is in flight. */
  #spoiled = false

  constructor(table: Table<Row>, epoch: string) {
    this.#table = table
    this.#epoch = epoch
    table.watch(this)
  }

  get refused(): ReadonlyMap<Key, Refused> {
    return this.#refused
  }

  /** False when the next delta is from 0 whatever happens. */
  get begun(): boolean {
    return this.#differs !== null
  }

  /** Rows that the receiver does not hold as they are now; all of them before a delta from 0. */
  get pending(): number {
    return this.#differs === null || this.#spoiled ? this.#table.size : this.#differs.size
  }

  /** True when there is something to deliver. */
  get due(): boolean {
    return this.#table.synced && (this.#differs === null || this.#differs.size > 0)
  }

  changed(key: Key, was: Row | undefined, now: Row | undefined): void {
    const differs = this.#differs
    if (differs === null) return
    if (!differs.has(key)) {
      differs.set(key, was)
      return
    }
    const delivered = differs.get(key)
    const back = delivered === undefined || now === undefined ? delivered === now : this.#table.same(delivered, now)
    if (back) differs.delete(key)
  }

  /** The delta to apply now, or null when what differed was refused before and is gone. Then `landed` or `lost`. */
  take(): Delta<Row> | null {
    if (this.#flight !== null) throw new Error(`a delta of ${this.#table.name} is in flight`)
    const differs = this.#differs
    this.#differs = new Map()
    const view = differs === null ? new Snapshot(this.#table, this.#differs) : null
    const delta = differs === null ? this.#whole(view!) : this.#difference(differs)
    if (view === null && delta.put.size === 0 && delta.drop.size === 0) return null
    this.#flight = { delta, view }
    return delta
  }

  /** The delta in flight was applied, but for these rows. */
  landed(refused: readonly Refused[]): void {
    const { delta, view } = this.#flight!
    if (view !== null) this.#refused = new Map()
    for (const one of refused) if (delta.put.has(one.key)) this.#refused.set(one.key, one)
    this.#held = delta.to.number
    this.#end()
  }

  /** What the receiver holds is not known any more: the next delta is from 0. */
  lost(): void {
    this.#spoiled = true
    this.#end()
  }

  /** Like `lost`, but a delta in flight is let land first. */
  recover(): void {
    this.#spoiled = true
    if (this.#flight === null) this.#end()
  }

  close(): void {
    this.#table.unwatch(this)
    this.lost()
  }

  #end(): void {
    this.#flight?.view?.end()
    this.#flight = null
    if (this.#spoiled) this.#differs = null
    this.#spoiled = false
  }

  #whole(view: Snapshot<Row>): Delta<Row> {
    return { from: 0, to: this.#revision(), put: view, drop: new Set(), was: new Map() }
  }

  #difference(differs: ReadonlyMap<Key, Row | undefined>): Delta<Row> {
    const put = new Map<Key, Row>()
    const drop = new Set<Key>()
    const was = new Map<Key, Row>()
    for (const [key, delivered] of differs) {
      const now = this.#table.get(key)
      const held = this.#refused.delete(key) ? undefined : delivered
      if (held !== undefined) was.set(key, held)
      if (now !== undefined) put.set(key, now)
      else if (held !== undefined) drop.add(key)
    }
    return { from: this.#held, to: this.#revision(), put, drop, was }
  }

  #revision(): { epoch: string; number: number } {
    return { epoch: this.#epoch, number: this.#table.number }
  }
}
