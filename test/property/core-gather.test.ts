import fc from 'fast-check'
import t from 'tap'
import { Cursor } from '../../src/core/cursor.ts'
import type { Delta, Key } from '../../src/core/delta.ts'
import { gather } from '../../src/core/gather.ts'
import { Graph } from '../../src/core/graph.ts'
import { Holders } from '../../src/core/holders.ts'
import { asTable, InputTable } from '../../src/core/table.ts'

/** A row of the driver adds its name to each letter, as often as it has it. `!` throws; so does a row of four parts and more. */
const text = fc.stringMatching(/^[abcde!]{0,5}$/)
const driverKey = fc.constantFrom('k', 'l', 'm')
const step = fc.oneof(
  fc.record({ kind: fc.constant('put' as const), key: driverKey, text }),
  fc.record({ kind: fc.constant('drop' as const), key: driverKey, text }),
  fc.record({ kind: fc.constant('take' as const), key: driverKey, text }),
)

t.test('for any history: what is told adds up to what it says of itself, and that to all parts', async (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40, size: 'max' }), (steps) => {
      const { driver, table, graph } = world()
      const cursor = new Cursor(asTable(table), graph.epoch)
      const held = new Map<Key, string>()
      const follow = (): void => {
        const delta = cursor.take()
        if (delta === null) return
        carry(held, delta)
        cursor.landed([])
      }
      driver.markSynced()
      graph.settle()
      follow()
      for (const { kind, key, text } of steps) {
        if (kind === 'put') driver.put(key, text)
        else if (kind === 'drop') driver.drop(key)
        else follow()
        graph.settle()
        check(driver, table)
      }
      follow()
      const now = [...table.entries()].sort()
      if (JSON.stringify([...held].sort()) !== JSON.stringify(now)) throw new Error('a delta was wrong')
    }),
    { numRuns: 2000 },
  )
  t.pass()
})

t.test('what was there before it is made counts as well', async (t) => {
  const driver = new InputTable<string>('texts')
  driver.put('l', 'ab')
  driver.put('k', 'bc')
  const { table, graph } = world(driver)
  t.equal(table.size, 0)
  graph.settle()
  t.same([...table.entries()].sort(), [
    ['a', 'l'],
    ['b', 'kl'],
    ['c', 'k'],
  ])
  t.equal(table.size, 3)
})

t.test('a throw costs rows, is told, and ends with its cause', async (t) => {
  const { driver, table, graph } = world()
  driver.put('k', 'a')
  driver.put('l', 'a!')
  graph.settle()
  const faults = () => [...graph.faults()].map(({ table, key, error }) => [table, key, error.message])
  t.same([...table.entries()], [['a', 'k']])
  t.same(faults(), [['letters', 'l', 'no']])
  driver.put('l', 'a')
  graph.settle()
  t.equal(table.get('a'), 'kl')
  t.same(faults(), [])
  driver.put('l', 'aaa')
  graph.settle()
  t.same([...table.entries()], [])
  t.same([table.size, table.has('a'), table.get('a')], [0, false, undefined])
  t.same(faults(), [['letters', 'k', 'a crowd']], 'of the first that has a part')
  driver.drop('l')
  graph.settle()
  t.same([...table.entries()], [['a', 'k']])
})

t.test('only what differs is told, when the graph settles, and seen from then on', async (t) => {
  const { driver, table, graph } = world()
  driver.put('k', 'abc')
  graph.settle()
  const told: unknown[] = []
  asTable(table).watch({ changed: (key, was, now) => told.push([key, was, now]) })
  driver.put('l', 'b')
  driver.put('m', 'bcd')
  driver.put('k', 'ba')
  driver.put('k', 'a')
  driver.put('m', 'c')
  t.same(told, [])
  t.same([...table.entries()].sort().join(' '), 'a,k b,k c,k')
  t.same([table.size, table.get('b'), table.has('d')], [3, 'k', false])
  graph.settle()
  t.same(told, [
    ['b', 'k', 'l'],
    ['c', 'k', 'm'],
  ])
  t.same([...table.entries()].sort().join(' '), 'a,k b,l c,m')
})

t.test('a big change is told in parts', async (t) => {
  const graph = new Graph()
  const driver = graph.input(new InputTable<number>('counts'))
  const table = gather<string, number, string>(graph, {
    name: 'numbers',
    driver,
    parts: (driver, count) => Array.from({ length: count }, (_, i): [string, string] => [String(i), driver]),
    row: (_, parts) => parts.join(''),
  })
  driver.put('k', 30_000)
  driver.put('l', 20_000)
  graph.settle()
  t.same([table.size, table.get('19999'), table.get('20000')], [30_000, 'kl', 'k'])
  driver.drop('k')
  graph.settle()
  t.same([table.size, table.get('19999'), table.get('20000')], [20_000, 'l', undefined])
})

t.test('two keys of one hash are two keys', async (t) => {
  const [one, other] = collision()
  const graph = new Graph()
  const driver = graph.input(new InputTable<readonly string[]>('lists'))
  const table = gather<string, readonly string[], string>(graph, {
    name: 'keys',
    driver,
    parts: (driver, keys) => keys.map((key) => [key, driver]),
    row: (_, parts) => parts.join(''),
  })
  driver.put('k', [one])
  graph.settle()
  t.same([table.get(one), table.get(other), table.has(other), table.size], ['k', undefined, false, 1])
  driver.put('l', [other, one])
  graph.settle()
  t.same([table.get(one), table.get(other), table.size], ['kl', 'l', 2])
  driver.put('l', [one])
  graph.settle()
  t.same([table.get(one), table.get(other), table.size], ['kl', undefined, 1])
  driver.drop('k')
  graph.settle()
  t.same([...table.entries()], [[one, 'l']])
})

t.test('holders: who was added is found, who was removed is not, and nothing is left behind', async (t) => {
  const holders = new Holders()
  const held = new Map<string, Set<string>>()
  const pair = fc.tuple(fc.nat(300).map(String), fc.nat(20).map(String))
  fc.assert(
    fc.property(pair, ([key, holder]) => {
      const set = held.get(key) ?? new Set()
      held.set(key, set)
      if (set.delete(holder)) holders.remove(key, holder)
      else {
        holders.add(key, holder)
        set.add(holder)
      }
      if (JSON.stringify(holders.of(key)) !== JSON.stringify([...set].sort())) throw new Error(key)
      if (holders.isShared(key) !== set.size > 1) throw new Error(`${key} is shared`)
    }),
    { numRuns: 20_000 },
  )
  for (const [key, set] of held) for (const holder of set) holders.remove(key, holder)
  t.equal(holders.pairs, 0)
  t.throws(() => holders.remove('1', '1'), /1 has no part in 1/)
})

function world(texts = new InputTable<string>('texts')) {
  const graph = new Graph()
  const driver = graph.input(texts)
  const table = gather<string, string, string>(graph, {
    name: 'letters',
    driver,
    *parts(key, text) {
      for (const letter of text) {
        if (letter === '!') throw new Error('no')
        yield [letter, key]
      }
    },
    row: (_, parts) => {
      if (parts.length > 3) throw new Error('a crowd')
      return parts.join('')
    },
  })
  return { graph, driver, table }
}

function check(driver: InputTable<string>, table: ReturnType<typeof world>['table']): void {
  const all = new Map<Key, string>()
  for (const [key, text] of [...driver.entries()].sort())
    if (!text.includes('!')) for (const letter of text) all.set(letter, (all.get(letter) ?? '') + key)
  for (const [letter, row] of all) if (row.length > 3) all.delete(letter)
  const found = [...table.entries()]
  if (table.size !== all.size || found.length !== all.size) throw new Error(`size ${table.size} of ${all.size}`)
  for (const [key, row] of found) if (all.get(key) !== row) throw new Error(`${key} is ${row}`)
  for (const key of ['a', 'b', 'c', 'd', 'e', 'f', ''])
    if (table.get(key) !== all.get(key) || table.has(key) !== all.has(key)) throw new Error(key)
}

function carry(held: Map<Key, string>, delta: Delta<string>): void {
  if (delta.from === 0) held.clear()
  for (const [key, was] of delta.was) if (held.get(key) !== was) throw new Error(`${key} was not ${was}`)
  for (const key of delta.drop) if (!held.delete(key)) throw new Error(`${key} dropped, which was never put`)
  for (const [key, row] of delta.put) held.set(key, row)
}

function collision(): readonly [string, string] {
  const holders = new Holders()
  for (let i = 0; ; i++) {
    const key = `key ${i}`
    const [other] = holders.of(key)
    if (other !== undefined) return [other, key]
    holders.add(key, key)
  }
}
