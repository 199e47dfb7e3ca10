/**
 * What flows from a table to a target: rows by key, numbered.
 *
 * A delta takes a receiver that holds revision `from` to revision `to`. `from` 0 replaces everything, whatever the
 * receiver holds: the one recovery path (first list, lost watch, failed apply, drift, restart).
 */
export type Key = string

/** A committed state of a table. `epoch` is new with each process, so numbers of two processes are never compared. */
export interface Revision {
  readonly epoch: string
  readonly number: number
}

export interface Delta<Row> {
  readonly from: number
  readonly to: Revision
  /**
   * Rows that are new or differ from what the receiver holds. When `from` is 0 it is a view of the whole table as it is at
   * `to`, readable only until `apply` settles: what is kept is copied. In no particular order: sort before rendering.
   */
  readonly put: ReadonlyMap<Key, Row>
  /** Keys that the receiver holds and must let go. Empty when `from` is 0. */
  readonly drop: ReadonlySet<Key>
  /** The rows the receiver holds at `from` under the keys of `put` and `drop` (absent: it holds none). Empty when `from` is 0. */
  readonly was: ReadonlyMap<Key, Row>
}

/**
 * A row the outside world would not take. Reported, and tried again when the row changes or in a delta from 0. The receiver
 * holds nothing under its key: a former row there is let go (`without` in refuse.ts), for it is not what the table says.
 */
export interface Refused {
  readonly key: Key
  readonly reason: string
  readonly remedy: string
}

/** What an audit found: `clean`, or how the outside world differs from the table (one line for people). */
export type Drift = { readonly clean: true } | { readonly clean: false; readonly detail: string }

/** Makes the outside world equal to a table. Decides nothing. */
export interface Target<Row> {
  readonly name: string
  /** Rejects (throws) when nothing was applied; the next delta is then `from` 0. Never resolves half done without saying so. */
  apply(delta: Delta<Row>, signal: AbortSignal): Promise<readonly Refused[]>
  audit(signal: AbortSignal): Promise<Drift>
  /** Removes all that this target owns outside. Twice is a no-op. */
  cleanup(): Promise<void>
}
