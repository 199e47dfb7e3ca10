import fc from 'fast-check'
import t from 'tap'
import { OverlayRoom } from '../contract/overlay-room.ts'
import type { Raw } from '../contract/service-objects.ts'
import { interfaces, keyOf, step } from './overlay-world.ts'

for (const directRouting of [false, true]) {
  t.test(`incremental equals full, ${directRouting ? 'with' : 'without'} direct routing`, (t) => {
    let [routes, losses] = [0, 0]
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), interfaces, (steps, first) => {
        const objects = new Map<string, Raw>()
        const room = new OverlayRoom({ directRouting }, [], { interfaces: first })
        let last = first
        for (const each of steps) {
          if (each.do === 'interfaces') {
            room.setInterfaces((last = each.list))
            room.settle()
          } else if (each.do === 'drop') {
            room.drop(each.object)
            objects.delete(keyOf(each.object))
          } else {
            room.put(each.object)
            objects.set(keyOf(each.object), each.object)
          }
        }
        const full = new OverlayRoom({ directRouting }, [...objects.values()].toReversed(), { interfaces: last })
        const [mine, whole] = [decided(room), decided(full)]
        if (mine !== whole) throw new Error(`${mine}\nis not\n${whole}`)
        routes += Number(/"route /.test(mine))
        losses += Number(/overlaps/.test(mine))
      }),
      { numRuns: 1000 },
    )
    t.ok(routes > 20, `${routes} histories ended with routes`)
    t.ok(losses > 50, `${losses} with ranges that overlap`)
    t.end()
  })
}

function decided(room: OverlayRoom): string {
  const all = [room.rows(), room.guard(), room.rejections(), room.announcements(), room.subnetEnv()]
  return JSON.stringify(all, null, 1)
}
