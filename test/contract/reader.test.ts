/** A reader of answers against the real carrier, whoever of the two is killed. */
import t from 'tap'
import { AnswerReader, type ReaderEvent } from '../../src/carrier/reader.ts'
import { systemClock } from '../../src/core/clock.ts'
import { Names } from '../../src/core/names.ts'
import { until } from '../netns/waiting.ts'
import { entry, host, makeWorld, type World } from './carrier-process.ts'
import { ask } from './dns-client.ts'

t.test('what is answered is in the table before the client has it', async (t) => {
  const world = await makeWorld(t)
  world.names.replace([entry('a', '10.0.0.1'), entry('b', '10.0.0.2'), entry('c', '10.0.0.3')])
  world.names.markSynced()
  await world.controller.settled()
  const reader = new Reader(world)
  reader.reader.want([host('a'), '*.b.example.', host('c')])
  await until('all that is known was told', () => reader.wholes > 0)
  t.strictSame(await ask(world.port, host('a')), { rcode: 0, addresses: ['10.0.0.1'] })
  await until('it is in the table', () => reader.keys().length > 0)
  await ask(world.port, host('b'))
  t.strictSame(reader.keys(), [`${host('a')} 10.0.0.1`], 'which nobody wants is not')

  // The new one may answer before the reader is back: it is told of that all the same.
  world.killWorker()
  t.strictSame(await ask(world.port, host('c')), { rcode: 0, addresses: ['10.0.0.3'] })
  await until('the rest comes', () => reader.keys().length === 2)
  await until('a new worker is read', () => reader.events.filter(({ kind }) => kind === 'connected').length > 1)
  t.ok(
    reader.keys().includes(`${host('a')} 10.0.0.1`),
    'it knows nothing of that, and clients still use what they heard',
  )
  await reader.end()
  await ask(world.port, host('a'))

  const next = new Reader(world)
  next.reader.want([host('a'), host('c')])
  await until('who is started anew is told all', () => next.keys().length === 2)
  next.fails = true
  world.names.put(...entry('a', '10.0.0.9'))
  await world.controller.settled()
  t.strictSame(await ask(world.port, host('a')), { rcode: 0, addresses: ['10.0.0.9'] }, 'it comes all the same')
  await until('it failed', () => next.events.some(({ kind }) => kind === 'disconnected'))
  next.fails = false
  await until('what could not be put in force comes again', () => next.keys().includes(`${host('a')} 10.0.0.9`))
  await next.end()
})

class Reader {
  readonly names = new Names(systemClock)
  readonly events: ReaderEvent[] = []
  readonly reader: AnswerReader
  wholes = 0
  fails = false
  readonly #ending = new AbortController()
  readonly #running: Promise<void>

  constructor({ readers }: World) {
    this.reader = new AnswerReader({
      path: readers,
      backoff: { firstMs: 5, maxMs: 50 },
      onEvent: (event) => void this.events.push(event),
      take: async (rows, isWhole) => {
        if (this.fails) throw new Error('told to')
        this.names.add(rows)
        if (isWhole) this.wholes++
      },
    })
    this.#running = this.reader.run(this.#ending.signal)
  }

  keys(): string[] {
    return [...this.names.table.entries()].map(([key]) => key).sort()
  }

  async end(): Promise<void> {
    this.#ending.abort()
    await this.#running
  }
}
