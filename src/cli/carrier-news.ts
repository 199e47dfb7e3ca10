/** What becomes of the connection to the carrier, for people. */
import type { ConnectionEvent } from '../carrier/connection.ts'
import type { Rejection } from '../cluster/rejection.ts'
import { InputTable } from '../core/table.ts'
import type { Log } from '../status/log.ts'

export class CarrierNews {
  /** A carrier of another protocol: it does not mend itself, as one that ended and is started again does. */
  readonly problems = new InputTable<Rejection>('problems of the carrier')
  readonly #object: string
  readonly #log: Log

  /** `object`: `Pod namespace/name`, of this process. */
  constructor(object: string, log: Log) {
    this.#object = object
    this.#log = log
    this.problems.markSynced()
  }

  readonly hear = (event: ConnectionEvent): void => {
    this.problems.replace(this.#problemsOf(event))
    if (event.kind === 'connected') return this.#log.info('talking with the carrier', { version: event.version })
    const { reason, retryInMs, mismatch } = event
    if (mismatch === null) this.#log.warn('no carrier', { reason, retryInMs })
    else this.#log.error('the carrier cannot be used', { reason, remedy: mismatch })
  }

  #problemsOf(event: ConnectionEvent): readonly [string, Rejection][] {
    if (event.kind === 'connected' || event.mismatch === null) return []
    return [['carrier', { object: this.#object, field: 'carrier', problem: event.reason, remedy: event.mismatch }]]
  }
}
