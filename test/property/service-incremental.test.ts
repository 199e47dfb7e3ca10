import fc from 'fast-check'
import t from 'tap'
import { unpack } from '../../src/service/members.ts'
import { frontendKey } from '../../src/service/rows.ts'
import { Room } from '../contract/service-room.ts'
import type { Raw } from '../contract/service-objects.ts'
import { anyObject, objectKey } from './service-world.ts'

/** Of UDP, each other time: whose flows are more than TCP's. */
const ofOneKind = (object: fc.Arbitrary<Raw>): fc.Arbitrary<Raw>[] => [object, object.map(asUDP)]
const asUDP = (object: Raw): Raw => JSON.parse(JSON.stringify(object).replaceAll('"TCP"', '"UDP"')) as Raw

const anySteps = ofOneKind(anyObject).map((any) =>
  fc.array(
    fc.oneof(
      { weight: 8, arbitrary: any.map((object) => ({ do: 'put' as const, object })) },
      { weight: 3, arbitrary: any.map((object) => ({ do: 'drop' as const, object })) },
      { weight: 3, arbitrary: fc.constant({ do: 'settle' as const }) },
    ),
    { maxLength: 60 },
  ),
)
const anyObjects = ofOneKind(anyObject).map((any) => fc.array(any, { minLength: 10, maxLength: 40 }))

t.test('incremental equals full: no row, flow, rejection or health port depends on history', (t) => {
  fc.assert(
    fc.property(fc.oneof(...anySteps), (steps) => {
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
      same(new Map(room.services.flows.entries()), new Map(full.services.flows.entries()))
      same(new Map(room.services.health.entries()), new Map(full.services.health.entries()))
      same(new Map(room.services.rejections.entries()), new Map(full.services.rejections.entries()))
    }),
    { numRuns: 1000 },
  )
  t.pass('1000 histories')
  t.end()
})

t.test('flows may go to whoever may get new ones', (t) => {
  let slots = 0
  fc.assert(
    fc.property(fc.oneof(...anyObjects), (objects) => {
      const room = new Room({}, objects)
      const { rows, flows } = room.services
      for (const [key, row] of rows.entries()) {
        if (row.kind === 'frontend') equal(flows.get(key)?.endpoints === null, row.protocol === 'tcp', key)
        if (row.kind !== 'slot' || row.at.protocol !== 'udp') continue
        const { serves, endpoints } = flows.get(frontendKey(row.at))!
        const { ips, ports } = unpack(endpoints!)
        equal(serves && ips.some((ip, i) => ip === row.ip && ports[i] === row.port), true, key)
        slots++
      }
      for (const [key, { at }] of flows.entries()) equal(rows.has(key) && frontendKey(at) === key, true, key)
    }),
    { numRuns: 500 },
  )
  t.ok(slots > 200, `${slots} slots`)
  t.end()
})

function equal(found: unknown, wanted: unknown, what: string): void {
  if (found !== wanted) throw new Error(`${what}: ${String(found)}, not ${String(wanted)}`)
}

function same(a: ReadonlyMap<string, unknown>, b: ReadonlyMap<string, unknown>): void {
  const text = (map: ReadonlyMap<string, unknown>) =>
    JSON.stringify(
      [...map].sort(([x], [y]) => (x < y ? -1 : 1)),
      null,
      1,
    )
  if (text(a) !== text(b)) throw new Error(`${text(a)}\nis not\n${text(b)}`)
}
