import fc from 'fast-check'
import t from 'tap'
import type { Members } from '../../src/service/members.ts'
import { layOut, MAX_EXACT, placesFor, SPARSE_FALLBACK } from '../../src/service/slots.ts'

/** Sets of endpoints around the bound between full and sparse sets. */
const anySet = fc
  .tuple(fc.integer({ min: 1, max: 400 }), fc.nat(0xffff), fc.constantFrom(1, 2, 7, 251))
  .map(([count, first, step]): readonly (readonly [string, number])[] =>
    Array.from({ length: count }, (_, i) => {
      const number = (first + i * step) & 0xffffff
      return [`10.${number >> 16}.${(number >> 8) & 255}.${number & 255}`, 8080 + (i % 3)]
    }),
  )
  .map((list) => [...new Map(list.map((each) => [each.join(' '), each])).values()])

const members = (list: readonly (readonly [string, number])[]): Members => ({
  ips: list.map(([ip]) => ip),
  ports: list.map(([, port]) => port),
})

function placed(list: readonly (readonly [string, number])[]): Map<number, string> {
  const { slots, ips, ports, ids } = layOut(members(list))
  return new Map(slots.map((slot, i) => [slot, `${ips[i]} ${ports[i]} ${ids[i]}`]))
}

t.test('a layout holds everybody once, within its places, whatever the order', (t) => {
  fc.assert(
    fc.property(anySet, fc.infiniteStream(fc.nat(1000)), (list, random) => {
      const slots = placed(list)
      const order = new Map(list.map((each) => [each, random.next().value as number]))
      const shuffled = list.toSorted((a, b) => order.get(a)! - order.get(b)!)
      same([...placed(shuffled)].sort(), [...slots].sort(), 'order matters')
      const isSparse = list.length > MAX_EXACT
      const ordinary = [...slots].filter(([slot]) => !isSparse || slot !== SPARSE_FALLBACK)
      same(ordinary.length, list.length, 'somebody is missing, or there twice')
      same(new Set(ordinary.map(([, who]) => who)).size, list.length, 'somebody is there twice')
      same(new Set(ordinary.map(([, who]) => who.split(' ')[2])).size, list.length, 'two have one id')
      same(
        ordinary.every(([slot]) => slot < placesFor(list.length)),
        true,
        'beyond the places',
      )
      same(slots.has(SPARSE_FALLBACK), isSparse, 'fallback')
    }),
    { numRuns: 500 },
  )
  t.pass()
  t.end()
})

t.test('one endpoint less: in a sparse set of the same size few slots change', (t) => {
  let changed = 0
  let runs = 0
  fc.assert(
    fc.property(anySet, fc.nat(), (list, at) => {
      const fewer = list.toSpliced(at % list.length, 1)
      if (fewer.length <= MAX_EXACT || placesFor(fewer.length) !== placesFor(list.length)) return
      const [before, after] = [placed(list), placed(fewer)]
      const keys = new Set([...before.keys(), ...after.keys()])
      changed += [...keys].filter((slot) => before.get(slot) !== after.get(slot)).length
      runs++
    }),
    { numRuns: 500 },
  )
  t.ok(runs > 100, `${runs} runs`)
  t.ok(changed / runs < 12, `${changed / runs} slots on average`)
  t.end()
})

function same(a: unknown, b: unknown, what: string): void {
  if (JSON.stringify(a) !== JSON.stringify(b)) throw new Error(what)
}
