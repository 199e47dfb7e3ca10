import type { Clock } from './clock.ts'
import { InputTable, type Readable } from './table.ts'

/** An address that a name stands for at the moment. Key: `NAME ADDRESS`. */
export interface NameAddress {
  /** Absolute, lower case: `example.com.`. */
  readonly name: string
  /** Canonical. */
  readonly address: string
}

/** What a DNS server answered. */
export interface NameAnswer {
  /** What was asked for, then what that is an alias of. */
  readonly names: readonly string[]
  /** With the seconds that are left. */
  readonly addresses: readonly { readonly ip: string; readonly ttl: number }[]
}

/**
 * Table `names`, between the room that answers names and those that decide by them: addresses come as they are answered, and
 * go by their TTL, some time after clients must have forgotten them. Nothing else takes them away: clients use what they heard,
 * whoever has been started anew meanwhile. Bounded.
 */
export class Names {
  readonly #table = new InputTable<NameAddress>('names')
  readonly #until = new Map<string, number>()
  readonly #clock: Clock
  readonly #graceMs: number
  readonly #rowsMax: number
  #unlisted = 0

  constructor(clock: Clock, graceMs = GRACE_MS, rowsMax = ROWS_MAX) {
    this.#clock = clock
    this.#graceMs = graceMs
    this.#rowsMax = rowsMax
  }

  get table(): Readable<NameAddress> {
    return this.#table
  }

  /** Addresses that there was no room for. */
  get unlisted(): number {
    return this.#unlisted
  }

  /** Names that `isWanted` does not want are left out. */
  add(answers: readonly NameAnswer[], isWanted: (name: string) => boolean = () => true): void {
    const now = this.#clock.now()
    for (const { names, addresses } of answers)
      for (const name of names)
        if (isWanted(name)) for (const { ip, ttl } of addresses) this.#add(name, ip, now + ttl * 1000)
  }

  /** All that there was is known: readers may rely on what is not there. */
  markSynced(): void {
    this.#table.markSynced()
  }

  /** Drops what has ended. */
  expire(): void {
    const now = this.#clock.now()
    for (const [key, until] of this.#until) {
      if (until > now) continue
      this.#until.delete(key)
      this.#table.drop(key)
    }
  }

  /** Drops what has ended, again and again. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#clock.after(LOOK_MS, signal)
      this.expire()
    }
  }

  #add(name: string, address: string, endsAt: number): void {
    const key = `${name} ${address}`
    const held = this.#until.get(key)
    if (held === undefined && this.#until.size >= this.#rowsMax) {
      this.#unlisted++
      return
    }
    this.#until.set(key, Math.max(held ?? 0, endsAt + this.#graceMs))
    if (held === undefined) this.#table.put(key, { name, address })
  }
}

/** A client looks up, then connects; and a carrier says a second late that an address lives on. */
const GRACE_MS = 30_000
const LOOK_MS = 1_000
const ROWS_MAX = 100_000
