/** One of several controllers is the leader: who holds a Lease (coordination.k8s.io/v1), as client-go's leaderelection does. */
import { setTimeout as wait } from 'node:timers/promises'
import type { Connection } from '../../cluster/source/kube/connection.ts'
import { isRecord, type Raw } from '../../cluster/raw.ts'
import { KubeObjects, LEASES, StoreError } from '../kubeobjects.ts'

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
  /** Called at each change of who else leads. */
  readonly onOther?: (identity: string) => void
  /** Once for each thing that goes wrong. */
  readonly onProblem: (problem: string, remedy: string) => void
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
  readonly #leases: KubeObjects
  readonly #path: string
  readonly #times: Times
  readonly #clock: () => number
  #isLeader = false
  /** When we renewed last. */
  #renewedAt = -Infinity
  /** What the Lease said last, and when that was seen first: the clocks of two machines are never compared. */
  #seen = ''
  #seenAt = 0
  #told = ''
  #other = ''

  constructor(options: LeaderOptions) {
    this.#options = options
    this.#leases = new KubeObjects(options.connection, LEASES)
    this.#path = `${options.namespace}/${options.name}`
    this.#times = options.times ?? TIMES
    this.#clock = options.now ?? (() => performance.now())
  }

  async step(): Promise<void> {
    const { signal, onProblem } = this.#options
    try {
      await this.#renew(AbortSignal.any([signal, AbortSignal.timeout(this.#times.renewMs)]))
      this.#told = ''
    } catch (error) {
      const { message } = error as Error
      if (signal.aborted) return
      if (message !== this.#told) onProblem(message, error instanceof StoreError ? error.remedy : '')
      this.#told = message
    }
    if (this.#clock() - this.#renewedAt > this.#times.renewMs) this.#become(false)
  }

  async resign(): Promise<void> {
    if (!this.#isLeader) return
    const signal = AbortSignal.timeout(RESIGN_MS)
    try {
      const held = await this.#leases.get(this.#path, signal)
      const free = { holderIdentity: '', leaseDurationSeconds: 1, renewTime: microTime() }
      if (held !== null && specOf(held)['holderIdentity'] === this.#options.identity)
        await this.#write(held, free, signal)
    } catch {
      // It lapses by itself.
    }
    this.#become(false)
  }

  async #renew(signal: AbortSignal): Promise<void> {
    const { identity } = this.#options
    const ours = {
      holderIdentity: identity,
      leaseDurationSeconds: this.#times.leaseMs / 1000,
      renewTime: microTime(),
    }
    const held = await this.#leases.get(this.#path, signal)
    if (held === null) {
      const { namespace, name } = this.#options
      const spec = { ...ours, acquireTime: ours.renewTime, leaseTransitions: 0 }
      const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { namespace, name }, spec }
      return this.#took(await this.#leases.create(this.#path, lease, signal))
    }
    const { holderIdentity, renewTime, leaseTransitions } = specOf(held)
    const saying = `${String(holderIdentity)} ${String(renewTime)}`
    if (saying !== this.#seen) {
      this.#seen = saying
      this.#seenAt = this.#clock()
    }
    const isFree = !holderIdentity || this.#clock() - this.#seenAt > this.#times.leaseMs
    if (holderIdentity !== identity && !isFree) {
      this.#become(false)
      this.#meet(String(holderIdentity))
      return
    }
    const acquired =
      holderIdentity === identity
        ? {}
        : { acquireTime: ours.renewTime, leaseTransitions: Number(leaseTransitions ?? 0) + 1 }
    this.#took(await this.#write(held, { ...ours, ...acquired }, signal))
  }

  /** null: somebody was quicker. */
  #took(lease: Raw | null): void {
    if (lease === null) return
    this.#renewedAt = this.#clock()
    this.#other = ''
    this.#become(true)
  }

  #meet(other: string): void {
    if (other === this.#other) return
    this.#other = other
    this.#options.onOther?.(other)
  }

  /** Only if nobody changed it meanwhile: a patch with another resourceVersion is a conflict. */
  #write(held: Raw, spec: object, signal: AbortSignal): Promise<Raw | null> {
    const metadata = isRecord(held['metadata']) ? held['metadata'] : {}
    const body = { metadata: { resourceVersion: metadata['resourceVersion'] }, spec }
    return this.#leases.patch(this.#path, body, signal)
  }

  #become(isLeader: boolean): void {
    if (isLeader === this.#isLeader) return
    this.#isLeader = isLeader
    this.#options.onChange(isLeader)
  }
}

const specOf = (lease: Raw): Raw => (isRecord(lease['spec']) ? lease['spec'] : {})

/** MicroTime, now. */
export const microTime = (): string => new Date().toISOString().replace(/Z$/, '000Z')

/** client-go's. */
const TIMES: Times = { leaseMs: 15_000, renewMs: 10_000, retryMs: 2_000 }
/** Less than a Lease lasts. */
const RESIGN_MS = 10_000
