/**
 * Gets and renews the certificates that are wanted, for as long as this controller leads. One thing at a time for each, a
 * few certificates at once; all that must not be forgotten is written down before the next step.
 */
import type { Key } from '../../core/delta.ts'
import { asTable, type Readable } from '../../core/table.ts'
import { backoffMs } from './budget.ts'
import { Ledger, Outdated } from './ledger.ts'
import { next, nothingSeen, RENEWAL, type Seen, type Step } from './next.ts'
import { AcmeError, isTransient, problemOfError, remedyOf, textOf, type Problem } from './problem.ts'
import { Publisher } from './publisher.ts'
import { recent } from './record.ts'
import { renewAt } from './renewal.ts'
import type { Shown } from './shown.ts'
import { Turnstile } from './turnstile.ts'
import { NotInPlace, Steps, type Read } from './steps.ts'
import { StoreError } from '../kubeobjects.ts'
import type { Wanted } from './wanted.ts'
import type { World } from './world.ts'

export class Issuing {
  readonly status: Shown['status']
  readonly problems: Shown['problems']
  readonly #world: World
  readonly #wanted: Readable<Wanted>
  readonly #ledger: Ledger
  readonly #publisher: Publisher
  readonly #steps: Steps
  readonly #turnstile = new Turnstile(AT_ONCE)
  /** Ends a sleep, or the next one when something is done now. */
  readonly #waking = new Map<Key, AbortController>()

  constructor(world: World, wanted: Readable<Wanted>, { status, problems }: Shown) {
    this.status = status
    this.problems = problems
    this.#world = world
    this.#wanted = wanted
    this.#ledger = new Ledger(world.secrets, world.namespace)
    this.#publisher = new Publisher(world.secrets, world.namespace)
    this.#steps = new Steps(world, this.#ledger, this.#publisher)
  }

  /** Somebody changed the Secret: it is looked at now, not when its certificate would be renewed. */
  look(secret: Key): void {
    this.#waking.get(secret)?.abort()
  }

  /** Runs while this controller leads: until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#start(signal)
    const following = new Map<Key, { readonly ending: AbortController; readonly done: Promise<void> }>()
    const changed = async (key: Key): Promise<void> => {
      const was = following.get(key)
      const ending = new AbortController()
      const ends = AbortSignal.any([signal, ending.signal])
      const done = (async () => {
        was?.ending.abort()
        await was?.done
        const wanted = this.#wanted.get(key)
        if (wanted !== undefined) await this.#follow(wanted, ends)
        else if (!ends.aborted) await this.#forget(key, signal)
      })()
      following.set(key, { ending, done })
      await done
      if (following.get(key)?.done === done && !this.#wanted.has(key)) following.delete(key)
    }
    const listener = { changed: (key: Key) => void changed(key) }
    const table = asTable(this.#wanted)
    if (!signal.aborted) {
      table.watch(listener)
      for (const [key] of this.#wanted.entries()) void changed(key)
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
      table.unwatch(listener)
    }
    await Promise.all([...following.values()].map(({ done }) => done))
    // Whoever leads now says it.
    for (const table of [this.status, this.problems]) table.replace([])
  }

  /** What an earlier leader left of certificates that nobody wants any more is taken away. */
  async #start(signal: AbortSignal): Promise<void> {
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        await this.#ledger.load(signal)
        await this.#publisher.load(signal)
        for (const { secret, order } of [...this.#ledger.records])
          if (!this.#wanted.has(secret)) await this.#forget(secret, signal)
          else if (order === null) await this.#steps.withdraw(secret, this.#wanted.get(secret)!, signal)
        return
      } catch (error) {
        this.#tellFailed('', 'store', error as Error, remedyOfStore(error), this.#world.clock.now() + quickMs(failures))
        await this.#world.clock.after(quickMs(failures), signal)
      }
    }
  }

  /** Until the signal aborts, or for ever: what is renewed is never done. */
  async #follow(wanted: Wanted, signal: AbortSignal): Promise<void> {
    const { clock } = this.#world
    let seen = nothingSeen
    let failures = 0
    while (!signal.aborted) {
      let until = 0
      const waking = new AbortController()
      this.#waking.set(wanted.secret, waking)
      await this.#turnstile.pass(async () => {
        if (signal.aborted) return
        const was = seen
        let read: Read | null = null
        let step: Step | null = null
        try {
          read = await this.#steps.read(wanted, seen, signal)
          step = next(read)
          this.#show(read, step)
          ;[seen, until] = await this.#take(step, read, signal)
          failures = 0
        } catch (error) {
          if (signal.aborted) return
          failures++
          seen = { ...was, order: null, lookAt: 0 }
          until = await this.#failed(error as Error, { read, step, wanted, failures }, signal)
          if (until > clock.now()) this.#showWait(wanted, until, (error as Error).message)
        }
      })
      const ms = Math.min(Math.max(until - clock.now(), 0), SLEEP_MAX_MS)
      if (until > 0) await clock.after(ms, AbortSignal.any([signal, waking.signal]))
    }
  }

  async #take(step: Step, read: Read, signal: AbortSignal): Promise<[seen: Seen, until: number]> {
    const { secret } = read.wanted
    if (step.do === 'wait') {
      const { failure } = read.record
      if (step.why === RENEWAL) this.problems.drop(secret)
      else if (failure !== null && read.record.order === null) this.#tell(read.wanted, failure.problem, failure.remedy)
      return [read.seen, step.until]
    }
    this.#world.onEvent({ kind: 'step', secret, step: step.do })
    switch (step.do) {
      case 'refuse':
        this.#tell(read.wanted, step.problem, step.remedy)
        return [read.seen, this.#world.clock.now() + REFUSED_MS]
      case 'abandon':
        if (step.problem !== null) throw new AcmeError(step.problem)
        await this.#steps.abandon(read, read.record.failure, signal)
        return [{ ...nothingSeen, info: read.seen.info, infoAt: read.seen.infoAt }, 0]
      default: {
        const seen = await this.#steps.take(step, read, signal)
        if (step.do === 'store') this.problems.drop(secret)
        return [seen, 0]
      }
    }
  }

  /** Gives when it is tried again. */
  async #failed(
    error: Error,
    at: { readonly read: Read | null; readonly step: Step | null; readonly wanted: Wanted; readonly failures: number },
    signal: AbortSignal,
  ): Promise<number> {
    const { read, step, wanted, failures } = at
    const now = this.#world.clock.now()
    if (error instanceof Outdated) return now + (failures > 3 ? quickMs(failures) : 0)
    try {
      if (error instanceof AcmeError && read !== null && step !== null && step.do !== 'askRenewal')
        return await this.#refused(error.problem, { read, step, failures }, signal)
    } catch (stored) {
      if (signal.aborted || stored instanceof Outdated) return now
      error = stored as Error
    }
    const retryAt = now + quickMs(failures)
    const [type, remedy] = reasonOf(error, wanted)
    // A renewal that nobody could be asked about is no problem of the user's yet.
    if (step?.do !== 'askRenewal') this.#tell(wanted, error.message, remedy)
    this.#tellFailed(wanted.secret, type, error, remedy, retryAt)
    return retryAt
  }

  /** The server said no. */
  async #refused(
    problem: Problem,
    { read, step, failures }: { readonly read: Read; readonly step: Step; readonly failures: number },
    signal: AbortSignal,
  ): Promise<number> {
    const { wanted, record } = read
    const { clock, random } = this.#world
    const now = clock.now()
    const isLimit = problem.type === 'rateLimited'
    if (problem.type === 'accountDoesNotExist' && step.do !== 'register') {
      await this.#steps.forgetAccount(read, signal)
      return now + quickMs(failures)
    }
    if (step.do === 'order' && record.order?.replaces && !isLimit && !isTransient(problem)) {
      await this.#steps.withoutReplaces(read, signal)
      return now
    }
    const remedy = remedyOf(problem, wanted.issuer.challenge)
    let retryAt = now + Math.max(quickMs(failures), Math.min(problem.retryAfterMs ?? 0, RETRY_MAX_MS))
    const isEnd = step.do === 'abandon' || step.do === 'order' || step.do === 'finalize' || step.do === 'ask'
    if (!isTransient(problem) && problem.type !== 'orderNotReady' && (isEnd || step.do === 'register')) {
      const count = (record.failure?.count ?? 0) + 1
      const leastMs = isLimit ? Math.min(problem.retryAfterMs ?? LIMIT_MS, RETRY_MAX_MS) : 0
      retryAt = now + Math.max(backoffMs(count, random), leastMs)
      await this.#steps.abandon(read, { count, until: retryAt, problem: textOf(problem), remedy }, signal)
    }
    this.#tell(wanted, textOf(problem), remedy)
    this.#tellFailed(wanted.secret, problem.type || 'unreachable', new AcmeError(problem), remedy, retryAt)
    return retryAt
  }

  /** Its history stays for as long as it counts: who deletes and creates an Ingress again and again is held back, too. */
  async #forget(secret: Key, signal: AbortSignal): Promise<void> {
    this.status.drop(secret)
    this.problems.drop(secret)
    this.#waking.delete(secret)
    try {
      const { value, version } = await this.#ledger.record(secret, signal)
      const now = this.#world.clock.now()
      if (recent(value.begun, now).length === 0) await this.#ledger.dropRecord(secret, signal)
      else if (value.order !== null) await this.#ledger.saveRecord({ ...value, order: null }, version, signal)
      await this.#steps.withdraw(secret, null, signal)
    } catch (error) {
      // The next leader finds it and does it.
      if (!signal.aborted) this.#tellFailed(secret, 'store', error as Error, remedyOfStore(error), 0)
    }
  }

  #show({ wanted, certificate, seen }: Read, step: Step): void {
    const leaf = certificate.kind === 'leaf' ? certificate.leaf : null
    const when = step.do === 'wait' ? `waits until ${new Date(step.until).toISOString()}: ${step.why}` : step.do
    this.status.put(wanted.secret, {
      ...{ secret: wanted.secret, ingress: wanted.ingress, issuer: wanted.issuer.name, step: when },
      ...{
        notAfter: leaf?.notAfter ?? null,
        renewAt: leaf && Math.round(renewAt(leaf, seen.info, wanted.renewBeforeMs)),
      },
    })
  }

  #showWait({ secret, ingress, issuer }: Wanted, until: number, why: string): void {
    const { notAfter = null, renewAt: at = null } = this.status.get(secret) ?? {}
    const step = `waits until ${new Date(until).toISOString()}: ${why}`
    this.status.put(secret, { secret, ingress, issuer: issuer.name, step, notAfter, renewAt: at })
  }

  #tell({ secret, ingress, issuer }: Wanted, problem: string, remedy: string): void {
    const about = { object: `Ingress ${ingress}`, field: 'spec.tls' }
    this.problems.put(secret, { ...about, problem: `certificate ${secret} of ${issuer.name}: ${problem}`, remedy })
  }

  #tellFailed(secret: string, type: string, { message: problem }: Error, remedy: string, retryAt: number): void {
    this.#world.onEvent({ kind: 'failed', secret, type, problem, remedy, retryAt })
  }
}

/** Of what no server said: what is counted, and what the user does. */
function reasonOf(error: Error, { issuer }: Wanted): readonly [type: string, remedy: string] {
  if (error instanceof StoreError) return ['store', error.remedy]
  if (error instanceof NotInPlace)
    return ['replica', 'see that every controller of the ingress is well, or end it; it is tried again']
  return ['unreachable', remedyOf(problemOfError(error), issuer.challenge)]
}

/** What passes by itself is tried again soon: 1 s, 2 s, ... 5 min. */
const quickMs = (failures: number): number => Math.min(1_000 * 2 ** Math.min(failures - 1, 20), 5 * 60_000)

const AT_ONCE = 8
const SLEEP_MAX_MS = 3_600_000
/** Until somebody took the Secret away, which nobody tells. */
const REFUSED_MS = 60_000
const LIMIT_MS = 3_600_000
/** What a server says is brought within bounds. */
const RETRY_MAX_MS = 7 * 24 * 3_600_000
const remedyOfStore = (error: unknown): string => (error instanceof StoreError ? error.remedy : 'it is tried again')
