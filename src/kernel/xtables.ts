import { hearKernel } from './events.ts'

export interface XtablesMonitorOptions {
  readonly signal: AbortSignal
  /** Watched while they are there; watching makes none. */
  readonly tables: readonly string[]
  /** How many entries of a table are ours: one a rule, two a chain. */
  readonly ours: (family: 4 | 6, table: string) => number
  /** Others have more or fewer entries than before, or of ours some are gone. At most once each SETTLE_MS. */
  readonly onForeignChange: () => void
  /** The monitor was down: anything may have happened. */
  readonly onGap: (why: string) => void
}

/**
 * Watches tables of legacy iptables, of whose changes nobody is told, by the number of their entries. What we did not do
 * ourselves, somebody else did; as many entries of others as before are taken for the same ones.
 */
export class XtablesMonitor {
  readonly #options: XtablesMonitorOptions
  /** By family and table: all entries, as told last, and those that are not ours, as judged last; null: not yet. */
  readonly #tables = new Map<string, { readonly event: XtablesEvent; others: number | null }>()
  /** Writes of ours that are not over yet. */
  #running = 0
  #wroteAtMs = 0
  #waits = 0
  /** How often to have our rules looked at, though nobody told of anything; and how often that may be wanted. */
  #looks = 0
  #looksLeft = 0
  #timer: NodeJS.Timeout | null = null

  constructor(options: XtablesMonitorOptions) {
    this.#options = options
    void hearKernel({
      flags: options.tables.flatMap((table) => ['--xtables', table]),
      signal: options.signal,
      onEvent: (event) => this.#hear(event as XtablesEvent | { readonly event: 'ready' }),
      onEnd: (why) => options.onGap(`the monitor of iptables ended: ${why}`),
    })
  }

  /** Begins a write of ours; what it returns ends it. */
  writing(): () => void {
    this.#running++
    return () => {
      this.#running--
      this.#wroteAtMs = performance.now()
      // It may have been a repair: a change of the same extent right behind it looks as if there had been none.
      if (this.#looksLeft === 0) return
      this.#looks = LOOKS
      this.#timer ??= setTimeout(() => this.#settle(), SETTLE_MS).unref()
    }
  }

  #hear(event: XtablesEvent | { readonly event: 'ready' }): void {
    if (event.event !== 'xtables') return
    const key = `${event.family} ${event.table}`
    this.#tables.set(key, { event, others: this.#tables.get(key)?.others ?? null })
    this.#timer ??= setTimeout(() => this.#settle(), SETTLE_MS).unref()
  }

  #settle(): void {
    this.#timer = null
    // What was told is older than what we have just written.
    const early = performance.now() - this.#wroteAtMs < SETTLE_MS && this.#waits++ < WAITS_MAX
    if (this.#running > 0 || early) {
      this.#timer = setTimeout(() => this.#settle(), SETTLE_MS).unref()
      return
    }
    this.#waits = 0
    let foreign = false
    for (const table of this.#tables.values()) {
      const { event } = table
      const others = event.entries - this.#options.ours(event.family, event.table)
      // The first time: nobody knows what was done before.
      foreign ||= table.others !== others
      table.others = others
    }
    if (foreign) this.#looksLeft = LOOKS_MAX
    const look = this.#looks > 0 && this.#looksLeft > 0
    if (look) {
      this.#looks--
      this.#looksLeft--
    }
    if (foreign || look) this.#options.onForeignChange()
    if (this.#looks > 0 && this.#looksLeft > 0) this.#timer ??= setTimeout(() => this.#settle(), AGAIN_MS).unref()
  }
}

interface XtablesEvent {
  readonly event: 'xtables'
  readonly family: 4 | 6
  readonly table: string
  readonly entries: number
}

/** Longer than the monitor takes to tell of a change of ours that is over: it asks each 100 ms. */
const SETTLE_MS = 150
/** Behind each repair twice, as the monitor may be late; but who changes and changes back for ever is not followed for ever. */
const LOOKS = 2
const AGAIN_MS = 300
const LOOKS_MAX = 8
/** Who writes all the time is judged all the same: at worst an audit finds nothing. */
const WAITS_MAX = 4
