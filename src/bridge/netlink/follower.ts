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

export interface FollowerOptions {
  readonly bridges: InputTable<Bridge>
  readonly routes: InputTable<HostRoute>
  /** Some bridge is one of pods. Of others it does not matter, nor is it followed, what is on them. */
  readonly matters: () => boolean
  readonly signal: AbortSignal
  readonly onProblem: (problem: string) => void
}

/**
 * Keeps two tables equal to the bridges of this host and the addresses beside them, by listing again when an event may say
 * something new.
 */
export class BridgeFollower {
  readonly #options: FollowerOptions
  /** Indexes of bridges, as last listed. */
  #known: ReadonlySet<number> = new Set()
  #isFiltered = false
  #isDue = false
  #isListing = false

  constructor(options: FollowerOptions) {
    this.#options = options
  }

  hear(event: BridgeEvent): void {
    if (this.#isNews(event)) this.look()
  }

  look(): void {
    this.#isDue = true
    if (!this.#isListing) void this.#follow()
  }

  /** Of a kernel module that comes or goes nobody is told. Cheap. */
  lookForFilter(): void {
    if (this.#known.size > 0 && hasFilter() !== this.#isFiltered) this.look()
  }

  #isNews({ event, index = 0, kind, prefixLength }: BridgeEvent): boolean {
    if (event === 'ready' || event === 'overrun') return true
    if (event === 'link' && kind === 'bridge') return true
    // While it is listed it is not known yet whose it is.
    if (event === 'address') return this.#isListing || this.#known.has(index)
    // Any link may be one that is put on a bridge: which, the event does not say.
    return this.#options.matters() && (event === 'link' || (event === 'route' && prefixLength === 128))
  }

  async #follow(): Promise<void> {
    const { signal, onProblem } = this.#options
    this.#isListing = true
    while (this.#isDue && !signal.aborted) {
      this.#isDue = false
      let pauseMs = PAUSE_MS
      try {
        await this.#list()
      } catch (error) {
        if (signal.aborted) break
        onProblem((error as Error).message)
        this.#isDue = true
        pauseMs = RETRY_MS
      }
      await new Promise((resolve) => setTimeout(resolve, pauseMs).unref())
    }
    this.#isListing = false
  }

  async #list(): Promise<void> {
    const { bridges, routes, signal } = this.#options
    this.#isFiltered = hasFilter()
    const found = await findBridges(signal)
    this.#known = found.indexes
    bridges.replace(found.bridges)
    routes.replace(found.routes)
    for (const table of [bridges, routes]) table.markSynced()
  }
}

/** A pod that starts brings twenty events. */
const PAUSE_MS = 50
const RETRY_MS = 500
