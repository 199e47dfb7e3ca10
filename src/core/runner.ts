import { Binding } from './binding.ts'
import { systemClock, type Backoff, type Clock } from './clock.ts'
import type { Target } from './delta.ts'
import type { Graph } from './graph.ts'
import type { Event } from './progress.ts'
import { asTable, InputTable, type Readable } from './table.ts'

export interface RunnerOptions {
  /** Ends the runner; applies in flight are aborted. What is outside stays. */
  readonly signal: AbortSignal
  readonly backoff?: Backoff
  /** 0: only on demand. */
  readonly auditEveryMs?: number
  readonly applyTimeoutMs?: number
  readonly clock?: Clock
  /** 0 <= random < 1. */
  readonly random?: () => number
  readonly onEvent?: (event: Event) => void
}

/** Drains what changes made dirty, and lets each target follow its table at its own pace. Watch callbacks never act: it does. */
export class Runner {
  readonly #graph: Graph
  readonly #options: Required<RunnerOptions>
  readonly #bindings: Binding[] = []
  readonly #loops = new Set<Promise<void>>()
  #running = false
  #scheduled = false

  constructor(graph: Graph, options: RunnerOptions) {
    this.#graph = graph
    this.#options = { ...DEFAULTS, ...options }
    graph.onDirty(() => this.#schedule())
  }

  get bindings(): readonly Binding[] {
    return this.#bindings
  }

  /** The target begins to follow the table as soon as the runner runs and the table is synced, `from` 0. */
  attach<Row>(readable: Readable<Row>, target: Target<Row>): Binding<Row> {
    const table = asTable(readable)
    if (table instanceof InputTable) this.#graph.input(table)
    const onEvent = (happening: object) => this.#say({ target: target.name, ...happening } as Event)
    const binding = new Binding(table, target, { ...this.#options, epoch: this.#graph.epoch, onEvent })
    this.#bindings.push(binding)
    if (this.#running) this.#start(binding)
    return binding
  }

  /** Ends once the signal has aborted and every target has let go. Never rejects. */
  async run(): Promise<void> {
    const { signal } = this.#options
    this.#running = true
    this.#schedule()
    for (const binding of this.#bindings) this.#start(binding)
    if (!signal.aborted) await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    await Promise.all(this.#loops)
    this.#running = false
  }

  #start(binding: Binding): void {
    this.#loops.add(binding.run())
  }

  /** All events of one turn of the event loop are drained together. */
  #schedule(): void {
    if (this.#scheduled || !this.#running || this.#options.signal.aborted) return
    this.#scheduled = true
    setImmediate(() => this.#drain())
  }

  #drain(): void {
    this.#scheduled = false
    try {
      this.#graph.settle()
    } catch (error) {
      this.#say({ target: 'derivations', kind: 'bug', error: error as Error })
    }
    for (const binding of this.#bindings) binding.nudge()
  }

  #say(event: Event): void {
    try {
      this.#options.onEvent(event)
    } catch (error) {
      // A listener's bug must not stop the data plane; nor may it stay unseen.
      process.emitWarning(error instanceof Error ? error : String(error))
    }
  }
}

const DEFAULTS = {
  backoff: { firstMs: 100, maxMs: 30_000 },
  auditEveryMs: 60_000,
  applyTimeoutMs: 120_000,
  clock: systemClock,
  random: Math.random,
  onEvent: () => {},
}
