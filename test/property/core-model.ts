/** A small world of tables and derivations, histories of it, and what its derived tables must be: computed the plain way. */
import fc from 'fast-check'
import type { Derivation, Read } from '../../src/core/derive.ts'
import type { Key } from '../../src/core/delta.ts'
import { InputTable, type Readable } from '../../src/core/table.ts'

export interface Thing {
  /** A key of `parts` to read. */
  readonly ref: Key
  /** A value of the index `tag` to look up. */
  readonly tag: string
  readonly mode: 'get' | 'by' | 'keysBy' | 'countBy' | 'throw early' | 'throw late' | 'twice'
}

export interface Part {
  readonly tags: readonly string[]
  readonly size: number
}

export const KEYS = ['a', 'b', 'c', 'd', 'e']
export const TAGS = ['x', 'y', 'z']

export function inputs() {
  const tag = (row: Part) => row.tags
  return {
    things: new InputTable<Thing>('things', { indexes: { tag: (row) => [row.tag] } }),
    parts: new InputTable<Part>('parts', { indexes: { tag } }),
    more: new InputTable<Part>('more', { indexes: { tag } }),
  }
}
export type Inputs = ReturnType<typeof inputs>

/** Contested keys, reads of every kind, also of what is absent, and throws before and after them. */
export function first(world: Inputs): Derivation<string, Thing> {
  return {
    name: 'first',
    driver: world.things,
    inputs: [world.parts, world.more],
    indexes: { size: (row) => [row.length > 3 ? 'long' : 'short'] },
    *rows(key, thing, read) {
      if (thing.mode === 'throw early') throw new Error(`early ${key}`)
      yield [`own ${key}`, thing.tag]
      if (thing.mode === 'get') yield [`ref ${thing.ref}`, `${key}: ${read.get(world.parts, thing.ref)?.size}`]
      if (thing.mode === 'by')
        for (const [part, row] of read.by(world.parts, 'tag', thing.tag)) yield [`part ${part}`, `${key}: ${row.size}`]
      if (thing.mode === 'keysBy') yield ['one', `${key}: ${read.keysBy(world.more, 'tag', thing.tag).join()}`]
      if (thing.mode === 'countBy') yield ['count', `${key}: ${read.countBy(world.more, 'tag', thing.tag)}`]
      if (thing.mode === 'twice') yield* [['two', key] as const, ['two', 'never'] as const]
      const late = thing.mode === 'throw late' ? read.get(world.more, thing.ref) : undefined
      if (late !== undefined && late.size > 1) throw new Error(`late ${key}`)
    },
  }
}

/** Driven by a derived table; reads its own driver, too. */
export function second(world: Inputs, one: Readable<string>): Derivation<number, string> {
  return {
    name: 'second',
    driver: one,
    inputs: [one, world.more],
    indexes: { parity: (row) => [String(row % 2)] },
    *rows(key, row, read) {
      yield [key.slice(0, 5), row.length + read.keysBy(one, 'size', 'long').length]
      if (read.get(world.more, key.at(-1)!) !== undefined) yield [`more ${key}`, 1]
    },
  }
}

/** The foot of a diamond: reads both. */
export function third(world: Inputs, one: Readable<string>, two: Readable<number>): Derivation<string, Part> {
  return {
    name: 'third',
    driver: world.more,
    inputs: [one, two],
    *rows(key, part, read) {
      if (part.size === 2 && read.by(two, 'parity', '1').length > 2) throw new Error(`odd ${key}`)
      yield [`${part.size}`, read.by(one, 'size', 'short').map(String).join() + read.get(two, 'own a')]
      yield [
        key,
        read
          .by(two, 'parity', '0')
          .map(([name, n]) => name + n)
          .join(),
      ]
    },
  }
}

export interface Full<Row> {
  readonly rows: Map<Key, Row>
  readonly faults: Map<Key, string>
}

/** The definition: every driver key in order, from the rows as they are; the first to yield a key has it. */
export function full<Out, In>(spec: Derivation<Out, In>): Full<Out> {
  const result: Full<Out> = { rows: new Map(), faults: new Map() }
  for (const [key, row] of ordered(spec.driver.entries())) {
    try {
      for (const [output, value] of [...spec.rows(key, row, plainly)])
        if (!result.rows.has(output)) result.rows.set(output, value)
    } catch (error) {
      result.faults.set(key, (error as Error).message)
    }
  }
  return result
}

const plainly: Read = {
  get: (table, key) => table.get(key),
  by: (table, index, value) => [...table.keysBy(index, value)].sort().map((key) => [key, table.get(key)!] as const),
  keysBy: (table, index, value) => [...table.keysBy(index, value)].sort(),
  countBy: (table, index, value) => [...table.keysBy(index, value)].length,
}

export function ordered<Row>(rows: Iterable<readonly [Key, Row]>): [Key, Row][] {
  return [...rows].map(([key, row]) => [key, row] as [Key, Row]).sort((a, b) => (a[0] < b[0] ? -1 : 1))
}

export type Step =
  | { readonly kind: 'put'; readonly table: keyof Inputs; readonly key: Key; readonly row: Thing | Part }
  | { readonly kind: 'drop'; readonly table: keyof Inputs; readonly key: Key }
  | { readonly kind: 'replace'; readonly table: keyof Inputs; readonly rows: readonly (readonly [Key, Thing | Part])[] }
  | { readonly kind: 'settle' }

const key = fc.constantFrom(...KEYS)
const tag = fc.constantFrom(...TAGS)
const thing: fc.Arbitrary<Thing> = fc.record({
  ref: key,
  tag,
  mode: fc.constantFrom('get', 'by', 'keysBy', 'countBy', 'throw early', 'throw late', 'twice'),
})
const part: fc.Arbitrary<Part> = fc.record({ tags: fc.array(tag, { maxLength: 3 }), size: fc.nat(3) })
const onThings = { table: fc.constant('things' as const), key, row: thing }
const onParts = { table: fc.constantFrom('parts' as const, 'more' as const), key, row: part }

export const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('put' as const), ...onThings }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('put' as const), ...onParts }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('drop' as const),
      table: fc.constantFrom('things' as const, 'parts' as const, 'more' as const),
      key,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('replace' as const),
      table: onThings.table,
      rows: fc.array(fc.tuple(key, thing), { maxLength: 5 }),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('replace' as const),
      table: onParts.table,
      rows: fc.array(fc.tuple(key, part), { maxLength: 5 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('settle' as const) }) },
)

/** Carries out a step on the inputs (`settle` is the caller's). */
export function act(world: Inputs, move: Step): void {
  if (move.kind === 'settle') return
  const table = world[move.table] as InputTable<Thing | Part>
  if (move.kind === 'put') table.put(move.key, move.row)
  else if (move.kind === 'drop') table.drop(move.key)
  else table.replace(move.rows)
}
