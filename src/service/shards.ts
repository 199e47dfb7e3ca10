import type { Key } from '../core/delta.ts'
import { addSlots, setsOf } from './frontends.ts'
import { unpack } from './members.ts'
import type { Plan } from './plan.ts'
import type { FrontendAddress, ServiceRow, Slot } from './rows.ts'
import { layOut, MAX_EXACT, type Layout } from './slots.ts'

/**
 * A stretch of the slots of a large set, and the frontends that use it. One endpoint more or less changes one or two
 * shards; the rows of the others need not even be looked at.
 */
export interface Shard extends Layout {
  readonly uses: readonly { readonly at: FrontendAddress; readonly set: Slot['set'] }[]
  readonly affinity: boolean
}

/** Shards of the sets of a Service that have more than MAX_EXACT endpoints; of most Services there are none. */
export function shardsOf(key: Key, plan: Plan): readonly (readonly [Key, Shard])[] {
  const shards: [Key, Shard][] = []
  plan.backends.forEach((backend, i) => {
    for (const from of ['cluster', 'local'] as const) {
      const members = backend[from]
      if (members === null || members.count <= MAX_EXACT) continue
      const uses = plan.openings
        .filter((opening) => opening.backend === i)
        .flatMap((opening) =>
          setsOf(plan, opening).flatMap((it) => (it.from === from ? [{ at: opening.at, set: it.set }] : [])),
        )
      for (const [number, stretch] of cut(layOut(unpack(members)))) {
        shards.push([`${key} ${i} ${from} ${number}`, { ...stretch, uses, affinity: plan.affinity > 0 }])
      }
    }
  })
  return shards
}

export function rowsOfShard(shard: Shard): readonly (readonly [Key, ServiceRow])[] {
  const rows: [Key, ServiceRow][] = []
  for (const { at, set } of shard.uses) addSlots(rows, at, set, shard, shard.affinity)
  return rows
}

function cut(layout: Layout): Map<number, Layout> {
  const stretches = new Map<number, { slots: number[]; ips: string[]; ports: number[]; ids: number[] }>()
  for (let i = 0; i < layout.slots.length; i++) {
    const number = Math.floor(layout.slots[i]! / SHARD_PLACES)
    let stretch = stretches.get(number)
    if (stretch === undefined) stretches.set(number, (stretch = { slots: [], ips: [], ports: [], ids: [] }))
    stretch.slots.push(layout.slots[i]!)
    stretch.ips.push(layout.ips[i]!)
    stretch.ports.push(layout.ports[i]!)
    stretch.ids.push(layout.ids[i]!)
  }
  return stretches
}

const SHARD_PLACES = 256
