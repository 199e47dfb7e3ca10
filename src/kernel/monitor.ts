import { hearKernel } from './events.ts'
import type { Nft } from './nft.ts'

export interface MonitorOptions {
  readonly signal: AbortSignal
  /** Whatever is changed from now on is heard of. */
  readonly onReady?: () => void
  /** The ruleset was changed by somebody whose transactions were not counted by `count`. At most once each SETTLE_MS. */
  readonly onForeignChange: () => void
  /** The monitor was down: anything may have happened. */
  readonly onGap: (why: string) => void
}

/**
 * Watches the ruleset's generation, which each transaction raises by one; what we did not do ourselves, somebody else did.
 * Only the number: listening to the changes themselves makes the kernel spell out every element of every transaction.
 */
export class RulesetMonitor {
  readonly #options: MonitorOptions
  /** The last one heard of. */
  #generation = 0
  #ours = 0
  #seen = 0
  /** Ours that are not counted yet. */
  #running = 0
  #timer: NodeJS.Timeout | null = null

  constructor(options: MonitorOptions) {
    this.#options = options
    void hearKernel({
      flags: ['--nft'],
      signal: options.signal,
      onEvent: (event) => this.#hear(event as MonitorEvent),
      onEnd: (why) => options.onGap(`the ruleset monitor ended: ${why}`),
    })
  }

  /** Counts the transactions of `nft` as ours. */
  count(nft: Nft): Nft {
    return {
      run: async (text, signal) => {
        this.#running++
        try {
          const result = await nft.run(text, signal)
          if (result.kind === 'committed') this.#ours++
          return result
        } finally {
          this.#running--
        }
      },
      close: () => nft.close(),
    }
  }

  #hear(event: MonitorEvent): void {
    if (event.event === 'ready') {
      this.#generation = event.generation
      this.#options.onReady?.()
      return
    }
    this.#seen += (event.id - this.#generation) >>> 0
    this.#generation = event.id
    this.#timer ??= setTimeout(() => this.#settle(), SETTLE_MS).unref()
  }

  #settle(): void {
    this.#timer = null
    // A large transaction is heard of long before its process has ended. Counted later, it would hide one of somebody else's.
    if (this.#running > 0) {
      this.#timer = setTimeout(() => this.#settle(), SETTLE_MS).unref()
      return
    }
    const foreign = this.#seen > this.#ours
    this.#seen = 0
    this.#ours = 0
    if (foreign) this.#options.onForeignChange()
  }
}

/** 32 bits that start again at 0. */
type MonitorEvent =
  { readonly event: 'ready'; readonly generation: number } | { readonly event: 'nft-generation'; readonly id: number }

/** Long enough for our own transaction to be counted before its event is judged. */
const SETTLE_MS = 100
