/** Which names the carrier cannot look up. It is asked now and then: it looks them up, and says so in its log and metrics only. */
import { setTimeout as wait } from 'node:timers/promises'
import type { Connection } from '../carrier/connection.ts'
import { isRecord } from '../cluster/raw.ts'
import { InputTable } from '../core/table.ts'

export interface NameParts {
  readonly carrier: Pick<Connection, 'ask'>
  readonly signal: AbortSignal
}

export class NameNews {
  /** By name: `nxdomain`, `servfail`, `timeout` ... as `fairlead_proxy_name_failing` says it. */
  readonly failing = new InputTable<string>('names that are not found')
  readonly #parts: NameParts

  constructor(parts: NameParts) {
    this.#parts = parts
    this.failing.markSynced()
  }

  /** Until the signal aborts. Never rejects. */
  async run(): Promise<void> {
    const { signal } = this.#parts
    while (!signal.aborted) {
      const found = await this.#ask()
      // A carrier that says nothing at the moment goes on with what it has.
      if (found !== null) this.failing.replace(found)
      await wait(EVERY_MS, undefined, { signal, ref: false }).catch(() => {})
    }
  }

  async #ask(): Promise<[string, string][] | null> {
    const { carrier, signal } = this.#parts
    const within = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)])
    const stats = await carrier.ask('stats', within).catch(() => null)
    const names = ['worker', 'says', 'failingNames'].reduce<unknown>(
      (at, field) => (isRecord(at) ? at[field] : null),
      stats,
    )
    if (!isRecord(names)) return null
    return Object.entries(names).filter((entry): entry is [string, string] => typeof entry[1] === 'string')
  }
}

const EVERY_MS = 5_000
const ANSWER_MS = 5_000
