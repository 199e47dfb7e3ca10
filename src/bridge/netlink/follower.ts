import type { InputTable } from '../../core/table.ts'
import type { Bridge, HostRoute } from '../found.ts'
import { findBridges, hasFilter } from './listing.ts'

/** The part of what `fairlead-carrier monitor --link --address --route` says that this needs. */
export interface BridgeEvent {
  readonly event: string
  readonly index?: number
  readonly kind?: string
  readonly destination?: string
  readonly prefixLength?: number
}

/** Keeps two tables equal to the bridges of this host and the addresses beside them, by listing again when an event may say something new. */
export class BridgeFollower {
  readonly #tables: { readonly bridges: InputTable<Bridge>; readonly routes: InputTable<HostRoute> }
  readonly #signal: AbortSignal
  readonly #onProblem: (problem: string) => void
  /** Indexes of bridges, as last listed. */
  #known: ReadonlySet<number> = new Set()
  #isFiltered = false
  #isDue = false
  #isListing = false

  constructor(
    tables: { readonly bridges: InputTable<Bridge>; readonly routes: InputTable<HostRoute> },
    { signal, onProblem }: { readonly signal: AbortSignal; readonly onProblem: (problem: string) => void },
  ) {
    this.#tables = tables
    this.#signal = signal
    this.#onProblem = onProblem
  }

  hear(event: BridgeEvent): void {
    if (this.#isNews(event)) this.#list()
  }

  /** Of a kernel module that comes or goes nobody is told. Cheap. */
  lookForFilter(): void {
    if (this.#known.size > 0 && hasFilter() !== this.#isFiltered) this.#list()
  }

  #isNews({ event, index = 0, kind, prefixLength }: BridgeEvent): boolean {
    if (event === 'ready' || event === 'overrun') return true
    if (event === 'link' && kind === 'bridge') return true
    // While it is listed it is not known whose this is.
    if (this.#known.size === 0) return this.#isListing
    // Any link may be one that is put on a bridge: which, the event does not say.
    return (
      event === 'link' || (event === 'address' && this.#known.has(index)) || (event === 'route' && prefixLength === 128)
    )
  }

  #list(): void {
    this.#isDue = true
    if (!this.#isListing) void this.#follow()
  }

  async #follow(): Promise<void> {
    this.#isListing = true
    while (this.#isDue && !this.#signal.aborted) {
      this.#isDue = false
      try {
        await this.#once()
      } catch (error) {
        if (this.#signal.aborted) break
        this.#onProblem((error as Error).message)
        this.#isDue = true
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS).unref())
      }
    }
    this.#isListing = false
  }

  async #once(): Promise<void> {
    this.#isFiltered = hasFilter()
    const { bridges, routes, indexes } = await findBridges(this.#signal)
    this.#known = indexes
    this.#tables.bridges.replace(bridges)
    this.#tables.routes.replace(routes)
    this.#tables.bridges.markSynced()
    this.#tables.routes.markSynced()
  }
}

const RETRY_MS = 500
