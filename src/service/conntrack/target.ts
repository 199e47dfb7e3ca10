import type { Delta, Drift, Refused, Target } from '../../core/delta.ts'
import type { Readable } from '../../core/table.ts'
import { deleteStaleFlows, type Cleaned } from '../../kernel/conntrack.ts'
import type { Flows } from '../flows.ts'
import type { FrontendAddress } from '../rows.ts'
import { Suspects, type Suspect } from './suspects.ts'

export interface ConntrackTargetOptions {
  readonly flows: Readable<Flows>
  /** Resolves once the rules hold all that is decided now: only then does a flow that was deleted begin anew where it should. */
  readonly programmed: () => Promise<void>
  /** Hears of each time that conntrack was looked through. */
  readonly onCleaned: (cleaned: Cleaned) => void
}

/**
 * Conntrack without flows that lead where none of their frontend may go: right behind the rules, which follow from the same
 * decisions. It has a pace and a back-off of its own, so that a large conntrack table, or one that cannot be read, keeps no Service
 * from being programmed.
 */
export class ConntrackTarget implements Target<Flows> {
  readonly name = 'conntrack'
  readonly #options: ConntrackTargetOptions
  readonly #suspects: Suspects

  constructor(options: ConntrackTargetOptions) {
    this.#options = options
    this.#suspects = new Suspects(options.flows)
  }

  async apply(delta: Delta<Flows>, signal: AbortSignal): Promise<readonly Refused[]> {
    await either(this.#options.programmed(), signal)
    const suspects = this.#suspects.of(delta)
    const cleaned = await this.#clean(suspects, signal)
    if (cleaned.kind === 'failed') throw new Error(`stale flows were not deleted: ${cleaned.reason}`)
    this.#suspects.cleaned(suspects)
    return []
  }

  /**
   * Takes what the kernel served when this process found it, once it serves what it should: the flows of Services and ports
   * that are gone since go at once, before the kernel forgets what it served. When that fails, `apply` does it again.
   */
  async inherit(before: readonly FrontendAddress[], signal: AbortSignal): Promise<void> {
    const gone = this.#suspects.inherit(before)
    const cleaned = await this.#clean(gone, signal)
    if (cleaned.kind === 'cleaned') this.#suspects.cleaned(gone)
  }

  /** Flows come and go by themselves: there is nothing to compare them with. */
  audit(): Promise<Drift> {
    return Promise.resolve({ clean: true })
  }

  /** Owns nothing in the kernel. */
  async cleanup(): Promise<void> {}

  async #clean(suspects: readonly Suspect[], signal: AbortSignal): Promise<Cleaned> {
    if (suspects.length === 0) return { kind: 'cleaned', families: [] }
    const cleaned = await deleteStaleFlows(suspects, signal)
    this.#options.onCleaned(cleaned)
    return cleaned
  }
}

async function either(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  const aborted = Promise.withResolvers<never>()
  const abort = (): void => aborted.reject(signal.reason)
  if (signal.aborted) abort()
  signal.addEventListener('abort', abort, { once: true })
  try {
    await Promise.race([promise, aborted.promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
