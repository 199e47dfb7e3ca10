import type { Delta, Drift, Refused, Target } from '../core/delta.ts'
import { HeldRows } from '../core/held.ts'
import { IptablesCorner, type Content, type CornerOptions, type Place } from './iptables-corner.ts'
import type { Family } from './iptables.ts'

/** What rows say in iptables: nothing in families that are not in it. Pure. */
export type Contents<Row> = (rows: readonly Row[]) => ReadonlyMap<Family, Content>

/** Rows kept as a corner of iptables. */
export class CornerTarget<Row> implements Target<Row> {
  readonly name: string
  readonly corner: IptablesCorner
  readonly #contents: Contents<Row>
  readonly #rows = new HeldRows<Row>()

  constructor(name: string, place: Place, contents: Contents<Row>, options: CornerOptions) {
    this.name = name
    this.#contents = contents
    this.corner = new IptablesCorner(place, options)
  }

  async apply(delta: Delta<Row>, signal: AbortSignal): Promise<readonly Refused[]> {
    this.#rows.take(delta)
    await this.corner.hold(this.#contents([...this.#rows.values()]), delta.from === 0, signal)
    return []
  }

  async audit(signal: AbortSignal): Promise<Drift> {
    const detail = await this.corner.differs(signal)
    return detail === null ? { clean: true } : { clean: false, detail }
  }

  cleanup(): Promise<void> {
    return this.corner.remove()
  }
}
