/** The end of a reader of answers: what it takes, and when it says so. The carrier is a socket that speaks its protocol. */
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t from 'tap'
import { AnswerReader } from '../../src/carrier/reader.ts'
import type { SeenRow } from '../../src/carrier/wire.ts'

const row = (name: string, ip: string): SeenRow => ({ names: [name], addresses: [{ ip, ttl: 5 }] })

t.test('what is wanted is taken, and told to be once it is in force', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-reader-'))
  const server = createServer()
  const ending = new AbortController()
  const path = join(folder, 'socket')
  server.listen(path)
  await once(server, 'listening')
  const taken: [readonly SeenRow[], boolean][] = []
  const inForce = Promise.withResolvers<void>()
  const reader = new AnswerReader({
    path,
    take: async (rows, isWhole) => {
      taken.push([rows, isWhole])
      await inForce.promise
    },
  })
  reader.want(['a.example.', '*.b.example.'])
  const running = reader.run(ending.signal)
  const [socket] = (await once(server, 'connection')) as [Socket]
  t.teardown(async () => {
    ending.abort()
    await running
    socket.destroy()
    server.close()
    rmSync(folder, { recursive: true })
  })
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]()
  const heard = async (): Promise<unknown> => JSON.parse((await lines.next()).value as string)
  const say = (message: object): void => void socket.write(`${JSON.stringify(message)}\n`)

  say({ welcome: { version: '1' } })
  t.same(await heard(), { watch: { patterns: ['a.example.', '*.b.example.'] } })
  const [own, other, below] = [row('a.example.', '10.0.0.1'), row('c.example.', '10.0.0.2'), row('x.b.example.', '::1')]
  say({ seen: { from: 0, to: 7, rows: [own, other, below], more: false } })
  while (taken.length === 0) await new Promise((resolve) => setImmediate(resolve))
  // Nothing of it is in force yet: what comes first is the answer to what is asked now.
  const next = heard()
  reader.want(['a.example.'])
  t.same(await next, { watch: { patterns: ['a.example.'] } }, 'it is not said before it is so')
  inForce.resolve()
  t.same(await heard(), { taken: { number: 7 } })
  t.same(taken, [[[own, below], true]], 'and nothing that nobody wanted')

  say({ seen: { from: 7, to: 8, rows: [below], more: false } })
  t.same(await heard(), { taken: { number: 8 } }, 'what is not wanted any more is taken note of, too')
  t.equal(taken.length, 1)
  say({ seen: { from: 8, to: 9, rows: [own], more: true } })
  say({ seen: { from: 8, to: 9, rows: [own], more: false } })
  t.same(await heard(), { taken: { number: 9 } }, 'once for all lines of it')
  t.same(taken.slice(1), [
    [[own], false],
    [[own], false],
  ])
})
