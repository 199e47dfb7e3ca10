/** Runs the controllers: one queue of what is dirty, drained in order, coalescing what comes meanwhile. */
import type { Store } from '../api/store.ts'
import type { Controller } from './controller.ts'

export interface RunnerOptions {
  /** Told of a bug in a controller; its key is tried again later. Default: rethrow, as tests want it. */
  readonly onBug?: (error: unknown, controller: string, key: string) => void
  /** Calls back after a while; tests have their own. */
  readonly after?: (ms: number, callback: () => void) => () => void
}

export class Runner {
  readonly #store: Store
  readonly #controllers: readonly Controller[]
  readonly #onBug: RunnerOptions['onBug']
  readonly #after: NonNullable<RunnerOptions['after']>
  /** In the order in which they became dirty. */
  readonly #dirty = new Map<string, { controller: Controller; key: string }>()
  readonly #timers = new Map<string, () => void>()
  readonly #stopListening: () => void
  #scheduled: NodeJS.Immediate | undefined
  #running = false

  constructor(store: Store, controllers: readonly Controller[], options: RunnerOptions = {}) {
    this.#store = store
    this.#controllers = controllers
    this.#onBug = options.onBug
    this.#after = options.after ?? afterReally
    this.#stopListening = store.onChange((change) => {
      for (const controller of this.#controllers) {
        for (const key of controller.touched(change, store)) this.#mark(controller, key)
      }
    })
    for (const object of store.resources.all().flatMap(({ plural }) => store.list(plural))) this.#announce(object)
  }

  /** From now on works by itself, after each turn in which something changed. */
  start(): void {
    this.#running = true
    this.#wake()
  }

  /** Works until nothing is left to do, and returns how many looks that took. Throws when it never ends: a bug. */
  settle(): number {
    let looks = 0
    while (this.#dirty.size > 0) {
      this.#look()
      if (++looks > LOOKS_MAX) throw new Error(`the controllers do not settle: ${[...this.#dirty.keys()].slice(0, 5)}`)
    }
    return looks
  }

  stop(): void {
    this.#running = false
    clearImmediate(this.#scheduled)
    this.#stopListening()
    for (const cancel of this.#timers.values()) cancel()
    this.#timers.clear()
    this.#dirty.clear()
  }

  #announce(object: { apiVersion: string; kind: string }): void {
    const located = this.#store.locate(object)
    if ('failure' in located) return
    const change = {
      revision: this.#store.revision,
      type: 'ADDED',
      resource: located.resource,
      object: object as never,
      previous: null,
    } as const
    for (const controller of this.#controllers) {
      for (const key of controller.touched(change, this.#store)) this.#mark(controller, key)
    }
  }

  #mark(controller: Controller, key: string): void {
    const id = `${controller.name} ${key}`
    if (!this.#dirty.has(id)) this.#dirty.set(id, { controller, key })
    this.#wake()
  }

  /** A bounded number of looks a turn: requests and kubelets get theirs. */
  #wake(): void {
    if (!this.#running || this.#scheduled !== undefined || this.#dirty.size === 0) return
    this.#scheduled = setImmediate(() => {
      this.#scheduled = undefined
      for (let i = 0; i < LOOKS_A_TURN && this.#dirty.size > 0; i++) this.#look()
      this.#wake()
    })
  }

  #look(): void {
    const [id, { controller, key }] = this.#dirty.entries().next().value!
    this.#dirty.delete(id)
    this.#timers.get(id)?.()
    this.#timers.delete(id)
    let againMs: number | undefined | void
    try {
      againMs = controller.reconcile(key, this.#store)
    } catch (error) {
      if (this.#onBug === undefined) throw error
      this.#onBug(error, controller.name, key)
      againMs = BUG_RETRY_MS
    }
    if (againMs === undefined) return
    const cancel = this.#after(againMs, () => {
      this.#timers.delete(id)
      this.#mark(controller, key)
    })
    this.#timers.set(id, cancel)
  }
}

function afterReally(ms: number, callback: () => void): () => void {
  const timer = setTimeout(callback, ms)
  timer.unref()
  return () => clearTimeout(timer)
}

const LOOKS_MAX = 1_000_000
const LOOKS_A_TURN = 200
const BUG_RETRY_MS = 5_000
