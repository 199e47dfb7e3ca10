import t from 'tap'
import { Cursor } from '../../src/core/cursor.ts'
import { InputTable } from '../../src/core/table.ts'
import type { Relay, Unopened } from '../../src/kernel/relay.ts'
import { LocalhostTarget } from '../../src/service/localhost/target.ts'
import type { LocalhostPort } from '../../src/service/nodeports.ts'

const row = (port: number, to = 'node'): LocalhostPort => ({
  ip: '127.0.0.1',
  protocol: 'tcp',
  port,
  to: `${to}:${port}`,
})
const at = (port: number): string => `tcp:127.0.0.1:${port}`

t.test('it opens, leads elsewhere and closes, in that order that frees a port before it is wanted', async (t) => {
  const { table, told, settle } = stage()
  table.put('old', row(1))
  table.put('other', row(2))
  t.same(await settle(), [])
  t.same(told.splice(0), [`open ${at(1)} node:1`, `open ${at(2)} node:2`])
  table.drop('old')
  table.put('new', row(1, 'cluster'))
  table.put('other', row(2, 'cluster'))
  await settle()
  t.same(told.splice(0), [`close ${at(1)}`, `open ${at(1)} cluster:1`, `open ${at(2)} cluster:2`])
  table.drop('new')
  table.drop('other')
  await settle()
  t.same(told.splice(0), [`close ${at(1)}`, `close ${at(2)}`, 'end'], 'no process stays for nothing')
  table.put('old', row(1))
  await settle()
  t.same(told, [`open ${at(1)} node:1`])
})

t.test('one port that is taken harms no other; an audit sees when it is free', async (t) => {
  const { table, told, taken, settle, recover, target } = stage()
  taken.set(at(1), { kind: 'taken', reason: 'Address already in use' })
  taken.set(at(3), { kind: 'other', reason: 'Cannot assign requested address' })
  for (const port of [1, 2, 3]) table.put(`Service shop/web ${port}`, row(port))
  const refused = await settle()
  t.same(
    refused.map(({ key }) => key),
    ['Service shop/web 1', 'Service shop/web 3'],
  )
  t.match(refused[0]!, { reason: /^127.0.0.1:1\/tcp is taken/, remedy: /ss -ltnp 'sport = :1'/ })
  t.match(refused[1]!, { reason: /Cannot assign/ })
  t.same(await target.audit(), { clean: true })
  taken.clear()
  t.match(await target.audit(), { clean: false, detail: /Service shop\/web 1 was taken and is free now/ })
  told.length = 0
  recover()
  t.same(await settle(), [])
  t.equal(told.length, 3, 'all again')
})

t.test('the relay ends: told once, what was asked fails, and the next one gets all', async (t) => {
  const { table, told, relays, ended, settle, recover } = stage()
  table.put('a', row(1))
  await settle()
  relays[0]!.die('killed')
  t.same(ended, ['killed'])
  table.put('b', row(2))
  relays.answers = false
  const applying = settle()
  relays[1]!.die('again')
  await t.rejects(applying, /again/)
  relays.answers = true
  recover()
  told.length = 0
  t.same(await settle(), [])
  t.same(told, [`open ${at(1)} node:1`, `open ${at(2)} node:2`])
})

function stage() {
  const table = new InputTable<LocalhostPort>('localhost')
  table.markSynced()
  const cursor = new Cursor(table, 'test')
  const told: string[] = []
  const ended: string[] = []
  const taken = new Map<string, Unopened>()
  const relays: { die(why: string): void }[] & { answers?: boolean } = []
  relays.answers = true
  const begin = (onEnd: (why: string) => void): Relay => {
    const dead = Promise.withResolvers<never>()
    dead.promise.catch(() => {})
    const answer = <T>(value: T): Promise<T> =>
      Promise.race(relays.answers ? [dead.promise, Promise.resolve(value)] : [dead.promise])
    relays.push({ die: (why) => (dead.reject(new Error(why)), onEnd(why)) })
    return {
      open: (listen, to) => (told.push(`open ${listen} ${to.join()}`), answer(taken.get(listen) ?? null)),
      close: (listen) => (told.push(`close ${listen}`), answer(undefined)),
      end: () => void told.push('end'),
    }
  }
  const target = new LocalhostTarget((why) => ended.push(why), begin)
  const settle = async () => {
    const delta = cursor.take()!
    const refused = await target.apply(delta).catch((error: unknown) => (cursor.lost(), Promise.reject(error)))
    cursor.landed(refused)
    return refused
  }
  return { table, told, taken, relays, ended, target, settle, recover: () => cursor.recover() }
}
