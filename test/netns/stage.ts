import { Cursor } from '../../src/core/cursor.ts'
import type { Refused, Target } from '../../src/core/delta.ts'
import { asTable } from '../../src/core/table.ts'
import { NftChannel } from '../../src/kernel/nft-channel.ts'
import { ConntrackTarget } from '../../src/service/conntrack/target.ts'
import type { ServiceOptions } from '../../src/service/options.ts'
import type { Flows } from '../../src/service/flows.ts'
import type { ServiceRow } from '../../src/service/rows.ts'
import type { Raw } from '../contract/service-objects.ts'
import { Room } from '../contract/service-room.ts'
import { makeTarget } from './target.ts'

/** Kubernetes objects kept up on a real kernel, by deltas, as an agent does it: stale UDP flows included. */
export class Stage {
  readonly room: Room
  readonly target: Target<ServiceRow>
  /** Conntrack entries deleted by the last change. */
  deleted = 0
  readonly #channel = new NftChannel()
  readonly #cursor: Cursor<ServiceRow>
  readonly #flows: Cursor<Flows>
  readonly #conntrack: ConntrackTarget

  constructor(options: Partial<ServiceOptions> = {}) {
    this.room = new Room(options)
    const { rows, flows } = this.room.services
    this.#cursor = new Cursor(asTable(rows), this.room.graph.epoch)
    this.#flows = new Cursor(asTable(flows), this.room.graph.epoch)
    this.#conntrack = new ConntrackTarget({
      flows,
      programmed: () => Promise.resolve(),
      onCleaned: (cleaned) => {
        if (cleaned.kind === 'cleaned') for (const { deleted } of cleaned.families) this.deleted += deleted
      },
    })
    const inherit = this.#conntrack.inherit.bind(this.#conntrack)
    this.target = makeTarget({ inherit }, this.#channel)
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
    this.#flows.recover()
    return this.#settle()
  }

  async close(): Promise<void> {
    await this.target.cleanup()
    this.#channel.close()
  }

  async #settle(): Promise<void> {
    this.deleted = 0
    this.room.settle()
    const refused = await follow(this.#cursor, this.target)
    await follow(this.#flows, this.#conntrack)
    if (refused.length > 0) throw new Error(`refused: ${JSON.stringify(refused)}`)
    const drift = await this.target.audit(SIGNAL)
    if (!drift.clean) throw new Error(drift.detail)
  }
}

async function follow<Row>(cursor: Cursor<Row>, target: Target<Row>): Promise<readonly Refused[]> {
  const delta = cursor.take()
  if (delta === null) return []
  const refused = await target.apply(delta, SIGNAL).catch((error: unknown) => {
    cursor.lost()
    throw error
  })
  cursor.landed(refused)
  return refused
}

const SIGNAL = new AbortController().signal
