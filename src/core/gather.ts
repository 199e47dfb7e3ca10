import type { Key } from './delta.ts'
import type { Graph, Settling } from './graph.ts'
import { Holders } from './holders.ts'
import { same, type Same } from './same.ts'
import { asTable, Table, type Readable } from './table.ts'

export interface Gathering<Out, In, Part> {
  readonly name: string
  readonly driver: Readable<In>
  /** What one row of the driver adds to which rows, to one row as often as it likes. Pure, and cheap: called again whenever somebody looks. */
  readonly parts: (key: Key, row: In) => Iterable<readonly [Key, Part]>
  /** The row that parts make: at least one, in the order of their driver keys, then in that in which `parts` yields them. Pure. */
  readonly row: (key: Key, parts: readonly Part[]) => Out
  readonly same?: Same<Out>
}

/**
 * Like `expand`, a table whose rows are made whenever they are asked for; but a row is made of what any number of driver
 * rows add to it. Held is only which driver rows may have a part in a key: some 20 bytes a part.
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
  #size = 0
  /** Whoever looks at one row soon looks at its neighbours. The latest last. */
  readonly #recent = new Map<Key, { readonly row: In; readonly parts: ReadonlyMap<Key, readonly Part[]> }>()

  constructor(spec: Gathering<Out, In, Part>) {
    super(spec.name, spec)
    this.#spec = spec
    this.#driver = asTable(spec.driver)
    // Each as if it came now, alone: a share counts once its driver row is among the holders.
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
    return this.#make(key, this.#shares(key, null))
  }

  has(key: Key): boolean {
    return this.get(key) !== undefined
  }

  *entries(): IterableIterator<[Key, Out]> {
    for (const [driver, row] of this.#driver.entries()) {
      for (const [key, parts] of this.#partsOf(driver, row)) {
        const others = this.#shares(key, driver)
        // Whoever is first of those that have a part in it shows it, and nobody else.
        if (others.some((other) => other.driver < driver)) continue
        const made = this.#make(key, [{ driver, parts }, ...others])
        if (made !== undefined) yield [key, made]
      }
    }
  }

  settle(): void {} // what the driver tells is passed on at once

  #changed(driver: Key, was: In | undefined, now: In | undefined): void {
    this.faults.delete(driver)
    const before = was === undefined ? NOTHING : this.#partsOf(driver, was)
    const after = now === undefined ? NOTHING : this.#partsOf(driver, now)
    if (now === undefined) this.#recent.delete(driver)
    for (const [key, parts] of before) {
      if (!after.has(key)) {
        this.#holders.remove(key, driver)
        this.#tell(driver, key, parts, NO_PARTS)
      }
    }
    for (const [key, parts] of after) {
      const old = before.get(key)
      if (old === undefined) this.#holders.add(key, driver)
      if (old === undefined || !same(old, parts)) this.#tell(driver, key, old ?? NO_PARTS, parts)
    }
  }

  #tell(driver: Key, key: Key, before: readonly Part[], after: readonly Part[]): void {
    const others = this.#shares(key, driver)
    const was = this.#make(key, together(others, { driver, parts: before }))
    const now = this.#make(key, together(others, { driver, parts: after }))
    this.#size += (now === undefined ? 0 : 1) - (was === undefined ? 0 : 1)
    if (was === now || (was !== undefined && now !== undefined && this.same(was, now))) return
    this.carry(key, was, now, [])
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
    this.#recent.delete(driver)
    this.#recent.set(driver, { row, parts })
    for (const oldest of this.#recent.keys()) {
      if (this.#recent.size <= RECENT_MAX) break
      this.#recent.delete(oldest)
    }
    return parts
  }
}

function together<Part>(others: readonly Share<Part>[], own: Share<Part>): readonly Share<Part>[] {
  if (own.parts.length === 0) return others
  const at = others.findIndex((other) => own.driver < other.driver)
  return at === -1 ? [...others, own] : others.toSpliced(at, 0, own)
}

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)))

const NOTHING: ReadonlyMap<Key, never> = new Map<Key, never>()
const NO_PARTS: readonly never[] = []
/** Driver rows: a key is nearly always of one or two. */
const RECENT_MAX = 4
