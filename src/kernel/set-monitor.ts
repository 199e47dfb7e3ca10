import { hearKernel } from './events.ts'

export interface SetMonitorOptions {
  readonly signal: AbortSignal
  /** The sets that are watched. */
  readonly names: readonly string[]
  /** How many members a set should have; undefined: whatever it has. */
  readonly members: (name: string) => number | undefined
  /** A set has more or fewer members than it should, or is gone. At most once each SETTLE_MS. */
  readonly onForeignChange: () => void
  /** The monitor was down: anything may have happened. */
  readonly onGap: (why: string) => void
}

/** Watches some ipsets, of whose changes nobody is told, by the number of their members. */
export class SetMonitor {
  readonly #options: SetMonitorOptions
  /** As told last; null: there is no such set. */
  readonly #told = new Map<string, number | null>()
  #timer: NodeJS.Timeout | null = null

  constructor(options: SetMonitorOptions) {
    this.#options = options
    void hearKernel({
      flags: options.names.flatMap((name) => ['--set', name]),
      signal: options.signal,
      onEvent: (event) => this.#hear(event as SetEvent | { readonly event: 'ready' }),
      onEnd: (why) => options.onGap(`the monitor of ipsets ended: ${why}`),
    })
  }

  #hear(event: SetEvent | { readonly event: 'ready' }): void {
    if (event.event !== 'set') return
    this.#told.set(event.name, event.members)
    this.#timer ??= setTimeout(() => this.#settle(), SETTLE_MS).unref()
  }

  /** What is being written at the moment is judged as a change of somebody else's: at worst an audit finds nothing. */
  #settle(): void {
    this.#timer = null
    const { members, onForeignChange } = this.#options
    const isForeign = [...this.#told].some(([name, told]) => {
      const wanted = members(name)
      return wanted !== undefined && wanted !== told
    })
    if (isForeign) onForeignChange()
  }
}

interface SetEvent {
  readonly event: 'set'
  readonly name: string
  readonly members: number | null
}

/** Longer than the monitor takes to tell of a change of ours that is over: it asks each 100 ms. */
const SETTLE_MS = 150
