import { Cursor } from '../../src/core/cursor.ts'
import type { Table } from '../../src/core/table.ts'
import { NftChannel } from '../../src/kernel/nft-channel.ts'
import { nftProcess } from '../../src/kernel/nft.ts'
import { ConntrackTarget } from '../../src/service/conntrack/target.ts'
import { NftTarget } from '../../src/service/nftables/target.ts'
import type { ServiceOptions } from '../../src/service/options.ts'
import type { ServiceRow } from '../../src/service/rows.ts'
import type { Raw } from '../contract/service-objects.ts'
import { Room } from '../contract/service-room.ts'

/** Kubernetes objects kept up on a real kernel, by deltas, as an agent does it: stale UDP flows included. */
export class Stage {
  readonly room: Room
  readonly target: NftTarget
  /** Conntrack entries deleted by the last change. */
  deleted = 0
  readonly #channel = new NftChannel()
  readonly #cursor: Cursor<ServiceRow>
  readonly #flows: ConntrackTarget

  constructor(options: Partial<ServiceOptions> = {}) {
    this.room = new Room(options)
    this.#cursor = new Cursor(this.room.services.rows as Table<ServiceRow>, this.room.graph.epoch)
    this.#flows = new ConntrackTarget({
      rows: this.room.services.rows,
      programmed: () => Promise.resolve(),
      onCleaned: (cleaned) => {
        if (cleaned.kind === 'cleaned') for (const { deleted } of cleaned.families) this.deleted += deleted
      },
    })
    const inherit = this.#flows.inherit.bind(this.#flows)
    this.target = new NftTarget({ changes: this.#channel, loads: nftProcess, inherit })
  }

  put(...objects: readonly Raw[]): Promise<void> {
    this.room.put(...objects)
    return this.#settle()
  }

  drop(...objects: readonly Raw[]): Promise<void> {
    this.room.drop(...objects)
    return this.#settle()
  }

  /** As after lost events, or drift: everything anew. */
  reload(): Promise<void> {
    this.#cursor.recover()
    return this.#settle()
  }

  async close(): Promise<void> {
    await this.target.cleanup()
    this.#channel.close()
  }

  async #settle(): Promise<void> {
    this.deleted = 0
    this.room.settle()
    const delta = this.#cursor.take()
    if (delta === null) return
    const refused = await this.target.apply(delta, SIGNAL)
    await this.#flows.apply(delta, SIGNAL)
    this.#cursor.landed(refused)
    if (refused.length > 0) throw new Error(`refused: ${JSON.stringify(refused)}`)
    const drift = await this.target.audit(SIGNAL)
    if (!drift.clean) throw new Error(drift.detail)
  }
}

const SIGNAL = new AbortController().signal
