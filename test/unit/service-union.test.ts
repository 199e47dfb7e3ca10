import t from 'tap'
import { Cursor } from '../../src/core/cursor.ts'
import { InputTable, type Table } from '../../src/core/table.ts'
import { union } from '../../src/core/union.ts'

function make() {
  const first = new InputTable<{ value: number }>('first')
  const second = new InputTable<{ value: number }>('second')
  const both = union('both', [first, second])
  return { first, second, both, cursor: new Cursor(both as Table<{ value: number }>, 'e') }
}

t.test('rows of all; where two hold a key, that of the first', (t) => {
  const { first, second, both } = make()
  first.put('a', { value: 1 })
  second.put('a', { value: 2 })
  second.put('b', { value: 3 })
  t.same(
    [...both.entries()],
    [
      ['a', { value: 1 }],
      ['b', { value: 3 }],
    ],
  )
  t.equal(both.size, 2)
  t.same([both.get('a'), both.get('b'), both.get('c')], [{ value: 1 }, { value: 3 }, undefined])
  t.ok(both.has('a') && both.has('b') && !both.has('c'))
  t.end()
})

t.test('synced once all are; numbers grow with either', (t) => {
  const { first, second, both } = make()
  first.markSynced()
  t.notOk(both.synced)
  second.markSynced()
  t.ok(both.synced)
  const before = both.number
  second.put('b', { value: 1 })
  t.ok(both.number > before)
  t.end()
})

t.test('a receiver is told what changes for it, and nothing else', (t) => {
  const { first, second, cursor } = make()
  first.markSynced()
  second.markSynced()
  second.put('a', { value: 2 })
  t.same([...cursor.take()!.put], [['a', { value: 2 }]])
  cursor.landed([])
  first.put('a', { value: 1 })
  let delta = cursor.take()!
  t.same([[...delta.put], [...delta.was]], [[['a', { value: 1 }]], [['a', { value: 2 }]]])
  cursor.landed([])
  second.put('a', { value: 3 })
  t.equal(cursor.take(), null, 'hidden')
  first.drop('a')
  delta = cursor.take()!
  t.same([[...delta.put], [...delta.drop]], [[['a', { value: 3 }]], []])
  cursor.landed([])
  first.put('a', { value: 3 })
  t.equal(cursor.take(), null, 'the same row')
  second.drop('a')
  first.drop('a')
  delta = cursor.take()!
  t.same([[...delta.put], [...delta.drop]], [[], ['a']])
  t.end()
})

t.test('only tables of core can be united', (t) => {
  t.throws(() => union('x', [{ name: 'odd' } as never]), /odd is not a table of core/)
  t.end()
})
