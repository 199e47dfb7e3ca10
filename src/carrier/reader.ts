/**
 * Reads what a DNS carrier answers (`fairlead-carrier dns --readers PATH`): says which names are wanted, is told of each
 * answer with something new in it before the client is, and acknowledges once that is in force. Connects again whenever the
 * connection ends, and is then told all that is known.
 */
import { backoffMs, systemClock, type Backoff, type Clock } from '../core/clock.ts'
import { Link } from './link.ts'
import { heard, readReaderMessage } from './message.ts'
import { Patterns } from './patterns.ts'
import type { FromReader, Seen, SeenRow, ToReader } from './wire.ts'

export type ReaderEvent =
  | { readonly kind: 'connected'; readonly version: string }
  /** Said once for the same reason, however often it is tried again. */
  | { readonly kind: 'disconnected'; readonly reason: string; readonly retryInMs: number }

export interface ReaderOptions {
  /** Path of the carrier's socket. */
  readonly path: string
  /**
   * Rows of names that are wanted; `isWhole`: with them all that is known has been told. Resolves when they are in force: clients
   * wait for that, at most 50 ms. When it rejects, the connection is made anew, and all is told again.
   */
  readonly take: (rows: readonly SeenRow[], isWhole: boolean) => Promise<void>
  readonly backoff?: Backoff
  readonly clock?: Clock
  /** 0 <= random < 1. */
  readonly random?: () => number
  readonly onEvent?: (event: ReaderEvent) => void
}

export class AnswerReader {
  readonly #options: Required<ReaderOptions>
  #wanted: readonly string[] = []
  #patterns = new Patterns([])
  #link: Link | null = null

  constructor(options: ReaderOptions) {
    this.#options = { ...DEFAULTS, ...options }
  }

  /**
   * From now on these: absolute, lower case, at most 10,000; `*.example.com.` is all names below. None: nothing is told, and no
   * client waits. All that is known of them is told first.
   */
  want(patterns: readonly string[]): void {
    this.#wanted = [...patterns]
    this.#patterns = new Patterns(patterns)
    this.#ask()
  }

  /** Connects, again and again, until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { backoff, random, clock, onEvent } = this.#options
    const stop = (): void => this.#link?.close('stopped')
    signal.addEventListener('abort', stop)
    let failures = 0
    let last = ''
    while (!signal.aborted) {
      const { reason, lived } = await this.#live(signal)
      if (signal.aborted) break
      failures = lived ? 1 : failures + 1
      const retryInMs = backoffMs(backoff, failures, random)
      if (lived || reason !== last) onEvent({ kind: 'disconnected', reason, retryInMs })
      last = reason
      await clock.after(retryInMs, signal)
    }
    signal.removeEventListener('abort', stop)
  }

  async #live(signal: AbortSignal): Promise<{ reason: string; lived: boolean }> {
    let lived = false
    /** Ends when all that was told so far is in force. */
    let taken: Promise<unknown> = Promise.resolve()
    const hear = (message: Exclude<ToReader, { error: unknown }>): void => {
      if ('welcome' in message) {
        lived = true
        this.#link = link
        this.#options.onEvent({ kind: 'connected', version: message.welcome.version })
        this.#ask()
      } else {
        const { to, more } = message.seen
        const taking = this.#take(message.seen)
        taken = Promise.all([taken, taking]).then(() => {
          if (more !== true) return say(link, { taken: { number: to } })
        })
        taken.catch((error: Error) => link.close(`what was told could not be put in force: ${error.message}`))
      }
    }
    const link = new Link(this.#options.path, (line) => heard(readReaderMessage(line), hear))
    if (signal.aborted) link.close('stopped')
    const reason = await link.closed
    if (this.#link === link) this.#link = null
    return { reason, lived }
  }

  #ask(): void {
    if (this.#link !== null) void say(this.#link, { watch: { patterns: [...this.#wanted] } })
  }

  async #take({ from, rows, more }: Seen): Promise<void> {
    const wanted = rows.filter(({ names }) => names.some((name) => this.#patterns.matches(name)))
    const isWhole = from === 0 && more !== true
    if (wanted.length > 0 || isWhole) await this.#options.take(wanted, isWhole)
  }
}

const say = (link: Link, message: FromReader): Promise<void> | void => link.send(JSON.stringify(message))

const DEFAULTS = {
  backoff: { firstMs: 20, maxMs: 2_000 },
  clock: systemClock,
  random: Math.random,
  onEvent: () => {},
}
