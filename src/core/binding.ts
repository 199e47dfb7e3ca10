import { backoffMs, type Backoff, type Clock } from './clock.ts'
import { Cursor } from './cursor.ts'
import type { Delta, Drift, Revision, Target } from './delta.ts'
import { Waiters, type Happening, type Status } from './progress.ts'
import type { Table } from './table.ts'
import { asError } from './thrown.ts'

export interface BindingOptions {
  readonly epoch: string
  readonly signal: AbortSignal
  readonly backoff: Backoff
  readonly applyTimeoutMs: number
  /** 0: only on demand. */
  readonly auditEveryMs: number
  readonly clock: Clock
  /** 0 <= random < 1. */
  readonly random: () => number
  readonly onEvent: (happening: Happening) => void
}

/** One table and the target that follows it: a loop in which applies and audits take turns. Nothing that a target does ends it. */
export class Binding<Row = any> {
  readonly #table: Table<Row>
  readonly #target: Target<Row>
  readonly #options: BindingOptions
  readonly #cursor: Cursor<Row>
  readonly #waiters = new Waiters()
  /** Callers of `audit`; of those, the ones that the running audit answers have been taken off. */
  #auditors: PromiseWithResolvers<Drift>[] = []
  #auditDue = false
  /** Ends the running audit because a change came; null: none runs. */
  #yield: AbortController | null = null
  /** Audits in a row that gave way. */
  #yields = 0
  /** And what it gave way to was not applied yet. */
  #gaveWay = false
  #recovering = false
  #recoveredAt = 0
  #applied: Revision | null = null
  #pendingSince: number | null = null
  #flyingSince: number | null = null
  #lastError: Error | null = null
  #lastAppliedAt: number | null = null
  #retries = 0
  #drift: string | null = null
  /** What the loop waits for when it has nothing to do. */
  #nudges = Promise.withResolvers<void>()

  constructor(table: Table<Row>, target: Target<Row>, options: BindingOptions) {
    this.#table = table
    this.#target = target
    this.#options = options
    this.#cursor = new Cursor(table, options.epoch)
  }

  status(): Status {
    return {
      target: this.#target.name,
      table: this.#table.name,
      applied: this.#applied,
      pending: this.#cursor.pending,
      pendingSince: this.#flyingSince ?? this.#pendingSince,
      refused: this.#cursor.refused,
      lastError: this.#lastError,
      lastAppliedAt: this.#lastAppliedAt,
      retries: this.#retries,
      drift: this.#drift,
    }
  }

  /** Somebody changed what is ours outside: the next delta is from 0, at once (a second recovery RECOVERY_SPACING_MS after the first). */
  recover(reason: string): void {
    if (!this.#cursor.begun) return // the next delta is from 0 in any case
    this.#recovering = true
    this.#cursor.recover()
    this.#say({ kind: 'recovering', reason })
    this.nudge()
  }

  /** Compares the outside world with what was delivered, once something was; drift is repaired. Rejects when it cannot be told. */
  audit(): Promise<Drift> {
    const auditor = Promise.withResolvers<Drift>()
    if (this.#options.signal.aborted) auditor.reject(new Error(`${this.#target.name} is stopped`))
    else if (this.#auditors.length >= AUDITORS_MAX)
      auditor.reject(new Error(`more than ${AUDITORS_MAX} wait for an audit`))
    else this.#auditors.push(auditor)
    this.#auditDue = true
    this.nudge()
    auditor.promise.catch(() => {}) // a caller that does not wait must not end the process
    return auditor.promise
  }

  /** Ends once the target holds table number `number` or a later one; rejects when we are stopped before. */
  whenApplied(number: number): Promise<void> {
    return this.#waiters.until(number)
  }

  /** The table may have changed. */
  nudge(): void {
    if (this.#cursor.due) {
      this.#pendingSince ??= this.#options.clock.now()
      if (this.#yields < YIELDS_MAX) this.#yield?.abort(new Error('a change came first'))
    }
    this.#nudges.resolve()
  }

  /** The loop; ends when the signal aborts. */
  async run(): Promise<void> {
    const { signal } = this.#options
    const wake = () => this.nudge()
    signal.addEventListener('abort', wake)
    const timer = this.#auditOften()
    while (!signal.aborted) {
      this.#nudges = Promise.withResolvers()
      if (this.#mayAudit()) await this.#audit()
      else if (this.#cursor.due) await this.#apply()
      else await this.#rest()
    }
    signal.removeEventListener('abort', wake)
    const stopped = new Error(`${this.#target.name} is stopped`)
    this.#waiters.close(stopped)
    for (const auditor of this.#auditors.splice(0)) auditor.reject(stopped)
    this.#cursor.close()
    await timer
  }

  /** Everything is delivered, or was undone before it could be. */
  async #rest(): Promise<void> {
    this.#pendingSince = null
    if (this.#applied !== null) this.#reach(this.#table.number)
    await this.#nudges.promise
  }

  async #apply(): Promise<void> {
    this.#gaveWay = false
    await this.#space()
    if (this.#options.signal.aborted) return
    this.#flyingSince ??= this.#pendingSince ?? this.#options.clock.now()
    this.#pendingSince = null
    const delta = this.#cursor.take()
    if (delta === null) {
      this.#flyingSince = null
      return
    }
    try {
      await this.#deliver(delta)
    } catch (thrown) {
      this.#cursor.lost()
      if (!this.#options.signal.aborted) await this.#backOff(asError(thrown))
    }
  }

  async #deliver(delta: Delta<Row>): Promise<void> {
    const started = this.#options.clock.now()
    const put = delta.put.size
    const refused = await this.#bounded((signal) => this.#target.apply(delta, signal))
    this.#cursor.landed(refused)
    this.#lastAppliedAt = this.#options.clock.now()
    this.#flyingSince = null
    this.#lastError = null
    this.#retries = 0
    if (delta.from === 0) this.#drift = null
    const ms = this.#lastAppliedAt - started
    this.#say({ kind: 'applied', from: delta.from, to: delta.to, put, drop: delta.drop.size, ms })
    if (refused.length > 0) this.#say({ kind: 'refused', refused })
    this.#reach(delta.to.number)
  }

  async #backOff(error: Error): Promise<void> {
    const { backoff, random, clock, signal } = this.#options
    this.#lastError = error
    this.#retries++
    const retryInMs = backoffMs(backoff, this.#retries, random)
    this.#say({ kind: 'failed', error, retries: this.#retries, retryInMs })
    await clock.after(retryInMs, signal)
  }

  /** Two that own the same corner could undo each other's work as fast as the machine can. */
  async #space(): Promise<void> {
    if (!this.#recovering) return
    const { clock, signal } = this.#options
    const wait = this.#recoveredAt + RECOVERY_SPACING_MS - clock.now()
    if (wait > 0) await clock.after(Math.min(wait, RECOVERY_SPACING_MS), signal)
    this.#recovering = false
    this.#recoveredAt = clock.now()
  }

  /** Changes come first; but where they never end, an audit that gave way YIELDS_MAX times does not again. */
  #mayAudit(): boolean {
    const patient = this.#yields < YIELDS_MAX || this.#gaveWay
    return this.#auditDue && this.#applied !== null && !(this.#cursor.due && patient)
  }

  async #audit(): Promise<void> {
    const auditors = this.#auditors.splice(0)
    const started = this.#options.clock.now()
    const giveWay = (this.#yield = new AbortController())
    this.#auditDue = false
    try {
      const drift = await this.#bounded((signal) => this.#target.audit(AbortSignal.any([signal, giveWay.signal])))
      this.#yields = 0
      this.#drift = drift.clean ? null : drift.detail
      this.#lastError = null
      this.#say({ kind: 'audited', drift, ms: this.#options.clock.now() - started })
      if (!drift.clean) this.recover(`audit: ${drift.detail}`)
      for (const auditor of auditors) auditor.resolve(drift)
    } catch (thrown) {
      if (giveWay.signal.aborted && !this.#options.signal.aborted) {
        this.#yields++
        this.#gaveWay = true
        this.#auditDue = true
        this.#auditors.unshift(...auditors)
        return
      }
      const error = asError(thrown)
      this.#lastError = error
      if (!this.#options.signal.aborted) this.#say({ kind: 'audit failed', error })
      for (const auditor of auditors) auditor.reject(error)
    } finally {
      this.#yield = null
    }
  }

  async #auditOften(): Promise<void> {
    const { auditEveryMs, clock, random, signal } = this.#options
    if (auditEveryMs === 0) return
    // The first one soon: what nobody has looked at yet is not known to be well.
    for (let everyMs = Math.min(auditEveryMs, FIRST_AUDIT_MS); !signal.aborted; everyMs = auditEveryMs) {
      await clock.after(everyMs * (1 - random() / 4), signal)
      this.#auditDue = true
      this.nudge()
    }
  }

  /**
   * Waits for the target, but not for ever: after `applyTimeoutMs`, or when we are stopped, its signal aborts. One that goes
   * on in spite of that is waited for (two applies at once would be worse) and reported; only our own end does not wait.
   */
  async #bounded<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { clock, signal, applyTimeoutMs } = this.#options
    const limit = new AbortController()
    const done = new AbortController()
    const stop = Promise.withResolvers<never>()
    stop.promise.catch(() => {})
    const stopping = () => {
      limit.abort(signal.reason)
      void clock
        .after(STOP_GRACE_MS, done.signal)
        .then(() => stop.reject(new Error(`${this.#target.name} did not stop`)))
    }
    signal.addEventListener('abort', stopping)
    void clock
      .after(applyTimeoutMs, done.signal)
      .then(() => {
        if (!done.signal.aborted) limit.abort(new Error(`not done within ${applyTimeoutMs} ms`))
        return clock.after(STOP_GRACE_MS, done.signal)
      })
      .then(() => {
        if (!done.signal.aborted) this.#say({ kind: 'stuck', ms: applyTimeoutMs + STOP_GRACE_MS })
      })
    try {
      return await Promise.race([work(limit.signal), stop.promise])
    } finally {
      signal.removeEventListener('abort', stopping)
      done.abort()
    }
  }

  #reach(number: number): void {
    this.#applied = { epoch: this.#options.epoch, number }
    this.#waiters.reach(number)
  }

  #say(happening: Happening): void {
    this.#options.onEvent(happening)
  }
}

const RECOVERY_SPACING_MS = 500
const STOP_GRACE_MS = 5_000
const FIRST_AUDIT_MS = 10_000
const YIELDS_MAX = 3
const AUDITORS_MAX = 1_000
