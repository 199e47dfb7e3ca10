/** Wildcards, proved by dns-01: records written into a real BIND by RFC 2136, and by a webhook of the user's. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { X509Certificate } from 'node:crypto'
import t from 'tap'
import { enterWorld } from '../netns/world.ts'
await enterWorld()

import { updateSolver } from '../../src/ingress/acme/dnsupdate.ts'
import type { Dns } from '../../src/ingress/acme/wanted.ts'
import { FOLLOWER, issued, issuerOf, lead, Pebble, share, want } from './acme-world.ts'
import { whyNotBuilt } from './build.ts'
import { NameServer, whyNoNameServer } from './nameserver.ts'
import { until } from './process.ts'

t.setTimeout(570_000)
t.jobs = 1
const skip = (await whyNotBuilt('pebble', 'pebble-challtestsrv')) ?? false
const noServer = skip || ((await whyNoNameServer()) ?? false)
const ZONE = 'example.test'
const PORT = 8_153

const dnsOf = (change: Partial<Extract<Dns, { kind: 'update' }>> = {}): Extract<Dns, { kind: 'update' }> => ({
  ...{ kind: 'update', address: '127.0.0.1', port: PORT, zone: ZONE, keyName: 'acme', algorithm: 'hmac-sha256' },
  tsig: { secret: 'fairlead/tsig', key: 'key' },
  ...change,
})

t.test('RFC 2136', { skip: noServer }, async (t) => {
  const names = await NameServer.start(ZONE, FOLLOWER, PORT)
  t.teardown(() => names.stop())
  const { signal } = new AbortController()

  await t.test('records come and go, and those of others stay', async (t) => {
    const solver = updateSolver(dnsOf(), Buffer.from(names.key, 'base64'))
    const [one, two, other] = ['one', 'two', 'other'].map((value) => ({ name: `_acme-challenge.a.${ZONE}`, value }))
    await solver.present([other!], signal)
    await solver.present([one!, two!], signal)
    await solver.present([one!], signal)
    t.strictSame(await names.texts(one!.name), ['one', 'other', 'two'])
    await solver.remove([one!, two!], signal)
    await solver.remove([one!], signal)
    t.strictSame(await names.texts(one!.name), ['other'])
  })

  await t.test('what is wrong is told with its remedy', async (t) => {
    const record = [{ name: `_acme-challenge.b.${ZONE}`, value: 'x' }]
    const good = Buffer.from(names.key, 'base64')
    const cases: readonly [Partial<Extract<Dns, { kind: 'update' }>>, Buffer, RegExp][] = [
      [{}, Buffer.from('another key'), /refuses .*NOTAUTH.*name, algorithm and value of the key/],
      [{ keyName: 'nobody' }, good, /NOTAUTH/],
      [{ algorithm: 'hmac-sha512' }, good, /NOTAUTH/],
      [{ zone: 'test' }, good, /NOTAUTH.*primary of this zone/],
      [{ zone: 'elsewhere.test' }, good, /is not in the zone elsewhere.test/],
      [{ port: 9 }, good, /no answer of the name server/],
    ]
    for (const [change, key, expected] of cases)
      await t.rejects(updateSolver(dnsOf(change), key).present(record, signal), { message: expected })
    t.strictSame(await names.texts(record[0]!.name), [])
  })

  await t.test('a wildcard and what it does not cover, of a real server', async (t) => {
    const pebble = await Pebble.start({ dnsPort: PORT })
    t.teardown(() => pebble.stop())
    const shared = share()
    await shared.secrets.put({
      ...{ path: 'fairlead/tsig', type: 'Opaque', labels: {}, annotations: {} },
      ...{ data: { key: names.key }, version: '' },
    })
    const leader = lead(shared)
    t.teardown(() => leader.stop())
    const issuer = issuerOf({ challenge: 'dns-01', dns: dnsOf() })
    shared.wanted.put('shop/tls', want([`*.${ZONE}`, ZONE], { issuer }))
    const secret = await issued(shared, leader)
    t.equal(new X509Certificate(secret.data['tls.crt']!).subjectAltName, `DNS:*.${ZONE}, DNS:${ZONE}`)
    t.strictSame(await names.texts(`_acme-challenge.${ZONE}`), [], 'what proved it is gone')
  })
})

t.test('a webhook', { skip }, async (t) => {
  const pebble = await Pebble.start()
  t.teardown(() => pebble.stop())
  const told: { action: string; name: string; value: string }[] = []
  let isRight = false
  const hook = createServer((request, response) => {
    void request.toArray().then(async (parts: Buffer[]) => {
      const said = JSON.parse(Buffer.concat(parts).toString()) as (typeof told)[number]
      if (!isRight || request.headers.authorization !== 'Bearer let-me-in') return response.writeHead(403).end()
      told.push(said)
      const what = said.action === 'present' ? 'set-txt' : 'clear-txt'
      await pebble.tell(what, { host: said.name, value: said.value })
      return response.end()
    })
  })
  await new Promise<void>((resolve) => hook.listen(0, '127.0.0.1', resolve))
  t.teardown(() => hook.close())
  const shared = share()
  await shared.secrets.put({
    ...{ path: 'fairlead/hook', type: 'Opaque', labels: {}, annotations: {} },
    ...{ data: { token: 'let-me-in\n' }, version: '' },
  })
  const url = `http://127.0.0.1:${(hook.address() as AddressInfo).port}/`
  const dns: Dns = { kind: 'webhook', url, bearer: { secret: 'fairlead/hook', key: 'token' } }
  const leader = lead(shared)
  t.teardown(() => leader.stop())
  shared.wanted.put('shop/tls', want(['*.hook.test'], { issuer: issuerOf({ challenge: 'dns-01', dns }) }))
  await until('a problem', () => leader.issuing.problems.size > 0)
  t.match([...leader.issuing.problems.entries()][0]![1].problem, /the webhook answers present .* HTTP status 403/)
  isRight = true
  const secret = await issued(shared, leader)
  t.equal(new X509Certificate(secret.data['tls.crt']!).subjectAltName, 'DNS:*.hook.test')
  t.strictSame(
    told.map(({ action, name }) => `${action} ${name}`),
    ['present _acme-challenge.hook.test.', 'remove _acme-challenge.hook.test.'],
  )
  t.notMatch(JSON.stringify([shared.happened, ...leader.issuing.problems.entries()]), /let-me-in|PRIVATE/)
})
