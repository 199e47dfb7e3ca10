import fc from 'fast-check'
import t from 'tap'
import { Cursor } from '../../src/core/cursor.ts'
import type { Delta, Key } from '../../src/core/delta.ts'
import { derive, type Derivation, type Derived } from '../../src/core/derive.ts'
import { Graph } from '../../src/core/graph.ts'
import { same } from '../../src/core/same.ts'
import { asTable, type Readable } from '../../src/core/table.ts'
import { union } from '../../src/core/union.ts'
import { act, first, full, inputs, ordered, second, step, third, type Inputs } from './core-model.ts'

const RUNS = { numRuns: 1000 }

t.test('incremental equals full, for any history', async (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), fc.nat(60), (steps, syncedAt) => {
      const graph = new Graph()
      const world = inputs()
      const one = derive(graph, first(world))
      const two = derive(graph, second(world, one))
      const three = derive(graph, third(world, one, two))
      steps.forEach((move, at) => {
        if (at === syncedAt) sync(world)
        act(world, move)
        if (move.kind !== 'settle') return
        graph.settle()
        if (one.synced) checkAll(world, one, two, three)
      })
      sync(world)
      graph.settle()
      checkAll(world, one, two, three)
    }),
    RUNS,
  )
  t.pass()
})

t.test('a diamond runs once a settle', async (t) => {
  const graph = new Graph()
  const world = inputs()
  const one = derive(graph, first(world))
  const two = derive(graph, second(world, one))
  const runs: Key[] = []
  const spec = third(world, one, two)
  derive(graph, { ...spec, rows: (key, row, read) => (runs.push(key), spec.rows(key, row, read)) })
  sync(world)
  world.more.put('a', { tags: [], size: 1 })
  world.things.put('a', { ref: 'a', tag: 'x', mode: 'get' })
  graph.settle()
  t.same(runs, ['a'])
  world.things.put('a', { ref: 'a', tag: 'y', mode: 'get' })
  world.more.put('a', { tags: ['x'], size: 1 })
  graph.settle()
  t.same(runs, ['a', 'a'])
})

t.test('recorded reads: a change runs exactly the driver keys that read it', async (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      const graph = new Graph()
      const world = inputs()
      const touched = watch(world)
      const reads = new Map<Key, Set<string>>()
      const ran: Key[] = []
      derive(graph, recording(first(world), reads, ran))
      sync(world)
      graph.settle()
      for (const move of [...steps, { kind: 'settle' } as const]) {
        act(world, move)
        if (move.kind !== 'settle') continue
        const due = new Set<Key>()
        for (const [key, read] of reads) if (!read.isDisjointFrom(touched)) due.add(key)
        for (const key of ['a', 'b', 'c', 'd', 'e']) {
          if (touched.has(`things get ${key}`) && world.things.has(key)) due.add(key)
          if (!world.things.has(key)) due.delete(key)
        }
        ran.length = 0
        graph.settle()
        check([...ran].sort(), [...due].sort())
        for (const key of reads.keys()) if (!world.things.has(key)) reads.delete(key)
        touched.clear()
      }
    }),
    RUNS,
  )
  t.pass()
})

t.test('a union is its tables, the first before the others, and tells each change once', async (t) => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      const graph = new Graph()
      const world = inputs()
      const one = derive(graph, first(world))
      const three = derive(graph, third(world, one, derive(graph, second(world, one))))
      const keyed = { rows: (key: Key) => [[`own ${key}`, 'kept'] as const] }
      const four = derive<string, unknown>(graph, { name: 'four', driver: world.parts, inputs: [], ...keyed })
      const both = union('both', [one, three, four])
      const told = new Map<Key, string>()
      asTable(both).watch({
        changed(key, was, now) {
          check(told.get(key), was)
          if (was === now) throw new Error(`${key} did not change`)
          if (now === undefined) told.delete(key)
          else told.set(key, now)
        },
      })
      sync(world)
      for (const move of [...steps, { kind: 'settle' } as const]) {
        act(world, move)
        if (move.kind !== 'settle') continue
        graph.settle()
        const wanted = ordered(new Map([...four.entries(), ...three.entries(), ...one.entries()]))
        check(ordered(both.entries()), wanted)
        check(ordered(told), wanted)
        check([both.size, both.number], [wanted.length, one.number + three.number + four.number])
        for (const [key, row] of wanted) check([both.get(key), both.has(key)], [row, true])
      }
    }),
    { numRuns: 300 },
  )
  t.pass()
})

t.test('a cursor gives what its receiver lacks, and nothing else', async (t) => {
  const outcome = fc.constantFrom('land' as const, 'land', 'land', 'lose', 'recover')
  const turn = fc.tuple(step, fc.option(fc.tuple(outcome, fc.array(step, { maxLength: 4 }), fc.nat(7))))
  fc.assert(
    fc.property(fc.array(turn, { maxLength: 60, size: 'max' }), (turns) => {
      const graph = new Graph()
      const world = inputs()
      const one = derive(graph, first(world))
      sync(world)
      graph.settle()
      const cursor = new Cursor(asTable(one), graph.epoch)
      let held = new Map<Key, string>()
      let refused = new Map<Key, string>()
      const deliver = (outcome: string, meanwhile: readonly Parameters<typeof act>[1][], poison: number) => {
        if (!cursor.due) return
        const before = new Map(one.entries())
        const delta = cursor.take()
        for (const key of [...refused.keys()]) if (!before.has(key)) refused.delete(key)
        if (delta === null) return
        for (const move of meanwhile) act(world, move)
        graph.settle()
        if (delta.from !== 0) checkDelta(delta, held, before, refused)
        const next = receive(delta, held)
        for (const key of delta.put.keys()) refused.delete(key)
        if (delta.from === 0) refused = new Map()
        check(
          ordered(next),
          ordered(before).filter(([key]) => !refused.has(key)),
        )
        if (outcome === 'lose') return cursor.lost()
        if (outcome === 'recover') cursor.recover()
        if (outcome === 'recover') check(cursor.pending, one.size)
        const bad = [...delta.put].filter(([, row]) => row.length % 8 === poison)
        for (const [key, row] of bad) refused.set(key, row)
        for (const [key] of bad) next.delete(key)
        held = next
        cursor.landed(bad.map(([key]) => ({ key, reason: 'bad', remedy: 'none' })))
        if (outcome === 'recover') check(cursor.pending, one.size)
      }
      for (const [move, delivery] of turns) {
        act(world, move)
        graph.settle()
        if (delivery) deliver(...delivery)
      }
      deliver('land', [], -1)
      check(cursor.due, false)
      const final = new Map(one.entries())
      for (const key of cursor.refused.keys()) final.delete(key)
      check(ordered(held), ordered(final))
      check([...cursor.refused.keys()].sort(), [...refused.keys()].sort())
    }),
    RUNS,
  )
  t.pass()
})

function receive(delta: Delta<string>, held: ReadonlyMap<Key, string>): Map<Key, string> {
  if (delta.from === 0) return new Map(delta.put)
  const next = new Map(held)
  for (const key of delta.drop) next.delete(key)
  for (const [key, row] of delta.put) next.set(key, row)
  return next
}

/** Each key of an incremental delta is a real difference, and `was` is what the receiver holds. */
function checkDelta(
  delta: Delta<string>,
  held: ReadonlyMap<Key, string>,
  table: ReadonlyMap<Key, string>,
  refused: ReadonlyMap<Key, string>,
): void {
  for (const [key, row] of delta.put) {
    check(row, table.get(key))
    if (held.get(key) === row || refused.get(key) === row) throw new Error(`${key} is held, or was refused, as it is`)
  }
  for (const key of delta.drop) if (!held.has(key) || table.has(key)) throw new Error(`drop of ${key}`)
  for (const key of [...delta.put.keys(), ...delta.drop]) check(delta.was.get(key), held.get(key))
  for (const key of delta.was.keys()) if (!delta.put.has(key) && !delta.drop.has(key)) throw new Error(`was of ${key}`)
}

function checkAll(world: Inputs, one: Derived<string>, two: Derived<number>, three: Derived<string>): void {
  checkOne(one, first(world))
  checkOne(two, second(world, one))
  checkOne(three, third(world, one, two))
}

function checkOne<Out, In>(derived: Derived<Out>, spec: Derivation<Out, In>): void {
  const wanted = full(spec)
  check(ordered(derived.entries()), ordered(wanted.rows))
  check(derived.size, wanted.rows.size)
  check(ordered([...derived.faults].map(([key, error]) => [key, error.message] as const)), ordered(wanted.faults))
  for (const [key, row] of wanted.rows) check(derived.get(key), row)
  for (const [index, values] of Object.entries(spec.indexes ?? {}))
    for (const value of ['long', 'short', '0', '1']) {
      const keys = ordered(wanted.rows).filter(([key, row]) => [...values(row, key)].includes(value))
      check(
        [...derived.keysBy(index, value)].sort(),
        keys.map(([key]) => key),
      )
    }
}

/** Notes, beside running it, what the derivation reads: `table kind [index] name`. */
function recording<Out, In>(spec: Derivation<Out, In>, reads: Map<Key, Set<string>>, ran: Key[]): Derivation<Out, In> {
  return {
    ...spec,
    *rows(key, row, read) {
      const noted = new Set<string>()
      reads.set(key, noted)
      ran.push(key)
      yield* spec.rows(key, row, {
        get: (table, name) => (noted.add(`${table.name} get ${name}`), read.get(table, name)),
        by: (table, index, value) => (noted.add(`${table.name} by ${index} ${value}`), read.by(table, index, value)),
        keysBy: (table, index, value) => (
          noted.add(`${table.name} keysBy ${index} ${value}`),
          read.keysBy(table, index, value)
        ),
        // What it depends on is the same: who comes and who goes.
        countBy: (table, index, value) => (
          noted.add(`${table.name} keysBy ${index} ${value}`),
          read.countBy(table, index, value)
        ),
      })
    },
  }
}

/** What changes touch, told by the rows alone. */
function watch(world: Inputs): Set<string> {
  const touched = new Set<string>()
  const tagsOf = (row: any): string[] => (row === undefined ? [] : (row.tags ?? [row.tag]))
  for (const table of Object.values(world)) {
    table.watch({
      changed(key: Key, was: unknown, now: unknown) {
        touched.add(`${table.name} get ${key}`)
        const [before, after] = [tagsOf(was), tagsOf(now)]
        for (const tag of [...before, ...after]) {
          touched.add(`${table.name} by tag ${tag}`)
          if (before.includes(tag) !== after.includes(tag)) touched.add(`${table.name} keysBy tag ${tag}`)
        }
      },
    })
  }
  return touched
}

function sync(world: Inputs): void {
  for (const table of Object.values(world) as (Readable<unknown> & { markSynced(): void })[]) table.markSynced()
}

function check(found: unknown, wanted: unknown): void {
  if (!same(found, wanted)) throw new Error(`found ${JSON.stringify(found)}, wanted ${JSON.stringify(wanted)}`)
}
