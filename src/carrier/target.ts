/** A table of rows as a carrier holds it: a Target over the shared connection. */
import type { Delta, Drift, Refused, Revision, Target } from '../core/delta.ts'
import type { Connection } from './connection.ts'
import { deltaLines } from './lines.ts'
import { isObject, readRevision } from './message.ts'

export class CarrierTarget<Row> implements Target<Row> {
  readonly name: string
  readonly #table: string
  readonly #connection: Connection
  /** What was delivered last; null: nothing, or nobody can tell. */
  #delivered: Revision | null = null

  /**
   * `onLost` is called when the carrier turns out, at a new connection, not to hold what was delivered: let the binding
   * recover, or it finds out at its next delta or audit.
   */
  constructor(table: string, connection: Connection, onLost: (reason: string) => void = () => {}) {
    this.name = `carrier ${table}`
    this.#table = table
    this.#connection = connection
    connection.listen(table, (held) => {
      if (this.#delivered !== null && !isSame(held, this.#delivered))
        onLost(`the carrier holds ${describe(held)}, not ${describe(this.#delivered)}`)
    })
  }

  async apply(delta: Delta<Row>, signal: AbortSignal): Promise<readonly Refused[]> {
    const outsize: Refused[] = []
    const lines = deltaLines(this.#table, delta, (row) => outsize.push(row))
    const expected = { epoch: delta.to.epoch, number: delta.from }
    this.#delivered = null
    const refused = await this.#connection.deliver(this.#table, delta.to, lines, signal, () => {
      const held = this.#connection.held(this.#table)
      if (delta.from !== 0 && !isSame(held, expected))
        throw new Error(`the carrier holds ${describe(held)} of table ${this.#table}, not ${describe(expected)}`)
    })
    this.#delivered = delta.to
    return [...outsize, ...refused]
  }

  async audit(signal: AbortSignal): Promise<Drift> {
    const held = heldOf(this.#table, await this.#connection.ask('stats', signal))
    if (this.#delivered === null || isSame(held, this.#delivered)) return { clean: true }
    return { clean: false, detail: `the carrier holds ${describe(held)}, not ${describe(this.#delivered)}` }
  }

  /** The carrier holds no row of the table any more. Needs the connection to run. */
  async cleanup(): Promise<void> {
    const to = { epoch: CLEAN_EPOCH, number: 1 }
    const empty: Delta<Row> = { from: 0, to, put: new Map(), drop: new Set(), was: new Map() }
    const lines = deltaLines(this.#table, empty, () => {})
    await this.#connection.deliver(this.#table, to, lines, AbortSignal.timeout(CLEANUP_LIMIT_MS))
    this.#delivered = null
  }
}

/** What `stats` says of a table. Throws when it is not what a carrier says. */
function heldOf(table: string, stats: unknown): Revision | null {
  const tables = isObject(stats) ? stats['tables'] : null
  if (!isObject(tables)) throw new Error('the carrier does not say which tables it holds')
  const held = tables[table]
  return isObject(held) ? readRevision(held['revision']) : null
}

function isSame(a: Revision | null, b: Revision | null): boolean {
  return a?.epoch === b?.epoch && a?.number === b?.number
}

function describe(revision: Revision | null): string {
  return revision === null ? 'nothing' : `${revision.number} of ${revision.epoch}`
}

const CLEAN_EPOCH = 'cleaned'
const CLEANUP_LIMIT_MS = 10_000
