/**
 * kube-proxy's network programming latency: from the moment an endpoint changed, as its slice says, to the moment the
 * kernel has it.
 */
import type { EndpointSlice } from '../cluster/endpointslice.ts'
import type { Key } from '../core/delta.ts'
import type { Listener, Readable } from '../core/table.ts'
import type { Histogram } from './metrics.ts'

export interface ProgrammingParts {
  readonly slices: Readable<EndpointSlice>
  /** What the target follows. */
  readonly rows: Readable<unknown>
  /** Seconds; one label. */
  readonly histogram: Histogram
  /** null: it is not counted. Absent: kube-proxy's ip_family. */
  readonly label?: (slice: EndpointSlice) => string | null
  /** ms since 1970. */
  readonly now?: () => number
}

/** Watches the slices; is told of each commit of the rows. Holds an entry for each change under way, nothing for others. */
export class ProgrammingLatency implements Listener<EndpointSlice> {
  readonly #parts: ProgrammingParts
  readonly #now: () => number
  readonly #began: number
  /** In order of `after`. */
  #waiting: Change[] = []

  constructor(parts: ProgrammingParts) {
    this.#parts = parts
    this.#now = parts.now ?? Date.now
    this.#began = this.#now()
  }

  changed(_: Key, was: EndpointSlice | undefined, now: EndpointSlice | undefined): void {
    if (now === undefined || now.triggeredAt === 0 || now.triggeredAt === was?.triggeredAt) return
    // What changed before we began, or was found by the first list, says nothing about us (as kube-proxy sees it, too).
    if (!this.#parts.slices.synced || now.triggeredAt < this.#began || this.#waiting.length >= WAITING_MAX) return
    const label = (this.#parts.label ?? family)(now)
    if (label === null) return
    const after = this.#parts.rows.number
    this.#waiting.push({ after, label, triggeredAt: now.triggeredAt })
    // Derivations run in the next round of immediates at the latest. What made no row differ then never will.
    setImmediate(() => setImmediate(() => this.#forget(after)))
  }

  /** Rows up to this number of their table were committed. */
  committed(number: number): void {
    const now = this.#now()
    const done = this.#waiting.findIndex(({ after }) => after >= number)
    for (const { label, triggeredAt } of this.#waiting.splice(0, done === -1 ? this.#waiting.length : done))
      this.#parts.histogram.observe(Math.max(0, now - triggeredAt) / 1000, label)
  }

  #forget(number: number): void {
    if (this.#parts.rows.number !== number) return
    this.#waiting = this.#waiting.filter(({ after }) => after !== number)
  }
}

interface Change {
  /** Number of the rows when the slice changed: a later one has the change in it. */
  readonly after: number
  readonly label: string
  readonly triggeredAt: number
}

const family = (slice: EndpointSlice): string => (slice.family === 6 ? 'IPv6' : 'IPv4')
const WAITING_MAX = 10_000
