import { X509Certificate } from 'node:crypto'
import t from 'tap'
import type { Http } from '../../src/carrier/proxy.ts'
import { Graph } from '../../src/core/graph.ts'
import { InputTable } from '../../src/core/table.ts'
import { createInlets, createTables } from '../../src/cluster/tables.ts'
import { checkPattern, groupsOf } from '../../src/ingress/pattern.ts'
import type { Plan } from '../../src/ingress/plan.ts'
import { spareCertificate } from '../../src/ingress/selfsigned.ts'
import { deriveDuties } from '../../src/ingress/status/duties.ts'
import { backendObjects, configMap, ingress } from '../contract/ingress-objects.ts'
import { IngressRoom } from '../contract/ingress-room.ts'
import type { Raw } from '../contract/service-objects.ts'

const roomOf = (data: Readonly<Record<string, string>>) =>
  new IngressRoom({ configMap: 'f/c' }, [
    ...backendObjects('x/a', ['10.0.0.1']),
    ingress('x/i', { paths: { 'h.org/': 'a' } }),
    configMap('f/c', data),
  ])
const httpOf = (data: Readonly<Record<string, string>>): Http => {
  const { serves } = roomOf(data).row('listener', 'http')
  return 'http' in serves ? serves.http : (t.fail('no http') as never)
}

t.test('listeners, as ingress-nginx has them by default', (t) => {
  t.match(httpOf({}), {
    ...{
      trusted: [],
      forwardedHeader: 'X-Forwarded-For',
      appendForwarded: false,
      headMaxBytes: 32_768,
      headTimeoutMs: 60_000,
    },
    ...{
      bodyTimeoutMs: 60_000,
      idleTimeoutMs: 75_000,
      requestsMax: 1_000,
      streamsMax: 128,
      underscores: false,
      server: 'fairlead',
    },
    ...{ accessLog: { sample: 1 }, compression: undefined, tracing: undefined },
  })
  const { serves, addresses, port, drainMs } = roomOf({}).row('listener', 'https')
  t.match({ addresses, port, drainMs }, { addresses: ['0.0.0.0', '::'], port: 443, drainMs: 240_000 })
  t.match(serves, { https: { protocols: ['TLSv1.2', 'TLSv1.3'], ciphers: [], sessionTickets: true, http2: true } })
  t.end()
})

t.test('keys of the ConfigMap', (t) => {
  t.match(
    httpOf({
      'use-forwarded-headers': 'true',
      'proxy-real-ip-cidr': '10.0.0.0/8,192.0.2.1',
      'compute-full-forwarded-for': 'true',
      'forwarded-for-header': 'CF-Connecting-IP',
    }),
    {
      ...{ trusted: ['10.0.0.0/8', '192.0.2.1/32'], appendForwarded: true, forwardedHeader: 'CF-Connecting-IP' },
    },
  )
  t.same(roomOf({ 'use-proxy-protocol': 'true' }).row('listener', 'https').proxyProtocol, ['0.0.0.0/0', '::/0'])
  t.match(
    httpOf({
      'large-client-header-buffers': '8 16k',
      'keep-alive': '10',
      'keep-alive-requests': '5',
      'client-header-timeout': '3',
      'client-body-timeout': '4',
    }),
    {
      ...{ headMaxBytes: 131_072, idleTimeoutMs: 10_000, requestsMax: 5, headTimeoutMs: 3_000, bodyTimeoutMs: 4_000 },
    },
  )
  t.match(httpOf({ 'use-gzip': 'true', 'gzip-level': '5', 'gzip-types': 'text/plain' }).compression, {
    encodings: ['gzip'],
    level: 5,
    minBytes: 256,
    types: ['text/plain'],
  })
  t.match(httpOf({ 'enable-brotli': 'true', 'use-gzip': 'true' }).compression, { encodings: ['br', 'gzip'] })
  t.match(httpOf({ 'enable-zstd': 'true', 'use-gzip': 'true' }).compression, { encodings: ['zstd', 'gzip'], level: 1 })
  t.equal(httpOf({ 'disable-access-log': 'true' }).accessLog, undefined)
  t.match(httpOf({ 'log-format-upstream': '$remote_addr' }).accessLog, { format: '$remote_addr' })
  t.match(httpOf({ 'enable-opentelemetry': 'true', 'otlp-collector-host': 'otel.x' }).tracing, {
    endpoint: 'http://otel.x:4318/v1/traces',
    always: true,
    samplePpm: 1_000_000,
    trustParent: true,
  })
  t.match(httpOf({ 'otlp-collector-host': 'fd00::1' }).tracing, {
    endpoint: 'http://[fd00::1]:4318/v1/traces',
    always: false,
  })
  for (const [host, port, endpoint] of [
    ['otel.x', '4317', 'grpc://otel.x:4317'],
    ['https://otel.x', '4317', 'grpcs://otel.x:4317'],
    ['https://otel.x', '443', 'https://otel.x:443/v1/traces'],
  ] as const)
    t.equal(httpOf({ 'otlp-collector-host': host, 'otlp-collector-port': port }).tracing?.endpoint, endpoint)
  t.equal(httpOf({ 'enable-opentelemetry': 'true', 'otlp-collector-host': 'a b' }).tracing, undefined)
  t.equal(httpOf({ 'server-tokens': 'false' }).server, '')
  t.match(
    roomOf({ 'ssl-protocols': 'TLSv1 TLSv1.3', 'ssl-ciphers': 'ECDHE-RSA-AES128-GCM-SHA256:!aNULL' }).row(
      'listener',
      'https',
    ).serves,
    { https: { protocols: ['TLSv1.3'], ciphers: ['ECDHE-RSA-AES128-GCM-SHA256'] } },
  )
  t.match(
    roomOf({ 'worker-shutdown-timeout': '10s', 'upstream-keepalive-connections': '5', 'load-balance': 'ewma' }).row(
      'cluster',
      'x/a:80',
    ),
    { keepAlive: { connections: 5 }, balance: 'leastRequest' },
  )
  t.end()
})

t.test('defaults of all routes, which an Ingress may have otherwise', (t) => {
  const room = roomOf({
    'proxy-body-size': '5m',
    'proxy-read-timeout': '7',
    'whitelist-source-range': '10.0.0.0/8',
    'add-headers': 'f/h',
    'hide-headers': 'X-Powered-By',
  })
  room.put(configMap('f/h', { 'X-A': 'b' }))
  const route = room.route('http://h.org/')
  t.match(route.action, { forward: { bodyMaxBytes: 5 * 1024 * 1024, timeouts: { readMs: 7_000 } } })
  t.match(route.filters, {
    sources: { allow: ['10.0.0.0/8'] },
    responseHeaders: { remove: ['X-Powered-By'], set: [['X-A', 'b']] },
  })
  room.put(
    ingress('x/i', {
      paths: { 'h.org/': 'a' },
      annotations: { 'whitelist-source-range': '192.0.2.0/24', 'proxy-read-timeout': '9' },
    }),
  )
  t.match(room.route('http://h.org/').filters?.sources, { allow: ['192.0.2.0/24'] })
  t.equal(roomOf({ 'whitelist-source-range': 'everybody' }).ask('http://h.org/'), '503', 'closed, not open')
  t.match(roomOf({ 'main-snippet': 'x', 'proxy-body-sise': '1m', 'keep-alive': 'long' }).complaints(), [
    /keep-alive\]: is "long"/,
    /main-snippet\]: is configuration of nginx/,
    /proxy-body-sise\]: is not known/,
  ])
  t.match(new IngressRoom({ configMap: 'f/gone' }).complaints(), [
    /^ConfigMap f\/gone : does not exist; the defaults hold/,
  ])
  t.end()
})

t.test('patterns of linear time', (t) => {
  for (const good of [
    '/a',
    '/api(/|$)(.*)',
    '/[a-z]+\\.php',
    '/(?i)x',
    '/(?:a|b){2,3}',
    '/(?P<n>x)',
    '/a\\/b\\-c',
    '/[]a]',
    '/x*?',
  ])
    t.same(checkPattern(good), { pattern: good }, good)
  for (const [bad, why] of [
    ['/(?!x)', 'look-around'],
    ['/(?<=a)b', 'look-around'],
    ['/(a)\\1', 'back-reference'],
    ['/a++', 'possessive'],
    ['/(?>a)', 'atomic'],
    ['/a(', 'does not compile'],
    ['/[z-a]', 'does not compile'],
  ] as const)
    t.match(checkPattern(bad), { problem: new RegExp(why) }, bad)
  t.equal(groupsOf('/a(b)(?:c)[(](?P<d>e)\\('), 2)
  t.end()
})

t.test('the certificate that nobody trusts', (t) => {
  const now = new Date('2026-06-01T00:00:00Z')
  const certificate = new X509Certificate(spareCertificate(now).chain)
  t.match(certificate.subject, /O=Acme Co\nCN=Kubernetes Ingress Controller Fake Certificate/)
  t.equal(certificate.subjectAltName, 'DNS:ingress.local')
  t.ok(certificate.verify(certificate.publicKey), 'signed by itself')
  t.equal(certificate.ca, false)
  t.equal(Date.parse(certificate.validTo), Date.parse('2027-06-01T00:00:00Z'))
  t.end()
})

t.test('statuses to write: of those served, by the leader, until they stand there; none of others', (t) => {
  const tables = createTables()
  const { ingresses } = createInlets(tables)
  const graph = new Graph()
  const plans = new InputTable<Plan>('plans')
  const post = new InputTable<readonly string[]>('post')
  const duties = deriveDuties(graph, tables.ingresses, plans, post)
  const put = (name: string, published: readonly string[]): void =>
    ingresses.put({
      ...(ingress(`x/${name}`) as Raw),
      status: { loadBalancer: { ingress: published.map((ip) => ({ ip })) } },
    })
  const now = (): string[] => {
    graph.settle()
    return [...duties.entries()].map(([key, { addresses }]) => `${key} ${addresses.join(' ')}`).sort()
  }
  for (const [name, published] of [
    ['ours', []],
    ['written', ['192.0.2.1']],
    ['left', ['192.0.2.1']],
    ['alien', ['198.51.100.1']],
  ] as const)
    put(name, published)
  for (const name of ['ours', 'written']) plans.put(`x/${name}`, {} as Plan)
  for (const table of [plans, post]) table.markSynced()
  ingresses.synced()
  t.same(now(), [], 'not the leader')
  post.put('', ['192.0.2.1'])
  t.same(now(), ['x/left ', 'x/ours 192.0.2.1'])
  put('ours', ['192.0.2.1'])
  put('left', [])
  t.same(now(), [])
  post.drop('')
  put('ours', [])
  t.same(now(), [])
  t.end()
})
