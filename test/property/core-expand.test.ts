import fc from 'fast-check'
import t from 'tap'
import { Cursor } from '../../src/core/cursor.ts'
import type { Delta, Key } from '../../src/core/delta.ts'
import { expand } from '../../src/core/expand.ts'
import { Graph } from '../../src/core/graph.ts'
import { asTable, InputTable } from '../../src/core/table.ts'

/** A row of the driver: what it says is yielded a character at a time; `!` throws. */
const text = fc.stringMatching(/^[abc!]{0,6}$/)
const driverKey = fc.constantFrom('k', 'l', 'm')
const step = fc.oneof(
  fc.record({ kind: fc.constant('put' as const), key: driverKey, text }),
  fc.record({ kind: fc.constant('drop' as const), key: driverKey, text }),
  fc.record({ kind: fc.constant('take' as const), key: driverKey, text }),
)

t.test('what is told of it adds up to what it says of itself, for any history', async (t) => {
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
      follow()
      for (const { kind, key, text } of steps) {
        if (kind === 'put') driver.put(key, text)
        else if (kind === 'drop') driver.drop(key)
        else follow()
        check(driver, table)
      }
      follow()
      const now = [...table.entries()].sort()
      if (JSON.stringify([...held].sort()) !== JSON.stringify(now)) throw new Error('a delta was wrong')
    }),
    { numRuns: 1000 },
  )
  t.pass()
})

t.test('a throw costs the rows of its key only, is told, and ends with its cause', async (t) => {
  const { driver, table, graph } = world()
  driver.markSynced()
  driver.put('k', 'ab')
  driver.put('l', 'a!')
  t.same(
    [...table.entries()],
    [
      ['k 0', 'a'],
      ['k 1', 'b'],
    ],
  )
  t.same(
    [...graph.faults()].map(({ table, key, error }) => [table, key, error.message]),
    [['letters', 'l', 'no']],
  )
  driver.put('l', 'a')
  t.equal(table.get('l 0'), 'a')
  t.same([...graph.faults()], [])
  driver.put('l', '!')
  driver.drop('l')
  t.same([...graph.faults()], [], 'nor when the row is gone')
})

t.test('only what differs is told', async (t) => {
  const { driver, table } = world()
  driver.put('k', 'abc')
  const told: unknown[] = []
  asTable(table).watch({ changed: (key, was, now) => told.push([key, was, now]) })
  driver.put('k', 'axc')
  driver.put('k', 'ax')
  t.same(told, [
    ['k 1', 'b', 'x'],
    ['k 2', 'c', undefined],
  ])
})

function world() {
  const graph = new Graph()
  const driver = graph.input(new InputTable<string>('texts'))
  const table = expand<string, string>(graph, {
    name: 'letters',
    driver,
    owner: (key) => key.split(' ')[0],
    *rows(key, text) {
      for (const [i, letter] of [...text].entries()) {
        if (letter === '!') throw new Error('no')
        yield [`${key} ${i}`, letter]
      }
    },
  })
  return { graph, driver, table }
}

function check(driver: InputTable<string>, table: ReturnType<typeof world>['table']): void {
  const all = new Map<Key, string>()
  for (const [key, text] of driver.entries())
    if (!text.includes('!')) [...text].forEach((letter, i) => all.set(`${key} ${i}`, letter))
  const found = [...table.entries()]
  if (table.size !== all.size || found.length !== all.size) throw new Error(`size ${table.size} of ${all.size}`)
  for (const [key, letter] of found) if (all.get(key) !== letter) throw new Error(`${key} is ${letter}`)
  for (const key of ['k 0', 'l 1', 'm 5', 'x 0', ''])
    if (table.get(key) !== all.get(key) || table.has(key) !== all.has(key)) throw new Error(key)
}

function carry(held: Map<Key, string>, delta: Delta<string>): void {
  if (delta.from === 0) held.clear()
  for (const [key, was] of delta.was) if (held.get(key) !== was) throw new Error(`${key} was not ${was}`)
  for (const key of delta.drop) if (!held.delete(key)) throw new Error(`${key} dropped, which was never put`)
  for (const [key, row] of delta.put) held.set(key, row)
}
