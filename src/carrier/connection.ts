/**
 * The one connection of this process to its carrier, made again whenever it ends. Deltas of all tables go through it one
 * after the other; what was not acknowledged when it ends has failed, and is sent anew from 0.
 */
import { backoffMs, systemClock, type Backoff, type Clock } from '../core/clock.ts'
import type { Refused } from '../core/delta.ts'
import { COMMIT, LINE_MAX_BYTES } from './lines.ts'
import { Link } from './link.ts'
import { heard, readMessage } from './message.ts'
import {
  PROTOCOL,
  type Acknowledged,
  type Ask,
  type FromCarrier,
  type Hello,
  type Question,
  type Revision,
} from './wire.ts'

export type ConnectionEvent =
  | { readonly kind: 'connected'; readonly version: string; readonly tables: Readonly<Record<string, Revision>> }
  /** Said once for the same reason, however often it is tried again. */
  | {
      readonly kind: 'disconnected'
      readonly reason: string
      readonly retryInMs: number
      /** The carrier speaks another protocol: what to do. null: it is another reason. */
      readonly mismatch: string | null
    }

export interface ConnectionOptions {
  /** Path of the carrier's Unix socket. */
  readonly path: string
  readonly backoff?: Backoff
  readonly clock?: Clock
  /** 0 <= random < 1. */
  readonly random?: () => number
  readonly onEvent?: (event: ConnectionEvent) => void
}

/** What the carrier holds of a table changed without us: it was started anew, or somebody else told it. */
export type Listener = (held: Revision | null) => void

export class Connection {
  readonly #options: Required<ConnectionOptions>
  readonly #listeners = new Map<string, Listener>()
  #link: Link | null = null
  /** Why there is none. */
  #why = ''
  #held = new Map<string, Revision>()
  #connected = Promise.withResolvers<Link>()
  /** Deltas wait for the one before. */
  #turn: Promise<void> = Promise.resolve()
  #delta: Flight | null = null
  readonly #asked = new Map<number, PromiseWithResolvers<unknown>>()
  #nextId = 1

  constructor(options: ConnectionOptions) {
    this.#options = { ...DEFAULTS, ...options }
    this.#connected.promise.catch(() => {})
  }

  get connected(): boolean {
    return this.#link !== null
  }

  /** What the carrier holds of a table, as far as it has said; null: nothing, or there is no connection. */
  held(table: string): Revision | null {
    return this.#held.get(table) ?? null
  }

  /** `listener` is told, at each new connection, what the carrier holds of the table. One for each table. */
  listen(table: string, listener: Listener): void {
    this.#listeners.set(table, listener)
  }

  /** Connects, again and again, until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    let failures = 0
    let last = ''
    const stop = (): void => this.#link?.close('stopped')
    signal.addEventListener('abort', stop)
    while (!signal.aborted) {
      const { reason, lived, mismatch } = await this.#live(signal)
      if (signal.aborted) break
      failures = lived ? 1 : failures + 1
      const retryInMs = backoffMs(this.#options.backoff, failures, this.#options.random)
      if (lived || reason !== last) this.#options.onEvent({ kind: 'disconnected', reason, retryInMs, mismatch })
      last = reason
      await this.#options.clock.after(retryInMs, signal)
    }
    signal.removeEventListener('abort', stop)
    this.#connected.reject(new Error('the connection to the carrier is stopped'))
  }

  /**
   * Sends the lines of a delta of `table`, and `commit`. Resolves with the refused rows when it is in force; rejects when
   * nothing is, or nobody can tell. Waits for a connection, as long as the signal allows.
   */
  async deliver(
    table: string,
    to: Revision,
    lines: Iterable<string>,
    signal: AbortSignal,
    check: () => void = () => {},
  ): Promise<Refused[]> {
    const before = this.#turn
    const done = Promise.withResolvers<void>()
    this.#turn = before.then(() => done.promise)
    try {
      await this.#within(before, signal)
      const link = await this.#within(this.#connected.promise, signal)
      check()
      return await this.#exchange(link, { table, ...to }, lines, signal)
    } finally {
      done.resolve()
    }
  }

  /** Rejects when the carrier cannot answer, or the connection ends before it does. */
  async ask(what: Question, signal: AbortSignal): Promise<unknown> {
    const link = await this.#within(this.#connected.promise, signal)
    if (this.#asked.size >= QUESTIONS_MAX) throw new Error(`more than ${QUESTIONS_MAX} questions wait for the carrier`)
    const id = this.#nextId
    this.#nextId = (id % ID_MAX) + 1
    const answer = Promise.withResolvers<unknown>()
    const abort = (): void => answer.reject(signal.reason as Error)
    signal.addEventListener('abort', abort, { once: true })
    this.#asked.set(id, answer)
    try {
      await link.send(JSON.stringify({ ask: { id, what } satisfies Ask }))
      return await answer.promise
    } finally {
      this.#asked.delete(id)
      signal.removeEventListener('abort', abort)
    }
  }

  /** What this process counts (Prometheus text), for the carrier's /metrics. Nothing without a connection. */
  figures(text: string): void {
    const line = JSON.stringify({ figures: { text } })
    if (Buffer.byteLength(line) <= LINE_MAX_BYTES && this.#delta === null) void this.#link?.send(line)
  }

  /** One connection, from its beginning to its end. `lived`: the carrier said hello, in our protocol. */
  async #live(signal: AbortSignal): Promise<{ reason: string; lived: boolean; mismatch: string | null }> {
    let lived = false
    let mismatch: string | null = null
    const hear = (message: Said): void => {
      if ('hello' in message === lived) link.close(lived ? 'the carrier says hello twice' : 'the carrier says no hello')
      else if ('hello' in message && message.hello.protocol !== PROTOCOL) {
        mismatch = remedyOf(message.hello)
        link.close(mismatchOf(message.hello))
      } else if ('hello' in message) {
        lived = true
        this.#greet(link, message.hello)
      } else this.#hear(link, message)
    }
    const link = new Link(this.#options.path, (line) => heard(readMessage(line), hear))
    const silence = new AbortController()
    void this.#options.clock.after(HELLO_LIMIT_MS, AbortSignal.any([signal, silence.signal])).then(() => {
      if (signal.aborted) link.close('stopped')
      else if (!lived && !silence.signal.aborted) link.close(`the carrier said nothing for ${HELLO_LIMIT_MS} ms`)
    })
    const reason = await link.closed
    silence.abort()
    this.#lose(reason)
    return { reason, lived, mismatch }
  }

  #greet(link: Link, { version, tables }: Hello): void {
    this.#link = link
    this.#held = new Map(Object.entries(tables))
    this.#options.onEvent({ kind: 'connected', version, tables })
    for (const [table, listener] of this.#listeners) listener(this.held(table))
    this.#connected.resolve(link)
  }

  #lose(reason: string): void {
    this.#why = reason
    if (this.#link !== null) this.#connected = Promise.withResolvers()
    this.#connected.promise.catch(() => {})
    this.#link = null
    this.#held.clear()
    const error = new Error(reason)
    this.#delta?.done.reject(error)
    for (const answer of this.#asked.values()) answer.reject(error)
  }

  async #exchange(link: Link, delta: Acknowledged, lines: Iterable<string>, signal: AbortSignal): Promise<Refused[]> {
    const flight: Flight = { delta, refused: [], failed: false, done: Promise.withResolvers() }
    flight.done.promise.catch(() => {})
    // Whether a delta that is given up counts can only be told by the next connection.
    const abort = (): void => link.close(`a delta of ${delta.table} was given up`)
    signal.addEventListener('abort', abort, { once: true })
    this.#delta = flight
    this.#held.delete(delta.table)
    try {
      if (signal.aborted) abort()
      for (const line of lines) {
        await link.send(line)
        if (flight.failed || !link.open) break
      }
      await link.send(COMMIT)
      return await flight.done.promise
    } catch (error) {
      // A bug in what makes the lines: the carrier must not wait for the rest.
      if (!flight.failed) link.close(`a delta of ${delta.table} was given up: ${(error as Error).message}`)
      throw error
    } finally {
      signal.removeEventListener('abort', abort)
      this.#delta = null
    }
  }

  #hear(link: Link, message: Said): void {
    if ('answer' in message) {
      const { id, value, error } = message.answer
      if (error === undefined) this.#asked.get(id)?.resolve(value)
      else this.#asked.get(id)?.reject(new Error(`the carrier cannot answer: ${error}`))
      return
    }
    const flight = this.#delta
    if ('failed' in message && flight?.delta.table === message.failed.table) {
      flight.failed = true
      flight.done.reject(new Error(`the carrier could not take table ${flight.delta.table}: ${message.failed.reason}`))
    } else if ('acknowledged' in message && flight && isOf(message.acknowledged, flight.delta)) {
      this.#land(flight)
    } else if ('refused' in message && flight && isOf(message.refused, flight.delta)) {
      for (const row of message.refused.rows) flight.refused.push(row)
      if (message.refused.more !== true) this.#land(flight)
    } else link.close(`the carrier answers what was not asked: ${JSON.stringify(message).slice(0, 200)}`)
  }

  #land({ delta: { table, epoch, number }, refused, done }: Flight): void {
    this.#held.set(table, { epoch, number })
    done.resolve(refused)
  }

  #missing(path: string): string {
    return `there is no connection to the carrier at ${path}${this.#why === '' ? '' : `: ${this.#why}`}`
  }

  /** What is waited for, unless the signal aborts first: then it says what is missing. */
  async #within<T>(wanted: Promise<T>, signal: AbortSignal): Promise<T> {
    const aborted = Promise.withResolvers<never>()
    const abort = (): void => {
      const { path } = this.#options
      const why = this.connected ? `the carrier at ${path} is busy with another table` : this.#missing(path)
      aborted.reject(new Error(why, { cause: signal.reason }))
    }
    signal.addEventListener('abort', abort, { once: true })
    try {
      if (signal.aborted) abort()
      return await Promise.race([aborted.promise, wanted])
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }
}

const mismatchOf = ({ version, protocol }: Hello): string =>
  `the carrier (version ${version}) speaks protocol ${protocol}, this controller ${PROTOCOL}: ` +
  `the ${protocol < PROTOCOL ? 'carrier' : 'controller'} is older, and nothing is exchanged`

const remedyOf = ({ protocol }: Hello): string =>
  `run both from the same image: update the ${protocol < PROTOCOL ? 'carrier' : 'controller'}; the carrier answers on with what it holds`

type Said = Exclude<FromCarrier, { error: unknown }>

/** A delta that is under way. */
interface Flight {
  readonly delta: Acknowledged
  readonly refused: Refused[]
  failed: boolean
  readonly done: PromiseWithResolvers<Refused[]>
}

function isOf(said: Acknowledged, delta: Acknowledged): boolean {
  return said.table === delta.table && said.epoch === delta.epoch && said.number === delta.number
}

const DEFAULTS = {
  backoff: { firstMs: 50, maxMs: 2_000 },
  clock: systemClock,
  random: Math.random,
  onEvent: () => {},
}
const HELLO_LIMIT_MS = 10_000
const QUESTIONS_MAX = 1_000
const ID_MAX = 2 ** 31
