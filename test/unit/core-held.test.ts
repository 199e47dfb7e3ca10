import t from 'tap'
import { HeldRows } from '../../src/core/held.ts'

const delta = (from: number, put: Readonly<Record<string, number>>, ...drop: readonly string[]) => ({
  ...{ from, put: new Map(Object.entries(put)), drop: new Set(drop) },
})

t.test('holds what the deltas said: new, changed, dropped; one from 0 replaces all', (t) => {
  const held = new HeldRows<number>()
  held.take(delta(0, { a: 1, b: 2 }))
  t.same([...held], [['a', 1], ['b', 2]]) // prettier-ignore
  held.take(delta(1, { b: 3, c: 4 }, 'a', 'never'))
  t.same([...held], [['b', 3], ['c', 4]]) // prettier-ignore
  held.take(delta(0, { d: 5 }))
  t.same([...held], [['d', 5]])
  held.take(delta(0, {}))
  t.equal(held.size, 0)
  t.end()
})

t.test('what it was given is not what it holds: a delta from 0 is a view that goes', (t) => {
  const put = new Map([['a', 1]])
  const held = new HeldRows<number>()
  held.take({ from: 0, put, drop: new Set() })
  put.clear()
  t.same([...held], [['a', 1]])
  t.end()
})
