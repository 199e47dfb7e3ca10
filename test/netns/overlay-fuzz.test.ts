/** Whatever happens to a cluster, in whatever steps: the kernel holds what the rows say, and audits say so. */
import fc from 'fast-check'
import t from 'tap'
import { enterWorld, ip } from './world.ts'
await enterWorld()

import { Cursor } from '../../src/core/cursor.ts'
import type { Table } from '../../src/core/table.ts'
import { listOverlay } from '../../src/overlay/netlink/listing.ts'
import { NetlinkTarget } from '../../src/overlay/netlink/target.ts'
import type { OverlayRow } from '../../src/overlay/rows.ts'
import { OverlayRoom } from '../contract/overlay-room.ts'
import { node } from '../contract/service-objects.ts'
import { interfaces, step } from '../property/overlay-world.ts'

const signal = new AbortController().signal
t.setTimeout(570_000)

/** What histories begin with: they do the rest. */
const sound = [1, 2, 3, 4].map((n) =>
  node(`n${n}`, [`172.30.0.1${n}`, `fd00:172:30::1${n}`], [`10.244.${n}.0/24`, `fd00:10:244:${n}::/64`], null),
)

t.test('random histories, as deltas, on one kernel', async (t) => {
  for (const name of ['eth0', 'eth1'])
    await ip(`link add ${name} type veth peer name ${name}p`, `link set ${name} up`, `link set ${name}p up`)
  const addresses = [1, 2, 3, 4, 5, 6, 7, 8]
  await ip(
    ...addresses.map((n) => `addr add 172.30.0.1${n}/24 dev eth${n % 2}`),
    ...addresses.map((n) => `addr add fd00:172:30::1${n}/64 dev eth0 nodad`),
  )
  let [deltas, rows] = [0, 0]
  const history = fc.array(step, { minLength: 5, maxLength: 25 })
  await fc.assert(
    fc.asyncProperty(history, interfaces, fc.boolean(), async (steps, first, directRouting) => {
      const room = new OverlayRoom({ directRouting }, sound, { interfaces: first })
      const cursor = new Cursor(room.overlay.rows as unknown as Table<OverlayRow>, room.graph.epoch)
      const target = new NetlinkTarget()
      for (const each of [null, ...steps]) {
        if (each?.do === 'interfaces') room.setInterfaces(each.list)
        else if (each?.do === 'drop') room.drop(each.object)
        else if (each !== null) room.put(each.object)
        room.settle()
        const delta = cursor.take()
        if (delta === null || (delta.from !== 0 && delta.put.size + delta.drop.size === 0)) continue
        const refused = await target.apply(delta, signal)
        cursor.landed(refused)
        // The histories also give peers addresses of this host.
        const strange = refused.filter(({ reason }) => !/local address|invalid gateway/.test(reason))
        if (strange.length > 0) throw new Error(JSON.stringify(strange))
        deltas++
        rows += room.overlay.rows.size
        await compare(target, room, cursor.refused)
      }
    }),
    { numRuns: 15, endOnFailure: true },
  )
  t.comment(`${deltas} deltas, ${rows / deltas} rows after each`)
  t.ok(rows > 200)
})

async function compare(target: NetlinkTarget, room: OverlayRoom, refused: ReadonlyMap<string, unknown>): Promise<void> {
  const drift = await target.audit(signal)
  if (!drift.clean) throw new Error(drift.detail)
  const names = [...room.overlay.rows.entries()].flatMap(([, row]) => (row.kind === 'device' ? [row.name] : []))
  const { rows, links } = await listOverlay(names, signal)
  const held = [...rows.keys(), ...[...links.keys()].map((name) => `device ${name}`)].sort().join('\n')
  const wanted = [...room.overlay.rows.entries()].flatMap(([key]) => (refused.has(key) ? [] : [key])).sort().join('\n') // prettier-ignore
  if (held !== wanted) throw new Error(`the kernel holds\n${held}\nand not\n${wanted}`)
}
