import fc from 'fast-check'
import t from 'tap'
import { Room } from '../contract/service-room.ts'
import type { Raw } from '../contract/service-objects.ts'
import { anyObject, objectKey } from './service-world.ts'

const step = fc.oneof(
  { weight: 8, arbitrary: anyObject.map((object) => ({ do: 'put' as const, object })) },
  { weight: 3, arbitrary: anyObject.map((object) => ({ do: 'drop' as const, object })) },
  { weight: 3, arbitrary: fc.constant({ do: 'settle' as const }) },
)

t.test('incremental equals full: no row, rejection or health port depends on history', (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const objects = new Map<string, Raw>()
      const room = new Room({}, [])
      for (const each of steps) {
        if (each.do === 'settle') room.settle()
        else if (each.do === 'drop') {
          room.drop(each.object)
          objects.delete(objectKey(each.object))
        } else {
          room.put(each.object)
          objects.set(objectKey(each.object), each.object)
        }
      }
      // The same objects, in another order, at once.
      const full = new Room({}, [...objects.values()].toReversed())
      same(room.rows(), full.rows())
      same(new Map(room.fake.rows), new Map(full.fake.rows))
      same(new Map(room.services.plans.entries()), new Map(full.services.plans.entries()))
      same(new Map(room.services.health.entries()), new Map(full.services.health.entries()))
      same(new Map(room.services.rejections.entries()), new Map(full.services.rejections.entries()))
    }),
    { numRuns: 1000 },
  )
  t.pass('1000 histories')
  t.end()
})

function same(a: ReadonlyMap<string, unknown>, b: ReadonlyMap<string, unknown>): void {
  const text = (map: ReadonlyMap<string, unknown>) =>
    JSON.stringify(
      [...map].sort(([x], [y]) => (x < y ? -1 : 1)),
      null,
      1,
    )
  if (text(a) !== text(b)) throw new Error(`${text(a)}\nis not\n${text(b)}`)
}
