import { createServer, type AddressInfo } from 'node:net'
import t from 'tap'
import type { Ingress } from '../../src/cluster/ingress.ts'
import { parseAnswers, printAnswers, rowsOf } from '../../src/ingress/acme/answers.ts'
import { backoffMs, heldUntil } from '../../src/ingress/acme/budget.ts'
import type { Challenge, OrderView } from '../../src/ingress/acme/directory.ts'
import { next, nothingSeen, type Known } from '../../src/ingress/acme/next.ts'
import { isTransient, problemOf, remedyOf, textOf } from '../../src/ingress/acme/problem.ts'
import { emptyRecord, parseRecord, printRecord, type Record } from '../../src/ingress/acme/record.ts'
import { checkBy } from '../../src/ingress/acme/replicas.ts'
import { leafOf, renewAt, renewalInfoOf, type Leaf } from '../../src/ingress/acme/renewal.ts'
import { wantedOf, type Issuer, type Wanted } from '../../src/ingress/acme/wanted.ts'

const issuer: Issuer = {
  ...{ name: 'le', directory: 'https://ca.test/dir', email: null, challenge: 'http-01', dns: null },
  ...{ profile: null, binding: null },
}
const dnsIssuer: Issuer = { ...issuer, name: 'dns', challenge: 'dns-01' }
const issuers = {
  byName: new Map([
    ['le', issuer],
    ['dns', dnsIssuer],
  ]),
  common: issuer,
}
const HOUR = 3_600_000
const DAY = 24 * HOUR
const now = Date.UTC(2026, 0, 1)

t.test('what annotations ask for', (t) => {
  const of = (annotations: Readonly<{ [name in string]: string }>, hosts = ['b.test', 'a.test', 'a.test']) =>
    wantedOf(ingressOf(annotations, hosts), issuers)
  const cluster = { 'cert-manager.io/cluster-issuer': 'le' }
  t.strictSame(of({}).wanted, [], 'nothing')
  t.strictSame(of(cluster).wanted[0]!.names, ['a.test', 'b.test'])
  t.equal(of({ 'kubernetes.io/tls-acme': 'true' }).wanted[0]!.issuer, issuer)
  t.strictSame(of({ 'kubernetes.io/tls-acme': 'false' }), { wanted: [], rejections: [] })
  t.equal(of({ ...cluster, 'cert-manager.io/renew-before': '360h30m' }).wanted[0]!.renewBeforeMs, 360.5 * HOUR)
  t.equal(of({ ...cluster, 'cert-manager.io/private-key-algorithm': 'RSA' }).wanted[0]!.keyType, 2048)
  t.equal(of({ ...cluster, 'cert-manager.io/private-key-size': '384' }).wanted[0]!.keyType, 'P-384')
  t.equal(of({ 'cert-manager.io/cluster-issuer': 'dns' }, ['*.a.test']).wanted.length, 1)
  const refused: readonly [{ [name in string]: string }, string[], string, RegExp][] = [
    [{ 'cert-manager.io/cluster-issuer': 'x' }, ['a.test'], 'cluster-issuer', /not configured.*name one of: dns, le/],
    [{ 'cert-manager.io/issuer': 'x' }, ['a.test'], 'cert-manager.io/issuer', /not read here.*cluster-issuer/],
    [cluster, ['*.a.test'], 'spec.tls[0].hosts', /wildcard.*dns-01/],
    [cluster, [], 'spec.tls[0].hosts', /is empty/],
    [cluster, Array.from({ length: 101 }, (_, i) => `h${i}.test`), 'spec.tls[0].hosts', /101 names/],
    [{ ...cluster, 'cert-manager.io/renew-before': '1s' }, ['a.test'], 'renew-before', /5 minutes/],
    [{ ...cluster, 'cert-manager.io/private-key-size': '1' }, ['a.test'], 'private-key-size', /256, 384, 521/],
    [{ ...cluster, 'cert-manager.io/duration': '1h' }, ['a.test'], 'duration', /not used/],
  ]
  for (const [annotations, hosts, field, expected] of refused) {
    const { rejections } = of(annotations, hosts)
    t.equal(rejections.length, 1, field)
    t.match(rejections[0]!.field, field)
    t.match(`${rejections[0]!.problem} ${rejections[0]!.remedy}`, expected)
  }
  t.end()
})

t.test('when a certificate is renewed', (t) => {
  const leaf = (certId: string, days: number): Leaf => ({
    ...{ certId, names: ['a.test'], notBefore: now, notAfter: now + days * DAY },
  })
  const lives = Array.from({ length: 200 }, (_, i) => (renewAt(leaf(`c${i}`, 6), null, null) - now) / DAY)
  t.ok(Math.min(...lives) >= 3.7 && Math.max(...lives) <= 4, 'about two thirds')
  t.ok(new Set(lives).size > 190, 'each at a time of its own')
  t.equal(renewAt(leaf('x', 90), null, 10 * DAY), now + 80 * DAY)
  t.ok(renewAt(leaf('x', 6), null, 10 * DAY) < now + 4 * DAY, 'more than its life is not possible')
  const info = { certId: 'x', start: now + DAY, end: now + 2 * DAY, askAt: 0 }
  const chosen = renewAt(leaf('x', 90), info, 10 * DAY)
  t.ok(chosen >= info.start && chosen < info.end, 'the server comes before the annotation')
  t.equal(renewAt(leaf('x', 90), info, null), chosen, 'always the same')
  t.ok(renewAt(leaf('other', 90), info, null) > now + 50 * DAY, 'of another certificate: no')
  const late = { ...info, start: now + 100 * DAY, end: now + 101 * DAY }
  t.ok(renewAt(leaf('x', 90), late, null) < now + 86 * DAY, 'not after its end')
  const window = { suggestedWindow: { start: '2026-01-02T00:00:00Z', end: '2026-01-03T00:00:00Z' } }
  t.equal(renewalInfoOf('x', window, 1, now)!.askAt, now + 60_000, 'not every second')
  t.equal(renewalInfoOf('x', window, 1e12, now)!.askAt, now + DAY, 'not never')
  for (const bad of [null, 'x', {}, { suggestedWindow: { start: '2026-01-02', end: '2026-01-02' } }])
    t.equal(renewalInfoOf('x', bad, null, now), null)
  t.equal(leafOf('no certificate'), null)
  t.end()
})

t.test('how often a server is asked', (t) => {
  const times = (count: number, everyMs: number): number[] =>
    Array.from({ length: count }, (_, i) => now - (count - i) * everyMs)
  const record = (change: Partial<Record>): Record => ({ ...emptyRecord('a/b'), ...change })
  t.equal(heldUntil(record({ begun: times(4, 60_000) }), [], now), null)
  t.strictSame(heldUntil(record({ begun: times(5, 60_000) }), [], now)!.until, now - 5 * 60_000 + HOUR)
  t.match(heldUntil(record({ issued: times(5, DAY) }), [], now)!.why, /5 times within 7 days/)
  const others = [record({ begun: times(150, 10_000) }), record({ begun: times(150, 10_000) })]
  t.match(heldUntil(record({}), others, now)!.why, /290 orders/)
  const failure = { count: 1, until: now + 5, problem: 'p', remedy: 'r' }
  t.strictSame(heldUntil(record({ failure }), [], now), { until: now + 5, why: 'p' })
  t.equal(heldUntil(record({ failure }), [], now + 5), null)
  t.strictSame(
    [1, 2, 3, 12, 1000].map((n) => backoffMs(n, () => 0) / 60_000),
    [1, 2, 4, 1920, 1920],
  )
  t.end()
})

t.test('what is next', (t) => {
  const wanted: Wanted = {
    ...{ secret: 'a/b', names: ['a.test'], issuer, keyType: 'P-256', renewBeforeMs: null, ingress: 'a/i' },
  }
  const known: Known = {
    ...{ wanted, account: { directory: issuer.directory, key: 'k', url: 'u' }, record: emptyRecord('a/b') },
    ...{ certificate: { kind: 'none' }, seen: nothingSeen, others: [], now },
  }
  const order = { url: 'o', directory: issuer.directory, names: ['a.test'], key: 'k', replaces: null }
  const ordered: Known = { ...known, record: { ...emptyRecord('a/b'), order } }
  const view: OrderView = {
    ...{ status: 'pending', challenges: [], unprovable: [], problem: null, expires: null, retryAfterMs: null },
  }
  const seen = (change: Partial<OrderView>): Known => ({
    ...ordered,
    seen: { ...nothingSeen, order: { ...view, ...change }, lookAt: now + 1 },
  })
  const leaf: Leaf = { certId: 'c', names: ['a.test'], notBefore: now - 50 * DAY, notAfter: now + 40 * DAY }
  const held: Known = {
    ...known,
    certificate: { kind: 'leaf', leaf, isFit: true },
    seen: { ...nothingSeen, infoAt: now + HOUR },
  }
  const isDue: Known = { ...held, now: now + 30 * DAY, seen: { ...held.seen, infoAt: Infinity } }
  const cases: readonly [string, Known, object][] = [
    ['no account', { ...known, account: null }, { do: 'register' }],
    ['its answer was lost', { ...known, account: { ...known.account!, url: null } }, { do: 'register' }],
    ['no certificate', known, { do: 'begin', replaces: null }],
    ['somebody else has it', { ...known, certificate: { kind: 'foreign', why: 'x' } }, { do: 'refuse' }],
    ['all is well', held, { do: 'wait', why: 'renewal', until: now + HOUR }],
    ['the server is asked when', { ...held, seen: nothingSeen }, { do: 'askRenewal', certId: 'c' }],
    ['it is time', isDue, { do: 'begin', replaces: 'c' }],
    ['another issuer', { ...held, certificate: { kind: 'leaf', leaf, isFit: false } }, { do: 'begin', replaces: null }],
    ['one more name', { ...held, wanted: { ...wanted, names: ['a.test', 'b.test'] } }, { do: 'begin', replaces: null }],
    [
      'begun, not asked',
      { ...ordered, record: { ...ordered.record, order: { ...order, url: null } } },
      { do: 'order' },
    ],
    ['asked', ordered, { do: 'look' }],
    [
      'names changed meanwhile',
      { ...ordered, wanted: { ...wanted, names: ['z.test'] } },
      { do: 'abandon', problem: null },
    ],
    ['ready', seen({ status: 'ready' }), { do: 'finalize' }],
    ['processing', seen({ status: 'processing' }), { do: 'wait', until: now + 1 }],
    ['valid', seen({ status: 'valid' }), { do: 'store' }],
    [
      'invalid',
      seen({ status: 'invalid', problem: problemOf({ type: 'x' }, 400, null) }),
      { do: 'abandon', problem: { type: 'x' } },
    ],
    ['expired', seen({ expires: now }), { do: 'abandon', problem: null }],
    [
      'not offered',
      seen({ unprovable: [{ name: '*.a', offered: ['dns-01'] }] }),
      { do: 'abandon', problem: { detail: /offers dns-01/ } },
    ],
  ]
  for (const [about, given, expected] of cases) t.match(next(given), expected, about)
  const challenge = {
    type: 'http-01',
    url: 'c',
    name: 'a.test',
    token: 't',
    keyAuthorization: 't.x',
    isPending: true,
  } as const
  const proving = seen({ challenges: [challenge] })
  const after = (change: Partial<Known['seen']>): Known => ({ ...proving, seen: { ...proving.seen, ...change } })
  t.equal(next(proving).do, 'present')
  t.equal(next(after({ presented: new Set(['c']) })).do, 'ask')
  t.equal(next(after({ presented: new Set(['c']), asked: new Set(['c']) })).do, 'wait')
  t.equal(next({ ...after({ presented: new Set(['c']), asked: new Set(['c']) }), now: now + 1 }).do, 'look')
  t.end()
})

t.test('problems', (t) => {
  const urn = 'urn:ietf:params:acme:error:'
  const caa = problemOf({ type: `${urn}caa`, detail: 'CAA record forbids', subproblems: [] }, 403, null)
  t.equal(textOf(caa), 'caa: CAA record forbids')
  t.match(remedyOf(caa, 'http-01'), /CAA records/)
  const many = {
    type: `${urn}compound`,
    detail: 'x',
    subproblems: [{ type: `${urn}dns`, identifier: { value: 'a.test' } }],
  }
  t.match(remedyOf(problemOf(many, 400, null), 'tls-alpn-01'), /make the name resolve.*port 443/)
  t.equal(isTransient(problemOf('<html>', 503, null)), true)
  t.equal(isTransient(caa), false)
  t.end()
})

t.test('what is kept comes back, and what is spoilt does not', (t) => {
  const order = { url: null, directory: 'd', names: ['a'], key: 'k', replaces: null }
  const record: Record = {
    ...emptyRecord('a/b'),
    order,
    begun: [1],
    failure: { count: 1, until: 2, problem: 'p', remedy: 'r' },
  }
  t.strictSame(parseRecord(printRecord(record)), record)
  for (const bad of [undefined, '', 'null', '[]', '{"secret":1}', '{"secret":"a/b","begun":["x"],"issued":[]}'])
    t.equal(parseRecord(bad), null)
  t.equal(parseRecord('{"secret":"a/b","begun":[],"issued":[],"order":{"url":1}}')!.order, null)
  const pair = { name: 'a.test', chain: 'c', key: 'k' }
  const answer = { directory: 'd', hosts: ['a.test'], pairs: [pair], records: [] }
  const one = { accounts: { d: 'T' }, orders: { 'a/b': answer } }
  t.strictSame(parseAnswers(printAnswers(one)), one)
  t.strictSame([...rowsOf(one).proxy.values()], [{ kind: 'thumbprint', thumbprint: 'T', hosts: [] }], 'of all hosts')
  t.strictSame([...rowsOf(one).secrets.values()], [{ kind: 'pair', chain: 'c', key: 'k', challenge: 'a.test' }])
  const two = { ...one, accounts: { d: 'T', e: 'U' } }
  t.strictSame([...rowsOf(two).proxy.values()], [{ kind: 'thumbprint', thumbprint: 'T', hosts: ['a.test'] }])
  for (const bad of [undefined, '{', '{"accounts":[],"orders":{}}'])
    t.strictSame(rowsOf(parseAnswers(bad)).proxy.size, 0)
  t.end()
})

function ingressOf(annotations: Readonly<{ [name in string]: string }>, hosts: readonly string[]): Ingress {
  return {
    ...{ namespace: 'shop', name: 'front', created: 0, className: null, classAnnotation: null, published: [] },
    ...{ annotations: new Map(Object.entries(annotations)), defaultBackend: null, rules: [] },
    tls: [{ hosts, secret: 'tls' }],
  }
}

t.test('a proxy that wants the PROXY protocol is asked in it', async (t) => {
  const heard: string[] = []
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', (chunk: Buffer) => {
      const [first = ''] = chunk.toString().split('\r\n')
      heard.push(first)
      if (first.startsWith('PROXY ')) socket.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ntok.thumb')
      else socket.destroy()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => new Promise((resolve) => server.close(resolve)))
  const { port: http } = server.address() as AddressInfo
  const challenge: Challenge = {
    ...{ type: 'http-01', url: '', name: 'a.test', token: 'tok', keyAuthorization: 'tok.thumb', isPending: true },
  }
  const check = (isProxied: boolean) =>
    checkBy({ http, https: 0, isProxied: () => isProxied })('127.0.0.1', challenge, null)
  t.match(await check(false), /ECONNRESET|socket hang up/)
  t.equal(await check(true), null)
  t.strictSame(heard, [GET, GET, 'PROXY UNKNOWN'])
  t.match(
    await checkBy({ http, https: 0, isProxied: () => true })(
      '127.0.0.1',
      { ...challenge, token: 'x', keyAuthorization: 'x.y' },
      null,
    ),
    /status 200, and is not that of the account/,
  )
})

const GET = 'GET /.well-known/acme-challenge/tok HTTP/1.1'
