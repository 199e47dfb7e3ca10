import t from 'tap'
import { derive } from '../../src/core/derive.ts'
import { Graph } from '../../src/core/graph.ts'
import { same } from '../../src/core/same.ts'
import { asTable, InputTable } from '../../src/core/table.ts'

const ordered = <T>(rows: Iterable<[string, T]>) => [...rows].sort((a, b) => (a[0] < b[0] ? -1 : 1))

t.test('same: structural, for rows', async (t) => {
  const equal: [unknown, unknown][] = [
    [1, 1],
    [NaN, NaN],
    [null, null],
    [{ a: [1, { b: 'x' }] }, { a: [1, { b: 'x' }] }],
    [
      { a: 1, b: 2 },
      { b: 2, a: 1 },
    ],
    [{ a: undefined }, { a: undefined }],
    [new Map([['k', [1]]]), new Map([['k', [1]]])],
    [new Set(['a', 'b']), new Set(['b', 'a'])],
    [[], []],
  ]
  const different: [unknown, unknown][] = [
    [1, '1'],
    [0, null],
    [undefined, null],
    [{}, null],
    [{}, []],
    [[], {}],
    [[1], [1, 2]],
    [[1, 2], [1]],
    [{ a: 1 }, { a: 2 }],
    [{ a: 1 }, { a: 1, b: 1 }],
    [{ a: 1, b: 1 }, { a: 1 }],
    [{ a: undefined }, { b: undefined }],
    [{ a: undefined }, {}],
    [new Map([['k', 1]]), new Map([['k', 2]])],
    [new Map([['k', undefined]]), new Map([['l', undefined]])],
    [new Map([['k', 1]]), new Map()],
    [new Set(['a']), new Set(['b'])],
    [new Set(['a']), new Set(['a', 'b'])],
    [new Map(), new Set()],
    [new Date(0), new Date(0)],
  ]
  for (const [a, b] of equal) t.equal(same(a, b), true, `${JSON.stringify(a)} = ${JSON.stringify(b)}`)
  for (const [a, b] of different) t.equal(same(a, b), false, `${JSON.stringify(a)} /= ${JSON.stringify(b)}`)
})

t.test('an input table commits real changes only, each under its own number', async (t) => {
  const table = new InputTable<{ n: number }>('numbers')
  const changes: unknown[] = []
  table.watch({ changed: (key, was, now) => changes.push([key, was?.n, now?.n]) })
  t.equal(table.number, 0)
  table.put('a', { n: 1 })
  table.put('a', { n: 1 })
  t.equal(table.number, 1)
  table.drop('never there')
  t.equal(table.number, 1)
  table.replace([
    ['a', { n: 1 }],
    ['b', { n: 2 }],
  ])
  t.equal(table.number, 2)
  table.replace(new Map([['b', { n: 2 }]]))
  t.equal(table.number, 3)
  table.replace([['b', { n: 2 }]])
  t.equal(table.number, 3)
  t.same(changes, [
    ['a', undefined, 1],
    ['b', undefined, 2],
    ['a', 1, undefined],
  ])
  t.equal(table.synced, false)
  table.markSynced()
  table.markSynced()
  t.equal(table.synced, true)
  t.equal(table.number, 4)
  t.throws(() => table.put('c', undefined as never), /no row for c/)
})

t.test('an index holds a key once, and forgets', async (t) => {
  const table = new InputTable<string[]>('words', { indexes: { word: (row) => row } })
  const keys = (word: string) => [...table.keysBy('word', word)].sort()
  table.put('a', ['x', 'x', 'y'])
  table.put('b', ['x'])
  table.put('c', ['x'])
  t.same(keys('x'), ['a', 'b', 'c'])
  table.put('a', ['y'])
  table.drop('b')
  t.same(keys('x'), ['c'])
  t.same(keys('y'), ['a'])
  table.drop('c')
  table.put('a', [])
  t.same(keys('x'), [])
  t.same(keys('y'), [])
  const many = Array.from({ length: 100 }, (_, i) => `w${i}`)
  table.put('d', many)
  table.put('d', [...many.slice(50), 'new'])
  t.same([keys('w0'), keys('w49'), keys('w50'), keys('new')], [[], [], ['d'], ['d']])
  t.throws(() => table.keysBy('letter', 'x'), /words has no index letter/)
})

t.test('an index function that throws leaves the table as it was', async (t) => {
  const poison = (row: number) => {
    if (row === 13) throw new Error('thirteen')
    return [String(row)]
  }
  const table = new InputTable<number>('numbers', { indexes: { row: poison } })
  table.put('a', 1)
  t.throws(() => table.put('a', 13), /thirteen/)
  t.equal(table.get('a'), 1)
  t.same([...table.keysBy('row', '1')], ['a'])
  const graph = new Graph()
  graph.input(table)
  graph.settle()
  let dirty = 0
  graph.onDirty(() => dirty++)
  t.throws(() => table.replace([['b', 2], ['c', 13]]), /thirteen/) // prettier-ignore
  t.same([[...table.entries()], dirty, table.number], [[['b', 2]], 1, 2], 'what a failed list did is told')
  table.replace([['a', 1]])

  const derived = derive<number, number>(graph, {
    name: 'derived',
    driver: new InputTable<number>('driver'),
    inputs: [table],
    rows: () => [],
  })
  t.equal(derived.size, 0)
  const doubled = derive<number, number>(graph, {
    name: 'doubled',
    driver: table,
    inputs: [],
    indexes: { row: poison },
    *rows(key, row) {
      yield [`${key} first`, 1]
      yield ['shared', row + 10]
      yield [key, row + 10]
    },
  })
  table.markSynced()
  table.put('b', 2)
  graph.settle()
  t.same(ordered(doubled.entries()), [
    ['a', 11],
    ['a first', 1],
    ['b', 12],
    ['b first', 1],
    ['shared', 11],
  ])
  table.put('a', 3)
  graph.settle()
  t.match(doubled.faults.get('a'), /thirteen/)
  t.same(ordered(doubled.entries()), [
    ['b', 12],
    ['b first', 1],
    ['shared', 12],
  ])
  table.drop('a')
  graph.settle()
  table.put('a', 3)
  graph.settle()
  t.same([...doubled.faults.keys()], ['a'], 'a row that would depose another')
  t.equal(doubled.get('shared'), 12)
  table.put('a', 1)
  graph.settle()
  table.put('b', 3)
  graph.settle()
  t.same([...doubled.faults.keys()], ['b'], 'a row that would wait')
  t.same(ordered(doubled.entries()), [
    ['a', 11],
    ['a first', 1],
    ['shared', 11],
  ])
})

t.test('a row that waits and cannot be indexed is the fault of its own driver key', async (t) => {
  const graph = new Graph()
  const driver = new InputTable<number>('driver')
  const derived = derive<number, number>(graph, {
    name: 'derived',
    driver,
    inputs: [],
    indexes: {
      row(row) {
        if (row === 13) throw new Error('thirteen')
        return [String(row)]
      },
    },
    rows: (_, row) => [['shared', row]],
  })
  driver.markSynced()
  driver.put('a', 1)
  driver.put('b', 13)
  graph.settle()
  t.same([[...derived.faults.keys()], derived.get('shared')], [['b'], 1])
  driver.drop('a')
  graph.settle()
  t.same([[...derived.faults.keys()], derived.size], [['b'], 0])
  driver.put('b', 2)
  driver.put('a', 13)
  graph.settle()
  t.same([[...derived.faults.keys()], derived.get('shared'), [...derived.keysBy('row', '2')]], [['a'], 2, ['shared']])
})

t.test('what a derivation may not do', async (t) => {
  const graph = new Graph()
  const driver = new InputTable<number>('driver')
  const other = new InputTable<number>('other')
  let leaked: (() => unknown) | null = null
  const tries: Record<string, (read: { get: (table: any, key: string) => unknown }) => unknown> = {
    undeclared: (read) => read.get(other, 'a'),
    write: () => driver.put('new', 1),
    sync: () => other.markSynced(),
    settle: () => graph.settle(),
    leak: (read) => (leaked = () => read.get(driver, 'a')),
  }
  const derived = derive<number, number>(graph, {
    name: 'derived',
    driver,
    inputs: [],
    *rows(key, row, read) {
      tries[key]!(read)
      yield [key, row]
    },
  })
  graph.input(other)
  for (const key of Object.keys(tries)) driver.put(key, 1)
  driver.markSynced()
  graph.settle()
  t.match(derived.faults.get('undeclared'), /derived reads other, which is not among its inputs/)
  for (const key of ['write', 'sync', 'settle']) t.match(derived.faults.get(key), /a derivation is running/, key)
  t.same([...derived.entries()], [['leak', 1]])
  t.throws(leaked!, /not recorded/)
  t.equal(driver.has('new'), false)
  t.equal(other.synced, false)
})

t.test('a fault goes with its cause, and no row is undefined', async (t) => {
  const graph = new Graph()
  const driver = new InputTable<unknown>('driver')
  const derived = derive<unknown, unknown>(graph, {
    name: 'derived',
    driver,
    inputs: [],
    *rows(key, row) {
      yield [`${key} before`, 1]
      if (row === 'bad') throw 'a string'
      yield [key, row]
    },
  })
  driver.markSynced()
  driver.put('a', 'bad')
  driver.put('b', null)
  graph.settle()
  t.equal(derived.faults.get('a')?.message, 'a string')
  t.same(
    [...derived.entries()],
    [
      ['b before', 1],
      ['b', null],
    ],
  )
  driver.put('a', { undefined })
  graph.settle()
  t.equal(derived.faults.size, 0)
  driver.put('a', 'bad')
  graph.settle()
  driver.drop('a')
  graph.settle()
  t.equal(derived.faults.size, 0)
  t.equal(derived.size, 2)
})

t.test('a derived table is empty until all it reads is synced, and its number starts there', async (t) => {
  const graph = new Graph()
  const driver = new InputTable<number>('driver')
  const other = new InputTable<number>('other')
  let runs = 0
  const spec = { inputs: [other], rows: (key: string, row: number) => (runs++, [[key, row] as const]) }
  const one = derive<number, number>(graph, { name: 'one', driver, ...spec })
  const two = derive<number, number>(graph, { name: 'two', driver: one, ...spec })
  driver.put('a', 1)
  driver.markSynced()
  graph.settle()
  driver.put('a', 2)
  graph.settle()
  t.same([one.synced, two.synced, one.size, one.number, runs], [false, false, 0, 0, 0])
  other.markSynced()
  t.equal(one.synced, false, 'not before it is computed')
  graph.settle()
  t.same([one.synced, two.synced, two.get('a'), one.number, two.number, runs], [true, true, 2, 1, 1, 2])
  graph.settle()
  t.same([one.number, runs], [1, 2])
  driver.put('a', 3)
  driver.put('a', 2)
  graph.settle()
  t.same([one.number, runs], [1, 3], 'no change, no number')
})

t.test('epochs differ, tables belong to one graph, look-alikes are refused', async (t) => {
  const [one, two] = [new Graph(), new Graph()]
  t.match(one.epoch, /^[0-9a-f]{16}$/)
  t.not(one.epoch, two.epoch)
  t.equal(new Graph({ epoch: 'mine' }).epoch, 'mine')
  const table = one.input(new InputTable('table'))
  t.throws(() => two.input(table), /an input of another graph/)
  t.throws(() => asTable({ ...table } as never), /not a table of core/)
})

t.test('a graph says once that it is dirty', async (t) => {
  const graph = new Graph()
  const table = graph.input(new InputTable<number>('table'))
  let said = 0
  graph.onDirty(() => said++)
  table.put('a', 1)
  table.put('b', 1)
  t.equal(said, 1)
  graph.settle()
  table.put('b', 1)
  t.equal(said, 1)
  table.drop('b')
  t.equal(said, 2)
})

t.test('a contested key goes to the smallest driver key, then to the next', async (t) => {
  const graph = new Graph()
  const driver = new InputTable<string>('driver')
  const derived = derive<string, string>(graph, {
    name: 'derived',
    driver,
    inputs: [],
    *rows(key, row) {
      yield [row, key]
    },
  })
  driver.markSynced()
  for (const key of ['d', 'c', 'e', 'a', 'b']) driver.put(key, 'one')
  graph.settle()
  const seen: unknown[] = []
  for (const key of ['a', 'b', 'c', 'd', 'e']) {
    seen.push(derived.get('one'), derived.costs.contested)
    driver.drop(key)
    graph.settle()
  }
  t.same(seen, ['a', 1, 'b', 1, 'c', 1, 'd', 1, 'e', 0])
  t.same([derived.size, derived.costs.drivers], [0, 0])
})

t.test('reads are remembered once each, and only as long as they matter', async (t) => {
  const graph = new Graph()
  const driver = new InputTable<string[]>('driver')
  const other = new InputTable<number>('other')
  const derived = derive<number, string[]>(graph, {
    name: 'derived',
    driver,
    inputs: [other],
    *rows(_, names, read) {
      for (const name of names) read.get(other, name)
    },
  })
  const costs = () => [derived.costs.drivers, derived.costs.edges, derived.costs.cells]
  for (const table of [driver, other]) table.markSynced()
  driver.put('a', ['x', 'y', 'x'])
  driver.put('b', ['x'])
  graph.settle()
  t.same(costs(), [2, 3, 2])
  for (let round = 0; round < 100; round++) {
    driver.put('a', [`x${round}`, 'y'])
    driver.put(`c${round}`, ['x'])
    driver.drop(`c${round - 1}`)
    graph.settle()
    t.same(costs(), [3, 4, 3])
  }
  driver.replace([])
  graph.settle()
  t.same(costs(), [0, 0, 0])
})

t.test('a bug that stops a settle loses no other key', async (t) => {
  const graph = new Graph()
  const driver = new InputTable<number>('driver')
  const derived = derive<number, number>(graph, {
    name: 'derived',
    driver,
    inputs: [],
    rows: (key, row) => [[key, row]],
  })
  asTable(derived).watch({
    changed(key) {
      if (key === 'b') throw new Error('a bug in a listener')
    },
  })
  driver.markSynced()
  for (const key of ['a', 'b', 'c']) driver.put(key, 1)
  t.throws(() => graph.settle(), /a bug in a listener/)
  graph.settle()
  t.same([derived.get('a'), derived.get('c')], [1, 1])
})
