/** One of several controllers is the leader: who holds a Lease (coordination.k8s.io/v1), as client-go's leaderelection does. */
import { json } from 'node:stream/consumers'
import { setTimeout as wait } from 'node:timers/promises'
import type { Connection } from '../../cluster/source/kube/connection.ts'
import { isRecord, type Raw } from '../../cluster/raw.ts'

export interface LeaderOptions {
  readonly connection: Connection
  readonly namespace: string
  /** Of the Lease. */
  readonly name: string
  /** Of this process: no two are the same. */
  readonly identity: string
  readonly signal: AbortSignal
  /** Called at each change. */
  readonly onChange: (isLeader: boolean) => void
  /** Once for each thing that goes wrong. */
  readonly onProblem: (problem: string) => void
  readonly times?: Times
  /** ms of a clock that never goes back. */
  readonly now?: () => number
}

export interface Times {
  /** Who has not renewed so long is gone. */
  readonly leaseMs: number
  /** Who could not renew so long gives up. Less than `leaseMs`. */
  readonly renewMs: number
  readonly retryMs: number
}

/** Runs until the signal aborts; then lets go of the Lease, so that the next one need not wait. Never rejects. */
export async function lead(options: LeaderOptions): Promise<void> {
  const candidate = new Candidate(options)
  const { retryMs } = options.times ?? TIMES
  while (!options.signal.aborted) {
    await candidate.step()
    await wait(retryMs, undefined, { signal: options.signal }).catch(() => {})
  }
  await candidate.resign()
}

class Candidate {
  readonly #options: LeaderOptions
  readonly #times: Times
  readonly #clock: () => number
  #isLeader = false
  /** When we renewed last. */
  #renewedAt = -Infinity
  /** What the Lease said last, and when that was seen first: the clocks of two machines are never compared. */
  #seen = ''
  #seenAt = 0
  #told = ''

  constructor(options: LeaderOptions) {
    this.#options = options
    this.#times = options.times ?? TIMES
    this.#clock = options.now ?? (() => performance.now())
  }

  async step(): Promise<void> {
    const wrong = await this.#renew(AbortSignal.any([this.#options.signal, AbortSignal.timeout(this.#times.renewMs)]))
    if (this.#options.signal.aborted) return
    if (wrong !== null && wrong !== this.#told) this.#options.onProblem(wrong)
    this.#told = wrong ?? ''
    if (this.#clock() - this.#renewedAt > this.#times.renewMs) this.#become(false)
  }

  async resign(): Promise<void> {
    if (!this.#isLeader) return
    const signal = AbortSignal.timeout(RESIGN_MS)
    const held = await this.#call('GET', this.#path, signal)
    if (isRecord(held) && specOf(held)['holderIdentity'] === this.#options.identity)
      await this.#write(held, { holderIdentity: '', leaseDurationSeconds: 1, renewTime: microTime() }, signal)
    this.#become(false)
  }

  /** null, or what went wrong. */
  async #renew(signal: AbortSignal): Promise<string | null> {
    const held = await this.#call('GET', this.#path, signal)
    if (held === 404) return this.#took(await this.#create(signal))
    if (!isRecord(held)) return String(held)
    const { holderIdentity, renewTime } = specOf(held)
    const saying = `${String(holderIdentity)} ${String(renewTime)}`
    if (saying !== this.#seen) {
      this.#seen = saying
      this.#seenAt = this.#clock()
    }
    const { identity } = this.#options
    const isFree = !holderIdentity || this.#clock() - this.#seenAt > this.#times.leaseMs
    if (holderIdentity !== identity && !isFree) {
      this.#become(false)
      return null
    }
    const acquired =
      holderIdentity === identity
        ? {}
        : { acquireTime: microTime(), leaseTransitions: Number(specOf(held)['leaseTransitions'] ?? 0) + 1 }
    return this.#took(
      await this.#write(
        held,
        {
          holderIdentity: identity,
          renewTime: microTime(),
          leaseDurationSeconds: this.#times.leaseMs / 1000,
          ...acquired,
        },
        signal,
      ),
    )
  }

  #took(answer: Raw | number | string): string | null {
    if (answer === 409) return null // somebody was quicker
    if (!isRecord(answer)) return String(answer)
    this.#renewedAt = this.#clock()
    this.#become(true)
    return null
  }

  #create(signal: AbortSignal): Promise<Raw | number | string> {
    const { namespace, name, identity } = this.#options
    const spec = {
      holderIdentity: identity,
      leaseDurationSeconds: this.#times.leaseMs / 1000,
      acquireTime: microTime(),
      renewTime: microTime(),
      leaseTransitions: 0,
    }
    const body = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { namespace, name }, spec }
    return this.#call('POST', this.#path.slice(0, this.#path.lastIndexOf('/')), signal, body)
  }

  /** Only if nobody changed it meanwhile: a patch with another resourceVersion is a conflict. */
  #write(held: Raw, spec: object, signal: AbortSignal): Promise<Raw | number | string> {
    const metadata = isRecord(held['metadata']) ? held['metadata'] : {}
    return this.#call('PATCH', this.#path, signal, { metadata: { resourceVersion: metadata['resourceVersion'] }, spec })
  }

  /** The object; a status that decides something; or what went wrong. */
  async #call(
    method: 'GET' | 'POST' | 'PATCH',
    path: string,
    signal: AbortSignal,
    body?: object,
  ): Promise<Raw | number | string> {
    const contentType = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json'
    const answer = await this.#options.connection.request(path, { method, signal, ...(body && { body, contentType }) })
    if (answer.kind === 'failed') {
      const { status, message } = answer.problem
      return (status === 404 && method === 'GET') || status === 409 ? status : message
    }
    try {
      const found: unknown = await json(answer.body)
      return isRecord(found) ? found : 'the API server sent a Lease that is none'
    } catch (error) {
      return (error as Error).message
    }
  }

  #become(isLeader: boolean): void {
    if (isLeader === this.#isLeader) return
    this.#isLeader = isLeader
    this.#options.onChange(isLeader)
  }

  get #path(): string {
    const { namespace, name } = this.#options
    return `/apis/coordination.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/leases/${encodeURIComponent(name)}`
  }
}

const specOf = (lease: Raw): Raw => (isRecord(lease['spec']) ? lease['spec'] : {})

/** MicroTime, now. */
export const microTime = (): string => new Date().toISOString().replace(/Z$/, '000Z')

/** client-go's. */
const TIMES: Times = { leaseMs: 15_000, renewMs: 10_000, retryMs: 2_000 }
const RESIGN_MS = 2_000
