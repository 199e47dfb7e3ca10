import fc from 'fast-check'
import t from 'tap'
import {
  backend,
  backendObjects,
  configMap,
  endpointsOf,
  ingress,
  secret,
  tlsSecret,
} from '../contract/ingress-objects.ts'
import { IngressRoom } from '../contract/ingress-room.ts'
import type { Raw } from '../contract/service-objects.ts'

/** Random small clusters: few names, so that everything meets everything. */
const HOSTS = ['a.org', 'b.org', 'www.a.org', '*.a.org', '']
const PATHS = ['/', '/x', '/x/', '/x/y', '/x(/|$)(.*)', '/(?=no)']
const SERVICES = ['s', 't', 'ext', 'gone']
const pathname = fc.constantFrom('n/i', 'n/j', 'm/k')

const rule = fc
  .tuple(
    fc.constantFrom('=', '^', '~'),
    fc.constantFrom(...HOSTS),
    fc.constantFrom(...PATHS),
    fc.constantFrom(...SERVICES),
    fc.constantFrom('', ':http', ':81'),
  )
  .map(([type, host, path, service, port]): [string, string] => [`${type}${host}${path}`, `${service}${port}`])
const annotation = fc.constantFrom<[string, string]>(
  ...([
    ['use-regex', 'true'],
    ['rewrite-target', '/$2'],
    ['ssl-redirect', 'false'],
    ['force-ssl-redirect', 'true'],
    ['server-alias', 'b.org,c.org'],
    ['from-to-www-redirect', 'true'],
    ['canary', 'true'],
    ['canary-weight', '30'],
    ['canary-by-header', 'X-Canary'],
    ['canary-by-cookie', 'c'],
    ['affinity', 'cookie'],
    ['service-upstream', 'true'],
    ['backend-protocol', 'GRPCS'],
    ['backend-protocol', 'nonsense'],
    ['default-backend', 't'],
    ['custom-http-errors', '404'],
    ['app-root', '/home'],
    ['auth-type', 'basic'],
    ['auth-secret', 'tls'],
    ['auth-tls-secret', 'n/ca'],
    ['auth-url', 'http://auth.example/check'],
    ['limit-rps', '5'],
    ['whitelist-source-range', '10.0.0.0/8'],
    ['whitelist-source-range', 'nobody'],
    ['custom-headers', 'n/headers'],
    ['mirror-target', 'http://copy.example$request_uri'],
    ['configuration-snippet', 'more_set_headers "A: b";'],
    ['ssl-passthrough', 'true'],
    ['unknown', 'x'],
  ] as [string, string][]),
)
const tls = fc.record({
  hosts: fc.subarray(['a.org', 'b.org', '*.a.org']),
  secretName: fc.constantFrom('tls', 'ca', undefined),
})
const anyIngress = fc
  .record({
    path: pathname,
    rules: fc.array(rule, { maxLength: 4 }),
    annotations: fc.array(annotation, { maxLength: 4 }),
    tls: fc.option(tls, { nil: undefined }),
    created: fc.constantFrom('2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z'),
    spare: fc.option(fc.constantFrom(...SERVICES), { nil: undefined }),
    className: fc.constantFrom('nginx', 'nginx', 'nginx', 'other', null),
  })
  .map(({ path, rules, annotations, tls, spare, ...rest }) =>
    ingress(path, {
      ...rest,
      paths: Object.fromEntries(rules),
      annotations: Object.fromEntries(annotations),
      ...(tls && { tls: [tls] }),
      ...(spare && { spec: { defaultBackend: backend(spare) } }),
    }),
  )

const certificate = tlsSecret('n/tls', ['a.org', '*.a.org'])
const authority = secret('n/ca', { 'ca.crt': Buffer.from(certificate['data']['tls.crt'], 'base64').toString() })
const address = fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.0.3')
const conditions = fc.constantFrom({}, { ready: false }, { ready: false, serving: true, terminating: true })
const anySlice = fc
  .tuple(
    fc.constantFrom('n/s', 'n/t', 'm/s'),
    fc.constantFrom('1', '2'),
    fc.array(fc.tuple(address, conditions), { maxLength: 3 }),
  )
  .map(([path, suffix, list]) =>
    endpointsOf(
      path,
      list.map(([ip, conditions]) => ({ addresses: [ip], conditions })),
      undefined,
      suffix,
    ),
  )
const anyService = fc.oneof(
  fc
    .tuple(fc.constantFrom('n/s', 'n/t', 'm/s'), fc.constantFrom('http', 'web'))
    .map(([path, name]) => backendObjects(path, [], { ports: [{ name, port: 80 }] })[0]!),
  fc.constant(backendObjects('n/ext', [], { type: 'ExternalName', externalName: 'db.example.org' })[0]!),
)
const anyClass = fc
  .tuple(fc.constantFrom('nginx', 'other'), fc.boolean(), fc.constantFrom('k8s.io/ingress-nginx', 'example.org/x'))
  .map(([name, isDefault, controller]) => ({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'IngressClass',
    metadata: { name, annotations: { 'ingressclass.kubernetes.io/is-default-class': String(isDefault) } },
    spec: { controller },
  }))
const anyConfig = fc.oneof(
  fc
    .constantFrom(
      {},
      { 'ssl-redirect': 'false' },
      { 'use-forwarded-headers': 'true' },
      { 'add-headers': 'n/headers' },
      { 'global-auth-url': 'http://auth.example/' },
    )
    .map((data) => configMap('f/c', data)),
  fc
    .constantFrom<Record<string, string>>({ 'X-A': 'b' }, { 'not a header': 'b' })
    .map((data) => configMap('n/headers', data)),
  fc
    .constantFrom<Record<string, string>>({ '9000': 'n/s:80' }, { '9000': 'n/gone:80', '9001': 'n/t:http' })
    .map((data) => configMap('f/tcp', data)),
)
const anyObject: fc.Arbitrary<Raw> = fc.oneof(
  { weight: 8, arbitrary: anyIngress },
  { weight: 4, arbitrary: anySlice },
  { weight: 3, arbitrary: anyService },
  { weight: 1, arbitrary: anyClass },
  { weight: 2, arbitrary: anyConfig },
  { weight: 2, arbitrary: fc.constantFrom(certificate, authority) },
)
const anySteps = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: anyObject.map((object) => ({ do: 'put' as const, object })) },
    { weight: 3, arbitrary: anyObject.map((object) => ({ do: 'drop' as const, object })) },
    { weight: 3, arbitrary: fc.constant({ do: 'settle' as const }) },
  ),
  { maxLength: 50, size: 'max' },
)
const anyOptions = fc.record({
  configMap: fc.constantFrom('f/c', null),
  tcpServices: fc.constantFrom('f/tcp', null),
  defaultBackend: fc.constantFrom('n/t', null),
  defaultCertificate: fc.constantFrom('n/tls', null),
  passthrough: fc.boolean(),
})

const nameOf = ({ kind, metadata }: Raw): string => `${kind} ${metadata.namespace ?? ''}/${metadata.name}`

t.test('incremental equals full: no row or rejection depends on history', (t) => {
  let routes = 0
  fc.assert(
    fc.property(anyOptions, anySteps, (options, steps) => {
      const objects = new Map<string, Raw>()
      const room = new IngressRoom(options)
      objects.set('IngressClass /nginx', {
        kind: 'IngressClass',
        metadata: { name: 'nginx' },
        spec: { controller: 'k8s.io/ingress-nginx' },
      })
      for (const each of steps) {
        if (each.do === 'settle') room.settle()
        else if (each.do === 'drop') {
          room.drop(each.object)
          objects.delete(nameOf(each.object))
        } else {
          room.put(each.object)
          objects.set(nameOf(each.object), each.object)
        }
      }
      room.settle()
      // The same objects, in another order, at once.
      const full = new IngressRoom(options, [...objects.values()].toReversed())
      if (!objects.has('IngressClass /nginx')) full.drop({ kind: 'IngressClass', metadata: { name: 'nginx' } })
      full.settle()
      same(room.rows(), full.rows())
      same(sorted(room.fake.rows), full.rows())
      same(sorted(room.fake.secrets), sorted(full.fake.secrets))
      same(sorted(new Map(room.proxying.references.entries())), sorted(new Map(full.proxying.references.entries())))
      same(room.rejections(), full.rejections())
      if (room.proxying.rows.size !== full.rows().size) throw new Error('size')
      routes += [...full.rows().keys()].filter((key) => key.startsWith('route')).length
    }),
    { numRuns: 300 },
  )
  t.ok(routes > 500, `${routes} routes in 300 histories`)
  t.end()
})

function sorted<T>(map: ReadonlyMap<string, T>): ReadonlyMap<string, T> {
  return new Map([...map].sort(([a], [b]) => (a < b ? -1 : 1)))
}

function same(actual: unknown, wanted: unknown): void {
  const [a, b] = [actual, wanted].map((it) => JSON.stringify(it instanceof Map ? [...it] : it, null, 1))
  if (a !== b) throw new Error(`${a}\nis not\n${b}`)
}
