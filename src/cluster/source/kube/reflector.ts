import { setTimeout as wait } from 'node:timers/promises'
import type { Inlet } from '../../inlet.ts'
import { Backoff } from './backoff.ts'
import type { Connection } from './connection.ts'
import { list, type Selector } from './list.ts'
import { needsList, type Problem } from './problem.ts'
import { watch, type WatchEvent } from './watch.ts'

/** Where one kind stands, for status. Times are ms since 1970. */
export interface KindState {
  readonly kind: string
  readonly phase: 'listing' | 'watching' | 'retrying' | 'stopped'
  /** When this phase began. */
  readonly since: number
  /** What went wrong last; null once all is well again. */
  readonly problem: Problem | null
  /** Failures since all was well. */
  readonly failures: number
  /** Last revision known; '' before the first list. */
  readonly resourceVersion: string
  /** Lists that were completed: more than one means that history was lost. */
  readonly lists: number
  readonly events: number
  /** The rows are from the copy on disk; no list has been completed since the start. */
  readonly stale: boolean
}

/** What a reflector writes to: an inlet, or a part of one. */
export type Filled = Pick<Inlet<any>, 'kind' | 'begin' | 'put' | 'drop' | 'replace' | 'synced'>

export interface ReflectOptions {
  readonly connection: Connection
  readonly inlet: Filled
  readonly selector: Selector
  readonly limit: number
  readonly signal: AbortSignal
  readonly onState: (state: KindState) => void
  readonly backoff?: Backoff
  readonly now?: () => number
}

/**
 * Keeps an inlet equal to what the API server holds: lists, watches from where the list ended, resumes where the watch
 * ended, and lists again (in place) when history is gone.
 */
export class Reflector {
  readonly #options: ReflectOptions
  readonly #backoff: Backoff
  readonly #now: () => number
  #state: KindState

  constructor(options: ReflectOptions) {
    this.#options = options
    this.#backoff = options.backoff ?? new Backoff()
    this.#now = options.now ?? Date.now
    this.#state = {
      ...{ kind: options.inlet.kind.kind, phase: 'listing', since: this.#now(), problem: null, failures: 0 },
      ...{ resourceVersion: '', lists: 0, events: 0, stale: false },
    }
  }

  get state(): KindState {
    return this.#state
  }

  /** The rows came from the copy on disk. Of no effect once a list is complete. */
  markStale(): void {
    if (this.#state.lists === 0) this.#change({ stale: true })
  }

  /** Resolves when the signal aborts. Throws only for a bug. */
  async run(): Promise<void> {
    const { signal } = this.#options
    try {
      let resume = ''
      while (!signal.aborted) resume = resume === '' ? await this.#list() : await this.#watch(resume)
    } finally {
      this.#change({ phase: 'stopped' })
    }
  }

  /** The revision to watch from; '' when the list failed (and the wait for the next try is over). */
  async #list(): Promise<string> {
    const { connection, inlet, selector, limit, signal } = this.#options
    this.#change({ phase: 'listing' })
    const { kind } = inlet
    const listed = await list({ connection, kind, selector, limit, begin: () => inlet.begin(), signal })
    if (signal.aborted) return ''
    if (listed.kind === 'failed') {
      await this.#missing(listed.problem)
      return ''
    }
    inlet.synced()
    const { resourceVersion } = listed
    this.#change({ resourceVersion, stale: false, lists: this.#state.lists + 1 })
    return resourceVersion
  }

  /** The revision to go on from; '' when only a list helps. */
  async #watch(from: string): Promise<string> {
    const { connection, inlet, selector, signal } = this.#options
    let resume = from
    let events = 0
    const began = this.#now()
    const onOpen = (): void => this.#change({ phase: 'watching', problem: null, failures: 0 })
    const onEvent = (event: WatchEvent): void => {
      if (event.type === 'put') inlet.put(event.object)
      else if (event.type === 'drop') inlet.drop(event.object)
      resume = event.resourceVersion
      events++
      // Not through #change: nobody needs to hear of each event.
      this.#state = { ...this.#state, resourceVersion: resume, events: this.#state.events + 1 }
    }
    const { kind } = inlet
    const watched = await watch({ connection, kind, selector, from, signal, onOpen, onEvent })
    if (signal.aborted) return resume
    const lived = events > 0 || this.#now() - began >= LIVED_MS
    if (lived) this.#backoff.reset()
    if (watched.kind === 'ended') {
      if (!lived) await this.#retry(CLOSED_AT_ONCE)
      return resume
    }
    const relist = needsList(watched.problem)
    // The first time without delay: a 410 is the normal end of a watch that was away for long.
    if (relist && this.#backoff.failures === 0) {
      this.#backoff.next()
      this.#change({ problem: watched.problem })
    } else await this.#retry(watched.problem)
    return relist ? '' : resume
  }

  /** A list failed. A kind that this cluster need not have is then empty, and looked for now and then. */
  async #missing(problem: Problem): Promise<void> {
    const { inlet } = this.#options
    if (problem.status !== 404) return this.#retry(problem)
    if (inlet.kind.optional) {
      inlet.replace([])
      inlet.synced()
      this.#change({ stale: false })
    }
    await this.#retry(problem, NOT_INSTALLED_MS)
  }

  async #retry(problem: Problem, atLeastMs = 0): Promise<void> {
    const ms = Math.max(this.#backoff.next(), atLeastMs, problem.retryAfterMs ?? 0)
    this.#change({ phase: 'retrying', problem, failures: this.#backoff.failures })
    await wait(ms, undefined, { signal: this.#options.signal }).catch(() => {})
  }

  #change(change: Partial<KindState>): void {
    const since = change.phase !== undefined && change.phase !== this.#state.phase ? this.#now() : this.#state.since
    this.#state = { ...this.#state, ...change, since }
    this.#options.onState(this.#state)
  }
}

/** A watch that lives this long was a success, also when nothing happened. */
const LIVED_MS = 500
const NOT_INSTALLED_MS = 60_000
const CLOSED_AT_ONCE: Problem = {
  status: null,
  message: 'the API server closes the watch at once',
  remedy: '',
  retryAfterMs: null,
}
