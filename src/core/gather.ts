import type { Key } from './delta.ts'
import type { Graph, Settling } from './graph.ts'
import { Holders } from './holders.ts'
import { same, type Same } from './same.ts'
import { asTable, Table, type Readable } from './table.ts'
import { asError } from './thrown.ts'

export interface Gathering<Out, In, Part> {
  readonly name: string
  readonly driver: Readable<In>
  /** What one row of the driver adds to which rows, to one row as often as it likes. Pure, and cheap: called again whenever somebody looks. */
  readonly parts: (key: Key, row: In) => Iterable<readonly [Key, Part]>
  /** The row that parts make: at least one, in the order of their driver keys, then in that in which `parts` yields them. Pure. */
  readonly row: (key: Key, parts: readonly Part[]) => Out
  readonly same?: Same<Out>
  /** Parts that are kept at hand, besides those of a few driver rows: where many have a part in one row. Default: 0. */
  readonly atHand?: number
}

/**
 * A table whose rows are made of what any number of driver rows add to them, whenever they are asked for. Held is only which
 * driver rows may have a part in a key: some 20 bytes a part. Rows change when the graph settles, each at most once for all
 * that came together (in a big change, once for each PENDING_MAX rows).
 */
export function gather<Out, In, Part>(graph: Graph, spec: Gathering<Out, In, Part>): Readable<Out> {
  const table = new GatheredTable(spec)
  graph.add(table)
  return table
}

interface Share<Part> {
  readonly driver: Key
  readonly parts: readonly Part[]
}

class GatheredTable<Out, In, Part> extends Table<Out> implements Settling {
  readonly faults = new Map<Key, Error>()
  readonly #spec: Gathering<Out, In, Part>
  readonly #driver: Table<In>
  readonly #holders = new Holders()
  /** Rows as they were before what the driver has told since the last settle; undefined: there was none. */
  readonly #pending = new Map<Key, Out | undefined>()
  #size = 0
  /** Whoever looks at one row soon looks at its neighbours. The latest last. */
  readonly #recent = new Map<Key, { readonly row: In; readonly parts: ReadonlyMap<Key, readonly Part[]> }>()
  #recentParts = 0

  constructor(spec: Gathering<Out, In, Part>) {
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
    return this.#pending.has(key) ? this.#pending.get(key) : this.#make(key, this.#shares(key, null))
  }

  has(key: Key): boolean {
    return this.get(key) !== undefined
  }

  *entries(): IterableIterator<[Key, Out]> {
    const seen = new Set<Key>()
    for (const [driver, row] of this.#driver.entries()) {
      for (const [key, parts] of this.#partsOf(driver, row)) {
        const isShared = this.#holders.isShared(key)
        if (this.#pending.has(key) || seen.has(key)) continue
        if (isShared) seen.add(key)
        const made = this.#make(key, isShared ? this.#shares(key, null) : [{ driver, parts }])
        if (made !== undefined) yield [key, made]
      }
    }
    for (const [key, was] of this.#pending) if (was !== undefined) yield [key, was]
  }

  settle(): void {
    for (const [key, was] of this.#pending) {
      this.#pending.delete(key)
      const now = this.#make(key, this.#shares(key, null))
      this.#size += (now === undefined ? 0 : 1) - (was === undefined ? 0 : 1)
      if (was === now || (was !== undefined && now !== undefined && this.same(was, now))) continue
      this.carry(key, was, now, [])
    }
  }

  #changed(driver: Key, was: In | undefined, now: In | undefined): void {
    this.faults.delete(driver)
    const before = was === undefined ? NOTHING : this.#partsOf(driver, was)
    const after = now === undefined ? NOTHING : this.#partsOf(driver, now)
    if (now === undefined) this.#forget(driver)
    for (const [key, parts] of before) {
      if (after.has(key)) continue
      this.#await(key, driver, parts)
      this.#holders.remove(key, driver)
    }
    for (const [key, parts] of after) {
      const old = before.get(key)
      if (old !== undefined && same(old, parts)) continue
      this.#await(key, driver, old ?? NO_PARTS)
      if (old === undefined) this.#holders.add(key, driver)
    }
    if (this.#pending.size > PENDING_MAX) this.settle()
  }

  /** `parts`: what the driver row, which is another by now, had in it. */
  #await(key: Key, driver: Key, parts: readonly Part[]): void {
    if (this.#pending.has(key)) return
    this.#pending.set(key, this.#make(key, together(this.#shares(key, driver), { driver, parts })))
  }

  /** What all driver rows but one have in a key, in the order of their keys. */
  #shares(key: Key, except: Key | null): readonly Share<Part>[] {
    const shares: Share<Part>[] = []
    for (const driver of this.#holders.of(key)) {
      if (driver === except) continue
      const row = this.#driver.get(driver)
      const parts = row === undefined ? undefined : this.#partsOf(driver, row).get(key)
      if (parts !== undefined) shares.push({ driver, parts })
    }
    return shares
  }

  #make(key: Key, shares: readonly Share<Part>[]): Out | undefined {
    if (shares.length === 0) return undefined
    const parts = shares.length === 1 ? shares[0]!.parts : shares.flatMap((share) => share.parts)
    try {
      return this.#spec.row(key, parts)
    } catch (error) {
      this.faults.set(shares[0]!.driver, asError(error))
      return undefined
    }
  }

  /** Without parts when it throws, each time: the function is pure. */
  #partsOf(driver: Key, row: In): ReadonlyMap<Key, readonly Part[]> {
    const known = this.#recent.get(driver)
    if (known?.row === row) return known.parts
    const parts = new Map<Key, Part[]>()
    try {
      for (const [key, part] of this.#spec.parts(driver, row)) {
        const others = parts.get(key)
        if (others === undefined) parts.set(key, [part])
        else others.push(part)
      }
    } catch (error) {
      parts.clear()
      if (this.#driver.get(driver) === row) this.faults.set(driver, asError(error))
    }
    this.#remember(driver, row, parts)
    return parts
  }

  #remember(driver: Key, row: In, parts: ReadonlyMap<Key, readonly Part[]>): void {
    this.#forget(driver)
    for (const oldest of this.#recent.keys()) {
      if (this.#recent.size < ROWS_AT_HAND || this.#recentParts <= (this.#spec.atHand ?? 0)) break
      this.#forget(oldest)
    }
    this.#recent.set(driver, { row, parts })
    this.#recentParts += parts.size
  }

  #forget(driver: Key): void {
    this.#recentParts -= this.#recent.get(driver)?.parts.size ?? 0
    this.#recent.delete(driver)
  }
}

function together<Part>(others: readonly Share<Part>[], own: Share<Part>): readonly Share<Part>[] {
  if (own.parts.length === 0) return others
  const at = others.findIndex((other) => own.driver < other.driver)
  return at === -1 ? [...others, own] : others.toSpliced(at, 0, own)
}

const NOTHING: ReadonlyMap<Key, never> = new Map<Key, never>()
const NO_PARTS: readonly never[] = []
/** Driver rows: a key is nearly always of one or two. */
const ROWS_AT_HAND = 4
const PENDING_MAX = 10_000
