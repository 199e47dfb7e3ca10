import fc from 'fast-check'
import t from 'tap'
import { Items } from '../../src/cluster/source/kube/items.ts'
import { Lines } from '../../src/core/lines.ts'

t.test('items come out whole, however the bytes are cut and the list is written', async (t) => {
  const list = fc.record({
    metadata: fc.record({ resourceVersion: fc.string(), continue: fc.string() }),
    items: fc.array(fc.dictionary(fc.string(), fc.jsonValue())),
    also: fc.jsonValue().map((value) => ({ items: value })),
  })
  const space = fc.constantFrom(undefined, 1, '\t')
  fc.assert(
    fc.property(list, space, fc.boolean(), fc.array(fc.nat(200)), (list, space, itemsFirst, cuts) => {
      const { items, ...rest } = list
      const text = JSON.stringify(itemsFirst ? { items, ...rest } : { ...rest, items }, null, space)
      const { found, envelope } = split(Buffer.from(text), cuts)
      // What was written may differ from what was generated (-0): JSON is the measure.
      t.same(found, JSON.parse(JSON.stringify(items)))
      t.same(Object.keys(envelope).sort(), ['also', 'items', 'metadata'])
    }),
    { numRuns: 500 },
  )
})

t.test('each single cut of a list as an API server writes it', async (t) => {
  const text =
    '{"kind":"ServiceList","metadata":{"resourceVersion":"12","continue":"e\\"["},' +
    '"items":[{"metadata":{"name":"ä€🙂","managedFields":[{"f:\\"]}":{}}]}},{"spec":{"ports":[]}}]}\n'
  const bytes = Buffer.from(text)
  for (let at = 0; at <= bytes.length; at++) {
    for (const cuts of [[at], [at, 1, 1], [at, 0, 2]]) {
      const { found, envelope } = split(bytes, cuts)
      t.same(found, JSON.parse(text).items, { diagnostic: false })
      t.equal(envelope['metadata'].resourceVersion, '12')
      t.equal(envelope['metadata'].continue, 'e"[')
    }
  }
})

t.test('empty lists, null items, and a key that only ends like items', async (t) => {
  t.same(split(Buffer.from('{"metadata":{},"items":[]}'), []), { found: [], envelope: { metadata: {}, items: [] } })
  t.same(split(Buffer.from('{"items":null}'), []), { found: [], envelope: { items: null } })
  t.same(split(Buffer.from('{"x\\"items":[{}],"y":["items",[{}]]}'), []).found, [])
})

t.test('what is cut short, too long or no list is an error', async (t) => {
  for (const text of ['', '{', '{"items":[', '{"items":[{}', '{"items":[{}]', '{"items":[{"a":"']) {
    t.throws(() => split(Buffer.from(text), []), SyntaxError, JSON.stringify(text))
  }
  t.throws(() => split(Buffer.from('{"items":[1]}'), []), SyntaxError)
  t.throws(() => split(Buffer.from('{"items":["a"]}'), []), SyntaxError)
  t.throws(() => split(Buffer.from('3'), []), SyntaxError)
  const items = new Items(10)
  const part = Buffer.from('{"items":[{"a":"bbbbbbbb')
  t.throws(() => items.push(part, () => {}), RangeError)
})

t.test('lines come out whole, however the bytes are cut', async (t) => {
  const line = fc.string({ unit: 'grapheme', minLength: 1 }).filter((text) => !text.includes('\n'))
  fc.assert(
    fc.property(fc.array(line), fc.array(fc.nat(20)), (wanted, cuts) => {
      const found: string[] = []
      const lines = new Lines(1000)
      for (const chunk of chunks(Buffer.from(wanted.map((text) => `${text}\n`).join('')), cuts)) {
        lines.push(chunk, (text) => found.push(text))
      }
      t.same(found, wanted)
      t.equal(lines.pendingBytes, 0)
    }),
  )
  t.throws(() => new Lines(3).push(Buffer.from('abcd'), () => {}), RangeError)
})

function split(bytes: Buffer, cuts: readonly number[]): { found: unknown[]; envelope: Record<string, any> } {
  const found: unknown[] = []
  const items = new Items(1_000_000)
  for (const chunk of chunks(bytes, cuts)) items.push(chunk, (json) => found.push(JSON.parse(json)))
  return { found, envelope: items.end() }
}

/** The bytes in pieces of the given lengths, the rest in one. */
function* chunks(bytes: Buffer, cuts: readonly number[]): Iterable<Buffer> {
  let from = 0
  for (const length of cuts) yield bytes.subarray(from, (from = Math.min(bytes.length, from + length)))
  yield bytes.subarray(from)
}
