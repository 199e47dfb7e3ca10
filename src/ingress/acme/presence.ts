/**
 * Controllers say that they live, and which answers to challenges their proxy has in place: each in a Lease of its own. One
 * that has not renewed it for as long as it says, by the clock of who looks, is gone.
 */
import { createHash } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import type { Connection } from '../../cluster/source/kube/connection.ts'
import { isRecord, type Raw } from '../../cluster/raw.ts'
import { microTime } from '../status/leader.ts'
import { KubeObjects, LEASES } from '../kubeobjects.ts'
import { LABEL, type Replica, type Replicas } from './store.ts'

export interface PresenceOptions {
  readonly connection: Connection
  readonly namespace: string
  /** Of this controller: no two are the same. */
  readonly name: string
  /** Where its proxy is reached; null: not known. */
  readonly address: string | null
  /** Its proxy serves. One that does not is not waited for. */
  readonly isServing: () => boolean
  /** Once for each thing that goes wrong. */
  readonly onProblem: (message: string) => void
  readonly times?: PresenceTimes
  /** ms of a clock that never goes back. */
  readonly now?: () => number
}

export interface PresenceTimes {
  readonly leaseMs: number
  readonly renewMs: number
}

export class Presence implements Replicas {
  readonly #options: PresenceOptions
  readonly #leases: KubeObjects
  readonly #times: PresenceTimes
  readonly #clock: () => number
  /** null: nothing is in place yet, and nobody is told that we are here. */
  #revision: string | null = null
  /** What a Lease said last, and when that was seen first. */
  #seen = new Map<string, { readonly said: string; readonly at: number }>()
  #told = ''

  constructor(options: PresenceOptions) {
    this.#options = options
    this.#leases = new KubeObjects(options.connection, LEASES)
    this.#times = options.times ?? TIMES
    this.#clock = options.now ?? (() => performance.now())
  }

  /** Renews, and looks at the others, until the signal aborts; then nobody waits for us any more. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#renew(signal)
      await wait(this.#times.renewMs, undefined, { signal }).catch(() => {})
    }
    if (this.#revision !== null) await this.#leases.drop(this.#path, AbortSignal.timeout(LEAVE_MS)).catch(() => {}) // it lapses by itself
  }

  /** This revision of the answers is in place here. Rejects when that cannot be said. */
  async acknowledge(revision: string, signal: AbortSignal): Promise<void> {
    this.#revision = revision
    await this.#write(signal)
  }

  async list(signal: AbortSignal): Promise<readonly Replica[]> {
    const found = await this.#leases.list(this.#options.namespace, LABEL, 'replica', signal)
    const now = this.#clock()
    const seen = new Map<string, { said: string; at: number }>()
    const replicas = found.map((lease): Replica => {
      const { metadata, spec } = partsOf(lease)
      const annotations = recordOf(metadata['annotations'])
      const name = String(spec['holderIdentity'] ?? '')
      const said = String(spec['renewTime'])
      const before = this.#seen.get(name)
      const at = before?.said === said ? before.at : now
      seen.set(name, { said, at })
      const lastsMs = Number(spec['leaseDurationSeconds'] ?? 0) * 1000
      return {
        name,
        isLive: now - at <= Math.min(lastsMs, LEASE_MAX_MS),
        revision: textOf(annotations[REVISION]),
        address: textOf(annotations[ADDRESS]),
      }
    })
    this.#seen = seen
    await this.#sweep(found, now, signal)
    return replicas
  }

  /** Of controllers that ended without a word, long ago. */
  async #sweep(found: readonly Raw[], now: number, signal: AbortSignal): Promise<void> {
    for (const lease of found) {
      const { metadata, spec } = partsOf(lease)
      const seen = this.#seen.get(String(spec['holderIdentity'] ?? ''))
      if (seen === undefined || now - seen.at < SWEEP_MS) continue
      const path = `${this.#options.namespace}/${String(metadata['name'])}`
      await this.#leases.drop(path, signal).catch(() => {}) // nobody waits for it
    }
  }

  async #renew(signal: AbortSignal): Promise<void> {
    try {
      const limited = AbortSignal.any([signal, AbortSignal.timeout(this.#times.leaseMs)])
      if (this.#revision !== null && this.#options.isServing()) await this.#write(limited)
      await this.list(limited)
      this.#told = ''
    } catch (error) {
      const { message, remedy = '' } = error as Error & { remedy?: string }
      const said = [message, remedy].filter(Boolean).join(': ')
      if (!signal.aborted && said !== this.#told) this.#options.onProblem(said)
      this.#told = said
    }
  }

  async #write(signal: AbortSignal): Promise<void> {
    const { name, namespace, address } = this.#options
    const annotations = { [REVISION]: this.#revision, ...(address !== null && { [ADDRESS]: address }) }
    const metadata = { labels: { [LABEL]: 'replica' }, annotations }
    const spec = { holderIdentity: name, leaseDurationSeconds: this.#times.leaseMs / 1000, renewTime: microTime() }
    if ((await this.#leases.patch(this.#path, { metadata, spec }, signal)) !== null) return
    const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease' }
    const named = { namespace, name: leaseName(name) }
    await this.#leases.create(this.#path, { ...lease, metadata: { ...named, ...metadata }, spec }, signal)
  }

  get #path(): string {
    return `${this.#options.namespace}/${leaseName(this.#options.name)}`
  }
}

/** Of a hash where the name of the controller would make it longer than a name may be. */
const leaseName = (name: string): string =>
  name.length <= NAME_MAX
    ? `fairlead-acme-${name}`
    : `fairlead-acme-${createHash('sha256').update(name).digest('hex').slice(0, 40)}`

const partsOf = (lease: Raw): { metadata: Raw; spec: Raw } => ({
  metadata: recordOf(lease['metadata']),
  spec: recordOf(lease['spec']),
})
const recordOf = (value: unknown): Raw => (isRecord(value) ? value : {})
const textOf = (value: unknown): string | null => (typeof value === 'string' && value !== '' ? value : null)

const REVISION = 'fairlead.io/acme-revision'
const ADDRESS = 'fairlead.io/acme-address'
const TIMES: PresenceTimes = { leaseMs: 15_000, renewMs: 5_000 }
/** Whatever a Lease says of itself. */
const LEASE_MAX_MS = 60_000
const SWEEP_MS = 10 * 60_000
const LEAVE_MS = 10_000
const NAME_MAX = 200
