/** Certificates of a real Pebble, with its faults on: each way to prove names, and every point at which a leader may die. */
import t, { type Test } from 'tap'
import { enterWorld } from '../netns/world.ts'
await enterWorld()

import { X509Certificate } from 'node:crypto'

import { systemClock, type Clock } from '../../src/core/clock.ts'
import { openDirectory, type Directory } from '../../src/ingress/acme/directory.ts'
import type { Secrets, StoredSecret } from '../../src/ingress/acme/store.ts'
import {
  faulty,
  issuerOf,
  lead,
  Pebble,
  respond,
  share,
  want,
  isDone,
  issued,
  type Leader,
  type Responder,
  type Shared,
} from './acme-world.ts'
import { whyNotBuilt } from './build.ts'
import { until } from './process.ts'

t.setTimeout(600_000)
t.jobs = 1
const skip = (await whyNotBuilt('pebble', 'pebble-challtestsrv')) ?? false

t.test('a server that rejects every third nonce and is slow to validate', { skip }, async (t) => {
  const pebble = await Pebble.start({
    faults: { PEBBLE_WFE_NONCEREJECT: '30', PEBBLE_VA_NOSLEEP: '0', PEBBLE_VA_SLEEPTIME: '1' },
  })
  t.teardown(() => pebble.stop())

  for (const challenge of ['http-01', 'tls-alpn-01'] as const)
    await t.test(`${challenge}: the server asks the follower, which answers`, async (t) => {
      const { shared, follower, leader } = await replicas(t)
      const wanted = want(['a.example.test', 'b.example.test'], { issuer: issuerOf({ challenge }) })
      shared.wanted.put(wanted.secret, wanted)
      const secret = await issued(shared, leader)
      const leaf = new X509Certificate(secret.data['tls.crt']!)
      t.equal(leaf.subjectAltName, 'DNS:a.example.test, DNS:b.example.test')
      t.ok(leaf.issuerCertificate === undefined && secret.data['tls.crt']!.split('BEGIN').length > 2, 'with its chain')
      t.equal(secret.type, 'kubernetes.io/tls')
      t.match(secret.annotations, {
        'cert-manager.io/alt-names': 'a.example.test,b.example.test',
        'cert-manager.io/issuer-name': 'pebble',
        'cert-manager.io/certificate-name': 'tls',
      })
      t.ok(follower.asked.includes('a.example.test') && follower.asked.includes('b.example.test'))
      t.equal([...leader.issuing.problems.entries()].length, 0)
      t.strictSame(await openAnswers(shared), [], 'nothing is answered any more but for the account')
    })
})

t.test('a leader that dies: whoever comes next goes on, and one certificate is issued', { skip }, async (t) => {
  const pebble = await Pebble.start()
  t.teardown(() => pebble.stop())
  let points = 0
  await t.test('one that lives', async (t) => {
    points = await pointsOf(t)
    t.ok(points > 20, `${points} points at which it may die`)
  })
  for (let point = 1; point <= points; point++)
    await t.test(`at ${point}`, async (t) => {
      const before = pebble.issued
      const { shared } = await replicas(t, false)
      const wanted = want([`p${point}.example.test`])
      shared.wanted.put(wanted.secret, wanted)
      const { where, arise } = await dieAt(shared, point)
      const leader = lead(shared, { clock: hurried })
      const secret = await issued(shared, leader)
      // It was only slow: what it had begun comes through now, and what it does next does not.
      await arise()
      await leader.stop()
      t.equal(pebble.issued - before, 1, `${where}: issued once`)
      t.equal(new X509Certificate(secret.data['tls.crt']!).subjectAltName, `DNS:p${point}.example.test`)
      t.strictSame((await shared.secrets.get('shop/tls'))!.data, secret.data)
      t.equal((await shared.secrets.list('fairlead', 'fairlead.io/acme', 'account')).length, 1)
      t.strictSame(await openAnswers(shared), [])
    })
})

/** What a leader would wait for passes ten times as fast: a server that validates at once says `Retry-After: 1` all the same. */
const began = Date.now()
const hurried: Clock = {
  now: () => began + (Date.now() - began) * 10,
  after: (ms, signal) => systemClock.after(ms / 10, signal),
}

/** How many calls it makes of the server and of the store, before and after each. */
async function pointsOf(t: Test): Promise<number> {
  const { shared } = await replicas(t, false)
  const wanted = want(['all.example.test'])
  shared.wanted.put(wanted.secret, wanted)
  let count = 0
  const leader = lead(
    shared,
    dying(shared, () => void count++),
  )
  await issued(shared, leader)
  await leader.stop()
  return count
}

/** From that point on no call comes through, as if the process were gone; `arise`: it was not. */
async function dieAt(shared: Shared, point: number): Promise<{ where: string; arise: () => Promise<void> }> {
  let count = 0
  let where = ''
  const dead = Promise.withResolvers<void>()
  const risen = Promise.withResolvers<void>()
  const leader = lead(
    shared,
    dying(shared, (call) => {
      if (++count < point) return
      where ||= call
      dead.resolve()
      return risen.promise
    }),
  )
  const reached = new AbortController() // else it would be looked for until its deadline
  const patience = { deadlineMs: 120_000, signal: reached.signal }
  await Promise.race([dead.promise, until(`point ${point}`, () => isDone(leader), patience)])
  reached.abort()
  const stopped = leader.stop()
  const arise = (): Promise<void> => {
    risen.resolve()
    return stopped
  }
  return { where, arise }
}

function dying(shared: Shared, fault: (call: string) => void | Promise<void>) {
  const secrets: Secrets = {
    get: (path) => shared.secrets.get(path),
    list: (namespace, label, value) => shared.secrets.list(namespace, label, value),
    drop: (path) => shared.secrets.drop(path),
    put: async (secret: StoredSecret) => {
      const what = secret.labels['fairlead.io/acme'] ?? 'certificate'
      await fault(`before put ${what}`)
      const put = await shared.secrets.put(secret)
      await fault(`after put ${what}`)
      return put
    },
  }
  const open = (...all: Parameters<typeof openDirectory>): Directory => faulty(openDirectory(...all), fault)
  return { secrets, open, clock: hurried }
}

async function replicas(t: Test, leads = true): Promise<{ shared: Shared; follower: Responder; leader: Leader }> {
  const shared = share()
  const follower = await respond(t, shared)
  const leader = leads ? lead(shared) : null
  t.teardown(() => leader?.stop())
  return { shared, follower, leader: leader! }
}

async function openAnswers(shared: Shared): Promise<string[]> {
  const answers = await shared.secrets.get('fairlead/fairlead-acme-answers')
  return Object.keys((JSON.parse(answers!.data['answers']!) as { orders: object }).orders)
}
