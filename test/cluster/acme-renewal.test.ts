/** What a real Pebble says when it is asked again, or says no: ARI, profiles, external accounts, refusals; and replicas that do not answer. */
import { rootCertificates } from 'node:tls'
import { X509Certificate } from 'node:crypto'
import t from 'tap'
import { enterWorld } from '../netns/world.ts'
await enterWorld()

import type { Rejection } from '../../src/cluster/rejection.ts'
import { openDirectory } from '../../src/ingress/acme/directory.ts'
import { leafOf } from '../../src/ingress/acme/renewal.ts'
import { issued, issuerOf, lead, manage, Pebble, respond, share, stepOf, want, type Leader } from './acme-world.ts'
import { whyNotBuilt } from './build.ts'
import { until } from './process.ts'

t.setTimeout(570_000)
t.jobs = 1
const skip = (await whyNotBuilt('pebble', 'pebble-challtestsrv')) ?? false
const EAB_KEY = 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W'

t.test('renewal and refusals', { skip }, async (t) => {
  const pebble = await Pebble.start()
  t.teardown(() => pebble.stop())

  await t.test('ARI: the server wants it renewed now; the order says what it replaces', async (t) => {
    const shared = share()
    await respond(t, shared)
    shared.wanted.put('shop/tls', want(['ari.example.test']))
    const first = lead(shared)
    const before = await issued(shared, first)
    const leaf = leafOf(before.data['tls.crt']!)!
    const status = first.issuing.status.get('shop/tls')!
    t.ok(status.renewAt! > leaf.notBefore + (leaf.notAfter - leaf.notBefore) / 2, 'not soon')
    await first.stop()
    const past = { start: new Date(Date.now() - 7_200_000), end: new Date(Date.now() - 3_600_000) }
    await manage('set-renewal-info/', {
      certificate: new X509Certificate(before.data['tls.crt']!).toString(),
      ariResponse: JSON.stringify({ suggestedWindow: past }),
    })
    const replaced: (string | null)[] = []
    const second = lead(shared, {
      open: (options) => {
        const directory = openDirectory(options)
        const order: typeof directory.order = (names, how) => {
          replaced.push(how.replaces)
          return directory.order(names, how)
        }
        return { ...directory, order }
      },
    })
    t.teardown(() => second.stop())
    await until('another certificate', async () => (await shared.secrets.get('shop/tls'))!.version !== before.version)
    const after = (await shared.secrets.get('shop/tls'))!
    t.strictSame(replaced, [leaf.certId])
    t.not(after.data['tls.key'], before.data['tls.key'], 'with another key')
    t.not(leafOf(after.data['tls.crt']!)!.certId, leaf.certId)
  })

  await t.test('a certificate of 6 days, of RSA, for names that change', async (t) => {
    const shared = share()
    await respond(t, shared)
    const leader = lead(shared)
    t.teardown(() => leader.stop())
    const issuer = issuerOf({ profile: 'shortlived' })
    shared.wanted.put('shop/tls', want(['s.example.test'], { issuer, keyType: 2048 }))
    const secret = await issued(shared, leader)
    const leaf = leafOf(secret.data['tls.crt']!)!
    const days = (leaf.notAfter - leaf.notBefore) / 86_400_000
    t.ok(days > 5.9 && days < 6.1, `${days} days`)
    const { renewAt } = leader.issuing.status.get('shop/tls')!
    t.ok(renewAt! > leaf.notBefore && renewAt! < leaf.notAfter - 86_400_000 / 4, 'with time for tries')
    t.equal(new X509Certificate(secret.data['tls.crt']!).publicKey.asymmetricKeyType, 'rsa')
    shared.wanted.put('shop/tls', want(['s.example.test', 'more.example.test'], { issuer, keyType: 2048 }))
    await until('both names', async () => {
      const now = await shared.secrets.get('shop/tls')
      return leafOf(now!.data['tls.crt']!)!.names.length === 2
    })
  })

  for (const [about, name, expected] of [
    ['a name that the server refuses', 'blocked.test', /^rejectedIdentifier: .*another name or issuer/s],
    ['a name that leads elsewhere', 'astray.example.test', /connection: .*port 80 is reached from outside/s],
  ] as const)
    await t.test(`${about} is told with its remedy, and tried again later`, async (t) => {
      await pebble.tell('add-a', { host: 'astray.example.test', addresses: ['127.0.0.9'] })
      const shared = share()
      await respond(t, shared)
      const leader = lead(shared)
      t.teardown(() => leader.stop())
      const begun = Date.now()
      shared.wanted.put('shop/tls', want([name]))
      const refusal = () =>
        shared.happened.find((it) => it.kind === 'failed' && expected.test(`${it.problem} ${it.remedy}`))
      await until('a failure', () => refusal() !== undefined)
      await until('it waits', () => stepOf(leader).startsWith('waits until'))
      const { object, problem, remedy } = rejectionOf(leader)!
      t.equal(object, 'Ingress shop/front')
      t.match(`${problem.replace('certificate shop/tls of pebble: ', '')} ${remedy}`, expected)
      const failed = refusal()!
      t.ok(failed.kind === 'failed' && failed.retryAt >= begun + 60_000, 'not at once')
      t.notMatch(JSON.stringify([shared.happened, problem, stepOf(leader)]), /PRIVATE/)
      await leader.stop()
      const next = lead(shared)
      t.teardown(() => next.stop())
      await until('the next leader waits, too', () => stepOf(next).startsWith('waits until'))
      t.equal(next.issuing.problems.size, 1, 'and says why')
    })

  await t.test('a Secret of somebody else is left as it is', async (t) => {
    const shared = share()
    const own = { 'tls.crt': rootCertificates[0]!, 'tls.key': 'a key' }
    await shared.secrets.put({
      ...{ path: 'shop/tls', type: 'kubernetes.io/tls', labels: {}, annotations: {}, data: own, version: '' },
    })
    const leader = lead(shared)
    t.teardown(() => leader.stop())
    shared.wanted.put('shop/tls', want(['own.example.test']))
    await until('a problem', () => leader.issuing.problems.size > 0)
    t.match(problemOf(leader), /holds a certificate that no ACME issuer wrote/)
    t.strictSame((await shared.secrets.get('shop/tls'))!.data, own)
  })
})

t.test('replicas', { skip }, async (t) => {
  const pebble = await Pebble.start()
  t.teardown(() => pebble.stop())
  const shared = share()
  await respond(t, shared)
  // Its process hangs: it says that it lives, takes nothing over, and nobody listens where it is.
  shared.replicas.put({ name: 'hung', isLive: true, revision: null, address: '127.0.0.9' })
  const leader = lead(shared)
  t.teardown(() => leader.stop())
  shared.wanted.put('shop/tls', want(['r.example.test']))
  const problem = /the proxy of hung \(127\.0\.0\.9\) does not answer for r\.example\.test: .*ECONNREFUSED/
  await until('the problem', () => problem.test(problemOf(leader)))
  t.notOk(
    shared.happened.some((event) => event.kind === 'step' && event.step === 'ask'),
    'the server is not told to look',
  )
  shared.replicas.put({ name: 'hung', isLive: false, revision: null, address: '127.0.0.9' })
  await issued(shared, leader)
  t.equal(leader.issuing.problems.size, 0, 'one that is gone is not waited for')
})

t.test('external accounts', { skip }, async (t) => {
  const pebble = await Pebble.start({ bindings: { 'kid-1': EAB_KEY } })
  t.teardown(() => pebble.stop())
  const hmac = { secret: 'fairlead/eab', key: 'hmac' }

  await t.test('none is given', async (t) => {
    const shared = share()
    await respond(t, shared)
    const leader = lead(shared)
    t.teardown(() => leader.stop())
    shared.wanted.put('shop/tls', want(['eab.example.test']))
    await until('the problem, and its remedy', () => {
      const { problem = '', remedy = '' } = rejectionOf(leader) ?? {}
      return /externalAccountRequired.*key id and HMAC key/s.test(`${problem} ${remedy}`)
    })
  })

  await t.test('the right one', async (t) => {
    const shared = share()
    await respond(t, shared)
    await shared.secrets.put({
      ...{ path: 'fairlead/eab', type: 'Opaque', labels: {}, annotations: {} },
      ...{ data: { hmac: `${EAB_KEY}\n` }, version: '' },
    })
    const leader = lead(shared)
    t.teardown(() => leader.stop())
    shared.wanted.put('shop/tls', want(['eab.example.test'], { issuer: issuerOf({ binding: { kid: 'kid-1', hmac } }) }))
    await issued(shared, leader)
    t.notMatch(JSON.stringify(shared.happened), EAB_KEY)
  })
})

const rejectionOf = (leader: Leader): Rejection | undefined => [...leader.issuing.problems.entries()][0]?.[1]

const problemOf = (leader: Leader): string => rejectionOf(leader)?.problem ?? ''
