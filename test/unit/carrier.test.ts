import fc from 'fast-check'
import t, { type Test } from 'tap'
import { Connection, type ConnectionEvent } from '../../src/carrier/connection.ts'
import { COMMIT, deltaLines, KEY_MAX_BYTES, LINE_MAX_BYTES } from '../../src/carrier/lines.ts'
import { readMessage } from '../../src/carrier/message.ts'
import { CarrierTarget } from '../../src/carrier/target.ts'
import { PROTOCOL } from '../../src/carrier/wire.ts'
import { CarrierNews } from '../../src/cli/carrier-news.ts'
import type { Delta, Refused } from '../../src/core/delta.ts'
import { Graph } from '../../src/core/graph.ts'
import { Runner } from '../../src/core/runner.ts'
import { InputTable } from '../../src/core/table.ts'
import { createLog } from '../../src/status/log.ts'
import { FakeCarrier, until } from './carrier-world.ts'

interface Row {
  readonly word: string
}

const never = new AbortController().signal

function delta(from: number, to: number, put: Record<string, Row>, drop: string[] = [], was = {}): Delta<Row> {
  const rows = new Map(Object.entries(put))
  return { from, to: { epoch: 'e', number: to }, put: rows, drop: new Set(drop), was: new Map(Object.entries(was)) }
}

/** Of version 1. */
const helloOf = (said: object): string => JSON.stringify({ hello: { version: '1', ...said } })

function targetOf(carrier: Connection, table: string, onLost?: (why: string) => void): CarrierTarget<Row> {
  return new CarrierTarget(table, carrier, onLost)
}

/** A carrier, a connection to it, and why it was lost. */
async function world(t: Test): Promise<{ fake: FakeCarrier; carrier: Connection; said: string[] }> {
  const fake = await new FakeCarrier().listen()
  const ending = new AbortController()
  const said: string[] = []
  const onEvent = (event: ConnectionEvent): void => void (event.kind === 'disconnected' && said.push(event.reason))
  const carrier = new Connection({ path: fake.path, onEvent, backoff: { firstMs: 1, maxMs: 5 } })
  const running = carrier.run(ending.signal)
  t.teardown(async () => {
    ending.abort()
    await running
    await fake.end()
    if (fake.problem !== null) throw new Error(fake.problem)
  })
  return { fake, carrier, said }
}

/** Ends when there is a new connection: what an old one had said may still have been on its way. */
async function reconnect(fake: FakeCarrier, carrier: Connection): Promise<void> {
  await fake.stop()
  const before = fake.connections
  await fake.listen()
  await until('it is connected again', () => fake.connections > before && carrier.connected)
}

t.test('a delta is lines that say it, none of them too long', async (t) => {
  const text = fc.string({ unit: 'grapheme', maxLength: 30 })
  const rows = fc.dictionary(text, fc.record({ word: text }), { maxKeys: 50 })
  fc.assert(
    fc.property(rows, fc.array(text), fc.boolean(), (put, drop, long) => {
      const all: Record<string, Row> = long ? { ...put, long: { word: 'ä'.repeat(200_000) } } : put
      const found = { put: new Map<string, unknown>(), drop: new Set<string>() }
      const [begin, ...lines] = deltaLines('words', delta(1, 2, all, drop), () => t.fail('refused'))
      t.strictSame(JSON.parse(begin!), { begin: { table: 'words', epoch: 'e', from: 1, to: 2 } })
      for (const line of lines) {
        t.ok(Buffer.byteLength(line) <= LINE_MAX_BYTES && !line.includes('\n'))
        const message = JSON.parse(line) as { put?: [string, unknown][]; drop?: string[] }
        for (const [key, row] of message.put ?? []) found.put.set(key, row)
        for (const key of message.drop ?? []) found.drop.add(key)
      }
      t.same([...found.put], Object.entries(all), { diagnostic: false })
      t.same([...found.drop], [...new Set(drop)])
    }),
    { numRuns: 50 },
  )
})

t.test('what is too large for a line is refused, and what was held under its key dropped', async (t) => {
  const refused: Refused[] = []
  const long = 'k'.repeat(KEY_MAX_BYTES + 1)
  const put = {
    big: { word: 'x'.repeat(LINE_MAX_BYTES) },
    new: { word: 'x'.repeat(LINE_MAX_BYTES) },
    [long]: { word: '' },
  }
  const lines = [
    ...deltaLines('words', delta(1, 2, { ...put, a: { word: '1' } }, ['b'], { big: { word: '' } }), (row) =>
      refused.push(row),
    ),
  ]
  t.strictSame(lines.slice(1), ['{"put":[["a",{"word":"1"}]]}', '{"drop":["b","big"]}'])
  t.strictSame(
    refused.map(({ key }) => key),
    ['big', 'new', long],
  )
  t.match(refused[0]!.reason, /takes \d+ octets/)
})

t.test('a carrier of another protocol: nothing is exchanged, and said is which is older, and what to do', async (t) => {
  const fake = await new FakeCarrier().listen()
  const logged: string[] = []
  const log = createLog({ level: 'info', format: 'text', write: (line) => void logged.push(line) })
  const news = new CarrierNews('Pod kube-system/dns-0', log)
  const carrier = new Connection({ path: fake.path, onEvent: news.hear, backoff: { firstMs: 1, maxMs: 5 } })
  const ending = new AbortController()
  const running = carrier.run(ending.signal)
  const target = targetOf(carrier, 'words')
  t.teardown(async () => {
    ending.abort()
    await running
    await fake.end()
  })
  const problem = () => [...news.problems.entries()].map(([, row]) => row)
  const others: [object, RegExp, RegExp][] = [
    [{ tables: {} }, /protocol 0, this controller \d+: the carrier is older/, /update the carrier;/],
    [{ protocol: PROTOCOL + 1, tables: 'else' }, /the controller is older/, /update the controller;/],
  ]
  for (const [said, why, remedy] of others) {
    fake.hello = () => `${helloOf(said)}\n`
    await fake.stop()
    const before = fake.connections
    await fake.listen()
    await until('it is told', () => why.test(problem()[0]?.problem ?? ''))
    await until('it is tried again', () => fake.connections > before + 2)
    t.match(problem(), [{ object: 'Pod kube-system/dns-0', problem: why, remedy }])
    t.notOk(carrier.connected)
    t.same(fake.lines, [], 'it is told nothing')
    const given = AbortSignal.timeout(1)
    await t.rejects(target.apply(delta(0, 1, {}), given), { message: why }, 'who wants to tell it hears why')
    t.equal(logged.filter((line) => why.test(line)).length, 1, 'one line')
  }
  fake.hello = null
  await until('they speak the same', () => carrier.connected)
  t.same(problem(), [])
  await target.apply(delta(0, 1, { a: { word: '1' } }), never)
  t.strictSame([...fake.tables.get('words')!.rows], [['a', { word: '1' }]])
})

t.test('what a carrier says is read strictly', async (t) => {
  const bad: [string, RegExp][] = [
    ['', /is no JSON/],
    ['[]', /is no object/],
    ['null', /is no object/],
    ['{}', /no message that is known/],
    ['{"toString":{}}', /no message that is known/],
    ['{"greeting":{}}', /no message that is known: greeting/],
    ['{"hello":{"version":"1","tables":{}},"failed":{}}', /no message that is known/],
    [helloOf({ protocol: PROTOCOL }), /says hello without/],
    [helloOf({ protocol: '1', tables: {} }), /says hello without/],
    [helloOf({ protocol: PROTOCOL, tables: { names: { epoch: 'e' } } }), /says hello without/],
    [helloOf({ protocol: PROTOCOL, tables: { names: { epoch: 'e', number: 1.5 } } }), /says hello without/],
    ['{"acknowledged":{"table":"names","number":1}}', /without what belongs to it/],
    ['{"refused":{"table":"t","epoch":"e","number":1,"rows":[{"key":"k"}]}}', /says refused without/],
    ['{"failed":{"table":"t"}}', /says failed without/],
    ['{"answer":{"value":1}}', /without what belongs to it/],
    ['{"error":{}}', /without what belongs to it/],
  ]
  for (const [line, problem] of bad) {
    const heard = readMessage(line)
    t.match('problem' in heard ? heard.problem : JSON.stringify(heard), problem, line)
  }
  const good =
    '{"refused":{"table":"t","epoch":"e","number":1,"rows":[{"key":"k","reason":"r","remedy":"m"}],"more":true}}'
  t.strictSame(readMessage(good), JSON.parse(good))
})

t.test('rows arrive; refused ones are told, over several lines too', async (t) => {
  const { fake, carrier } = await world(t)
  const target = targetOf(carrier, 'words')
  fake.refuses = (key, row) => ((row as Row).word === 'bad' ? { key, reason: 'r', remedy: 'm' } : null)
  t.strictSame(await target.apply(delta(0, 1, { a: { word: '1' }, b: { word: '2' } }), never), [])
  t.strictSame(carrier.held('words'), { epoch: 'e', number: 1 })
  const refused = await target.apply(
    delta(1, 2, { a: { word: 'bad' }, c: { word: 'bad' }, d: { word: '4' } }, ['b']),
    never,
  )
  t.strictSame(
    refused,
    ['a', 'c'].map((key) => ({ key, reason: 'r', remedy: 'm' })),
  )
  t.strictSame([...fake.tables.get('words')!.rows.keys()], ['d'])
  const first = { key: 'x', reason: 'r', remedy: 'm' }
  const refusal = { table: 'words', epoch: 'e', number: 3, rows: [first] }
  fake.answer = () => `${JSON.stringify({ refused: { ...refusal, more: true } })}\n`
  let settled = false
  const big = { word: 'x'.repeat(LINE_MAX_BYTES) }
  const applied = target.apply(delta(2, 3, { x: { word: '' }, y: { word: '' }, big }), never)
  void applied.then(() => (settled = true))
  await until(
    'the first line was said',
    () => fake.lines.at(-1) === COMMIT && fake.lines.filter((line) => line === COMMIT).length === 3,
  )
  await carrier.ask('stats', never)
  t.notOk(settled, 'another line follows')
  fake.say(`${JSON.stringify({ refused: { ...refusal, rows: [{ ...first, key: 'y' }] } })}\n`)
  t.strictSame(
    (await applied).map(({ key }) => key),
    ['big', 'x', 'y'],
  )
  fake.answer = () => null
  t.match(await target.audit(never), { clean: false })
  await target.cleanup()
  await target.cleanup()
  t.equal(fake.tables.get('words')!.rows.size, 0)
})

t.test('deltas of several tables take turns', async (t) => {
  const { fake, carrier } = await world(t)
  const rows = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`key${i}`, { word: 'x'.repeat(50) }]))
  await Promise.all(['a', 'b', 'c'].map((table) => targetOf(carrier, table).apply(delta(0, 1, rows), never)))
  for (const table of ['a', 'b', 'c']) t.equal(fake.tables.get(table)!.rows.size, 5000, table)
})

t.test('a delta that fails rejects, and the connection lives', async (t) => {
  const { fake, carrier } = await world(t)
  const target = targetOf(carrier, 'words')
  await target.apply(delta(0, 1, { a: { word: '1' } }), never)
  fake.tables.get('words')!.revision = { epoch: 'other', number: 9 }
  await t.rejects(
    target.apply(delta(1, 2, { a: { word: '2' } }), never),
    /could not take table words: 1 of e is not held/,
  )
  await target.apply(delta(0, 3, { a: { word: '3' } }), never)
  t.strictSame(fake.tables.get('words')!.rows, new Map([['a', { word: '3' }]]))
  fake.answer = (table) => `${JSON.stringify({ failed: { table, reason: 'no room' } })}\n`
  await t.rejects(target.apply(delta(3, 4, {}), never), /no room/)
  t.equal(fake.connections, 1)
})

t.test('what is bound to fail is not sent to its end', async (t) => {
  const { fake, carrier } = await world(t)
  const target = targetOf(carrier, 'words')
  await target.apply(delta(0, 1, { a: { word: '1' } }), never)
  fake.tables.get('words')!.revision = { epoch: 'other', number: 9 }
  const put = Object.fromEntries(Array.from({ length: 30_000 }, (_, i) => [`key${i}`, { word: 'x'.repeat(1000) }]))
  await t.rejects(target.apply(delta(1, 2, put), never), /1 of e is not held/)
  t.ok(fake.lines.length < 200, `${fake.lines.length} lines`)
  await target.apply(delta(0, 3, { a: { word: '3' } }), never)
  t.equal(fake.connections, 1)
})

t.test('an answer to another delta is no answer', async (t) => {
  const { fake, carrier } = await world(t)
  const target = targetOf(carrier, 'words')
  for (const other of [{ table: 'wards' }, { epoch: 'f' }, { number: 2 }]) {
    for (const said of ['acknowledged', 'refused']) {
      const body = { table: 'words', epoch: 'e', number: 1, ...other, ...(said === 'refused' && { rows: [] }) }
      fake.answer = () => `${JSON.stringify({ [said]: body })}\n`
      await t.rejects(target.apply(delta(0, 1, { a: { word: '1' } }), never), /answers what was not asked/)
    }
  }
  fake.answer = () => null
  await target.apply(delta(0, 1, { a: { word: '1' } }), never)
})

t.test('what is held is compared before anything is sent, and by audits', async (t) => {
  const { fake, carrier } = await world(t)
  const lost: string[] = []
  const target = targetOf(carrier, 'words', (why) => lost.push(why))
  await target.apply(delta(0, 1, { a: { word: '1' } }), never)
  fake.tables.get('words')!.revision = { epoch: 'other', number: 9 }
  t.strictSame(await target.audit(never), { clean: false, detail: 'the carrier holds 9 of other, not 1 of e' })
  fake.tables.clear()
  await reconnect(fake, carrier)
  t.equal(carrier.held('words'), null)
  t.strictSame(lost, ['the carrier holds nothing, not 1 of e'])
  const lines = fake.lines.length
  await t.rejects(target.apply(delta(1, 2, { a: { word: '2' } }), never), /holds nothing of table words, not 1 of e/)
  t.equal(fake.lines.length, lines, 'nothing was sent')
})

t.test('a carrier that speaks otherwise is hung up on, and tried again', async (t) => {
  const hello = `${helloOf({ protocol: PROTOCOL, tables: {} })}\n`
  const cases: [string, RegExp][] = [
    ['{"answer":{"id":1}}\n', /says no hello/],
    [hello + hello, /says hello twice/],
    [`${hello}nonsense\n`, /is no JSON/],
    [`${hello}{"acknowledged":{"table":"x","epoch":"e","number":1}}\n`, /answers what was not asked/],
    [`${hello}{"error":{"reason":"too old"}}\n`, /refuses this connection: too old/],
    [hello + 'x'.repeat(LINE_MAX_BYTES + 1), /says what it must not: a line of more than/],
  ]
  const { fake, carrier, said } = await world(t)
  await until('it is connected', () => carrier.connected)
  for (const [text, reason] of cases) {
    said.length = 0
    fake.hello = () => text
    await fake.stop()
    await fake.listen()
    await until(`it says so: ${reason}`, () => said.some((line) => reason.test(line)))
    t.match(said.join('\n'), reason)
  }
  fake.hello = null
  await reconnect(fake, carrier)
  await targetOf(carrier, 'words').apply(delta(0, 1, { a: { word: '1' } }), never)
})

t.test('a question is answered, or says why not', async (t) => {
  const { fake, carrier } = await world(t)
  t.strictSame(await carrier.ask('stats', never), { tables: {} })
  const explain = { explain: { name: 'a.', type: 'A' } }
  await t.rejects(carrier.ask(explain, never), /the carrier cannot answer: no {"explain"/)
  fake.onLine = () => 'die'
  await t.rejects(carrier.ask('stats', never), /closed the connection/)
  await fake.stop()
  await until('the end is noticed', () => !carrier.connected)
  await t.rejects(carrier.ask('stats', AbortSignal.timeout(50)), /there is no connection to the carrier at .*socket/)
  await fake.listen()
})

t.test('one that does not read holds up only itself, and takes no memory', async (t) => {
  const { fake, carrier } = await world(t)
  await until('it is connected', () => carrier.connected)
  fake.reads = false
  await reconnect(fake, carrier)
  let made = 0
  const put = new Map(Array.from({ length: 20_000 }, (_, i) => [`key${i}`, { word: 'x'.repeat(1000) }]))
  const counted = {
    get: put.get.bind(put),
    has: put.has.bind(put),
    size: put.size,
    *[Symbol.iterator]() {
      for (const each of put) (made++, yield each)
    },
  } as unknown as ReadonlyMap<string, Row>
  const giveUp = new AbortController()
  const applied = targetOf(carrier, 'words').apply({ ...delta(0, 1, {}), put: counted }, giveUp.signal)
  await until('some of it is sent', () => made > 100)
  await new Promise((done) => setImmediate(done))
  t.ok(made < 5000, `${made} of 20,000 rows were written`)
  giveUp.abort(new Error('too slow'))
  await t.rejects(applied, /given up/)
  fake.reads = true
  await targetOf(carrier, 'words').apply(delta(0, 2, { a: { word: '1' } }), never)
})

t.test('whenever the connection ends, the table arrives', async (t) => {
  for (let at = 0; at < 12; at++) {
    const { fake, carrier } = await world(t)
    const ending = new AbortController()
    const graph = new Graph()
    const table = new InputTable<Row>('words')
    const runner = new Runner(graph, { signal: ending.signal, backoff: { firstMs: 1, maxMs: 5 }, auditEveryMs: 0 })
    const target = targetOf(carrier, 'words', (why) => binding.recover(why))
    const binding = runner.attach(table, target)
    let count = 0
    fake.onLine = () => (count++ === at ? 'die' : 'go on')
    table.replace(Array.from({ length: 2000 }, (_, i) => [`key${i}`, { word: 'x'.repeat(60) }]))
    table.markSynced()
    const running = runner.run()
    for (let step = 0; step < 5; step++) {
      table.put(`step${step}`, { word: String(step) })
      table.drop(`key${step}`)
      await binding.whenApplied(table.number)
    }
    t.strictSame([...fake.tables.get('words')!.rows].sort(), [...table.entries()].sort(), `line ${at}`)
    t.ok(count > at, 'it died')
    ending.abort()
    await running
  }
})
