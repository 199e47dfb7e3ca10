import t from 'tap'
import {
  backend,
  backendObjects,
  configMap,
  endpointsOf,
  ingress,
  otherKey,
  secret,
  tlsSecret,
} from '../contract/ingress-objects.ts'
import { IngressRoom } from '../contract/ingress-room.ts'
import type { Raw } from '../contract/service-objects.ts'

const A = backendObjects('x/a', ['10.0.0.1'])
const B = backendObjects('x/b', ['10.0.0.2'])
const C = backendObjects('x/c', ['10.0.0.3'])
const ALL: readonly Raw[] = [...A, ...B, ...C]
const TO_A = '10.0.0.1:8080'
const TO_B = '10.0.0.2:8080'
const TO_C = '10.0.0.3:8080'

/** The feature files of kubernetes-sigs/ingress-controller-conformance, as tables. */
t.test('conformance: default_backend', (t) => {
  const room = new IngressRoom({}, [...ALL, ingress('x/i', { spec: { defaultBackend: backend('a') } })])
  for (const url of ['/', '/foo', '/foo/bar', '/foo?x=1', '/FOO', '/%20'])
    t.equal(room.ask(`http://any.example${url}`), TO_A, url)
  t.end()
})

t.test('conformance: host_rules', (t) => {
  const paths = { '*.foo.com/': 'a', 'foo.bar.com/': 'b' }
  const room = new IngressRoom({}, [
    ...ALL,
    tlsSecret('x/cert', ['foo.bar.com']),
    ingress('x/i', { paths, tls: [{ hosts: ['foo.bar.com'], secretName: 'cert' }] }),
  ])
  const table = [
    ['https://foo.bar.com/', TO_B],
    ['http://bar.foo.com/', TO_A],
    ['http://foo.com/', '404'],
    ['http://baz.bar.foo.com/', '404'],
    ['https://sub.foo.bar.com/', '404'],
    ['http://other.com/', '404'],
    ['http://foo.bar.com/x', '308 https://foo.bar.com/x'],
  ] as const
  for (const [url, wanted] of table) t.equal(room.ask(url), wanted, url)
  t.equal(room.fake.shown('foo.bar.com'), 'pair x/cert')
  t.equal(room.fake.shown('other.com'), 'pair default')
  t.end()
})

t.test('conformance: ingress_class', (t) => {
  const mine = {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'IngressClass',
    metadata: { name: 'other' },
    spec: { controller: 'example.org/other' },
  }
  const room = new IngressRoom({}, [...ALL, mine, ingress('x/i', { paths: { 'a.org/': 'a' }, className: 'other' })])
  t.equal(room.ask('http://a.org/'), '404')
  t.end()
})

t.test('conformance: load_balancing', (t) => {
  const addresses = Array.from({ length: 10 }, (_, i) => `10.0.1.${i + 1}`)
  const room = new IngressRoom({}, [
    ...backendObjects('x/many', addresses),
    ingress('x/i', { paths: { 'lb.org/': 'many' } }),
  ])
  const outcome = room.outcome('http://lb.org/')
  t.equal(outcome.kind === 'forwarded' && outcome.to.size, 10, 'all endpoints')
  t.end()
})

t.test('conformance: path_rules', (t) => {
  const hosts: Record<string, Readonly<Record<string, string>>> = {
    'exact.org': { '=exact.org/foo': 'a' },
    'prefix.org': { '^prefix.org/foo': 'a' },
    'mixed.org': { '^mixed.org/foo': 'a', '=mixed.org/foo': 'b' },
    'several.org': { '^several.org/aaa/bbb': 'a', '^several.org/aaa': 'b', '^several.org/': 'c' },
    'slash.org': { '^slash.org/aaa/bbb/': 'a', '=slash.org/foo/': 'b' },
  }
  const room = new IngressRoom({}, [
    ...ALL,
    ...Object.entries(hosts).map(([host, paths]) => ingress(`x/${host}`, { paths })),
  ])
  const table = [
    ...[
      ['exact.org/foo', TO_A],
      ['exact.org/foo/', '404'],
      ['exact.org/FOO', '404'],
      ['exact.org/bar', '404'],
    ],
    ...[
      ['prefix.org/foo', TO_A],
      ['prefix.org/foo/', TO_A],
      ['prefix.org/FOO', '404'],
      ['prefix.org/foo/bar', TO_A],
    ],
    ...[
      ['prefix.org/foobar', '404'],
      ['mixed.org/foo', TO_B],
      ['mixed.org/foo/', TO_A],
    ],
    ...[
      ['several.org/aaa/bbb', TO_A],
      ['several.org/aaa/bbb/ccc', TO_A],
      ['several.org/aaa/ccc', TO_B],
    ],
    ...[
      ['several.org/aaaccc', TO_C],
      ['several.org/aaa/', TO_B],
      ['several.org/ccc', TO_C],
    ],
    ...[
      ['slash.org/aaa/bbb', TO_A],
      ['slash.org/aaa/bbb/', TO_A],
      ['slash.org/foo', '404'],
      ['slash.org/foo/', TO_B],
    ],
  ] as [string, string][]
  for (const [url, wanted] of table) t.equal(room.ask(`http://${url}`), wanted, url)
  t.end()
})

t.test('who is older has a path; the other one is told, and has it once the first is gone', (t) => {
  const first = ingress('x/z', { paths: { 'a.org/': 'a' }, created: '2025-01-01T00:00:00Z' })
  const second = ingress('x/a', { paths: { 'a.org/': 'b', 'a.org/b': 'b' } })
  const room = new IngressRoom({}, [...ALL, second, first])
  t.equal(room.ask('http://a.org/'), TO_A)
  t.equal(room.ask('http://a.org/b'), TO_B)
  t.match(room.complaints(), [
    /^Ingress x\/a spec.rules\[0\].http.paths\[0\]: claims the path \/ of a.org, which Ingress x\/z, which is older, has/,
  ])
  room.drop(first)
  t.equal(room.ask('http://a.org/'), TO_B)
  t.same(room.complaints(), [])
  t.end()
})

t.test('classes: controller, annotation, default class, none', (t) => {
  const host = (name: string, className: string | null, annotation?: string): Raw =>
    ingress(`x/${name}`, {
      paths: { [`${name}.org/`]: 'a' },
      className,
      ...(annotation && { annotations: { 'kubernetes.io/ingress.class': annotation } }),
    })
  const objects = [
    ...ALL,
    host('named', 'nginx'),
    host('unknown', 'nobody'),
    host('old', null, 'nginx'),
    host('alien', null, 'traefik'),
    host('none', null),
  ]
  const room = new IngressRoom({}, objects)
  const served = (): string =>
    ['named', 'unknown', 'old', 'alien', 'none'].filter((name) => room.ask(`http://${name}.org/`) === TO_A).join(' ')
  t.equal(served(), 'named old')
  room.put({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'IngressClass',
    metadata: { name: 'own', annotations: { 'ingressclass.kubernetes.io/is-default-class': 'true' } },
    spec: { controller: 'fairlead.io/ingress' },
  })
  t.equal(served(), 'named old none')
  t.equal(new IngressRoom({ watchWithoutClass: true }, objects).ask('http://none.org/'), TO_A)
  t.equal(new IngressRoom({ className: 'traefik' }, objects).ask('http://alien.org/'), TO_A)
  t.equal(new IngressRoom({ controllers: ['example.org/x'] }, objects).ask('http://named.org/'), '404')
  t.end()
})

t.test('backends: names of ports, missing ones, none ready, draining, both families, names', (t) => {
  const external = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { namespace: 'x', name: 'ext' },
    spec: {
      ...{ type: 'ExternalName', externalName: 'db.example.org' },
      ports: [
        { name: 'http', port: 80, targetPort: 8080 },
        { name: 'db', port: 5432, targetPort: 'db' },
      ],
    },
  }
  const local = {
    ...external,
    ...{ metadata: { namespace: 'x', name: 'local' }, spec: { type: 'ExternalName', externalName: 'LOCALHOST.' } },
  }
  const paths = {
    'h.org/': 'a:http',
    'h.org/port': 'a:81',
    'h.org/gone': 'gone',
    'h.org/ext': 'ext:8443',
    'h.org/declared': 'ext',
    'h.org/named': 'ext:db',
    'h.org/unnamed': 'ext:web',
    'h.org/local': 'local',
    'h.org/empty': 'empty',
  }
  const resource = { apiGroup: 'k8s.example.com', kind: 'Bucket', name: 'b' }
  const i = ingress('x/i', { paths })
  i['spec'].rules[0].http.paths.push({ path: '/resource', pathType: 'Prefix', backend: { resource } })
  const room = new IngressRoom({}, [...ALL, external, local, ...backendObjects('x/empty', []), i])
  t.equal(room.ask('http://h.org/'), TO_A)
  for (const path of ['port', 'gone', 'empty', 'resource', 'unnamed', 'local'])
    t.equal(room.ask(`http://h.org/${path}`), '503', path)
  t.equal(room.ask('http://h.org/ext'), 'db.example.org:8443', 'every number')
  t.equal(room.ask('http://h.org/declared'), 'db.example.org:8080', 'its target')
  t.equal(room.ask('http://h.org/named'), 'db.example.org:5432', 'a name of a container is none of a host')
  t.match(room.complaints(), [
    /^Ingress x\/i spec.rules\[0\].http.paths\[9\].backend.resource: is not supported/,
    /gone.*does not exist/,
    /x\/local, whose externalName is localhost: the proxy itself/,
    /names port 81 of the Service x\/a, which has http=80\/tcp/,
  ])
  room.put(
    endpointsOf('x/empty', [
      {
        addresses: ['10.0.0.7'],
        conditions: { ready: false, serving: true, terminating: true },
        hints: { forZones: [{ name: 'z1' }] },
        targetRef: { kind: 'Pod', name: 'old' },
      },
      { addresses: ['10.0.0.8'], conditions: { ready: false, serving: false, terminating: true } },
    ]),
  )
  t.equal(room.ask('http://h.org/empty'), '10.0.0.7:8080', 'better than nothing')
  const [row] = room.fake.endpointsOf('x/empty:80')
  t.match(row, { draining: true, zones: ['z1'], label: 'old', weight: 1 })
  room.put(endpointsOf('x/empty', [{ addresses: ['fd00::1'], conditions: {} }], undefined, '2'))
  t.equal(room.ask('http://h.org/empty'), '[fd00::1]:8080', 'IPv6, nil is ready')
  t.end()
})

t.test('one endpoint costs one row', (t) => {
  const addresses = Array.from({ length: 100 }, (_, i) => `10.0.1.${i + 1}`)
  const room = new IngressRoom({}, [
    ...backendObjects('x/many', addresses),
    ingress('x/i', { paths: { 'lb.org/': 'many', 'lb.org/2': 'many' } }),
  ])
  room.put(
    endpointsOf(
      'x/many',
      addresses.slice(1).map((address) => ({ addresses: [address], conditions: { ready: true } })),
    ),
  )
  t.same(room.settle(), { put: [], drop: ['endpoint x/many:80 10.0.1.1 8080'] })
  t.end()
})

t.test('certificates: usable ones, missing ones, wrong ones, late ones', (t) => {
  const tls = (name: string) => [{ hosts: [`${name}.org`], secretName: name }]
  const hosts = ['good', 'missing', 'mismatch', 'other', 'expired']
  const pair = tlsSecret('x/mismatch', ['mismatch.org'])
  const room = new IngressRoom({}, [
    ...ALL,
    tlsSecret('x/good', ['good.org']),
    { ...pair, data: { ...pair['data'], 'tls.key': Buffer.from(otherKey()).toString('base64') } },
    tlsSecret('x/other', ['elsewhere.org']),
    tlsSecret('x/expired', ['expired.org'], new Date('2026-05-01')),
    ...hosts.map((name) => ingress(`x/${name}`, { paths: { [`${name}.org/`]: 'a' }, tls: tls(name) })),
  ])
  t.same(
    hosts.map((name) => room.fake.shown(`${name}.org`)),
    ['pair x/good', 'pair default', 'pair default', 'pair x/other', 'pair x/expired'],
  )
  t.same([...room.fake.secrets.keys()].sort(), ['pair default', 'pair x/expired', 'pair x/good', 'pair x/other'])
  t.match(room.complaints(), [
    /Ingress x\/expired spec.tls\[0\].secretName: names the Secret x\/expired, whose certificate expired on 2026-05-01/,
    /Ingress x\/mismatch.*tls.key that is not that of its tls.crt; the default certificate is shown for mismatch.org/,
    /Ingress x\/missing.*does not exist/,
    /Ingress x\/other.*whose certificate is not for other.org but for elsewhere.org/,
  ])
  room.put(tlsSecret('x/missing', ['missing.org']))
  room.settle()
  t.equal(room.fake.shown('missing.org'), 'pair x/missing')
  t.end()
})

t.test('TLS: no secretName, no hosts, the controller own default, HSTS, 308 off', (t) => {
  const room = new IngressRoom({ defaultCertificate: 'x/default' }, [
    ...ALL,
    tlsSecret('x/default', ['d.org']),
    ingress('x/a', { paths: { 'a.org/': 'a' }, tls: [{ hosts: ['a.org'] }] }),
    ingress('x/b', { paths: { 'b.org/': 'b' }, tls: [{}], annotations: { 'ssl-redirect': 'false' } }),
    ingress('x/c', { paths: { 'c.org/': 'c' }, annotations: { 'force-ssl-redirect': 'true' } }),
  ])
  t.equal(room.fake.shown('a.org'), 'pair default')
  t.match(room.fake.secrets.get('pair default'), { chain: /BEGIN CERTIFICATE/ })
  t.equal(room.ask('http://a.org/x/'), '308 https://a.org/x/')
  t.equal(room.ask('http://b.org/'), TO_B)
  t.equal(room.ask('http://c.org/'), '308 https://c.org/')
  t.same(room.route('https://b.org/').filters?.responseHeaders?.set, [
    ['Strict-Transport-Security', 'max-age=31536000; includeSubDomains'],
  ])
  t.equal(room.route('http://b.org/').filters, undefined)
  t.equal(room.ask('https://a.org/'), TO_A)
  t.end()
})

t.test('TLS that somebody before us ended, and says so', (t) => {
  const objects = [...ALL, ingress('x/c', { paths: { 'c.org/': 'c' }, annotations: { 'force-ssl-redirect': 'true' } })]
  const behind = configMap('f/c', { 'use-forwarded-headers': 'true', 'proxy-real-ip-cidr': '10.1.0.0/16' })
  const room = new IngressRoom({ configMap: 'f/c' }, [...objects, behind])
  t.equal(room.ask('http://c.org/', { headers: { 'x-forwarded-proto': 'https' } }), TO_C)
  t.equal(room.ask('http://c.org/'), '308 https://c.org/')
  t.match(room.row('listener', 'http'), { serves: { http: { trusted: ['10.1.0.0/16'] } } })
  t.equal(
    new IngressRoom({}, objects).ask('http://c.org/', { headers: { 'x-forwarded-proto': 'https' } }),
    '308 https://c.org/',
  )
  t.end()
})

t.test('default backends: of an Ingress, of the controller', (t) => {
  const objects = [
    ...ALL,
    ingress('x/i', { paths: { 'a.org/a': 'a' }, spec: { defaultBackend: backend('b') } }),
    ingress('x/j', { paths: { 'j.org/a': 'a' } }),
  ]
  const room = new IngressRoom({ defaultBackend: 'x/c' }, objects)
  t.equal(room.ask('http://a.org/a'), TO_A)
  t.equal(room.ask('http://a.org/other'), TO_B, 'what no path takes')
  t.equal(room.ask('http://unknown.org/'), TO_B, 'nor any host')
  t.equal(room.ask('http://j.org/other'), TO_C, 'of another Ingress: the controller')
  t.equal(room.ask('http://j.org/a'), TO_A)
  t.end()
})

t.test('streams', (t) => {
  const room = new IngressRoom({ tcpServices: 'f/tcp', udpServices: 'f/udp' }, [
    ...backendObjects('x/a', ['10.0.0.1'], {
      ports: [
        { name: 'http', port: 80 },
        { name: 'dns', port: 53, protocol: 'UDP' },
      ],
    }),
    endpointsOf(
      'x/a',
      [{ addresses: ['10.0.0.1'], conditions: {} }],
      [
        { name: 'http', port: 8080 },
        { name: 'dns', port: 5353, protocol: 'UDP' },
      ],
    ),
    configMap('f/tcp', {
      '9000': 'x/a:80:PROXY:PROXY',
      '9001': 'x/a:http',
      '80': 'x/a:80',
      '9002': 'x/none:80',
      '9003': 'what',
    }),
    configMap('f/udp', { '53': 'x/a:53' }),
  ])
  t.match(room.row('listener', 'tcp 9000'), {
    port: 9000,
    serves: { tcp: { cluster: 'tcp x/a:80 PROXY', connectMs: 5_000, idleMs: 600_000 } },
    proxyProtocol: ['0.0.0.0/0', '::/0'],
    proxyProtocolTimeoutMs: 5_000,
  })
  t.match(room.row('cluster', 'tcp x/a:80 PROXY'), { protocol: 'raw', proxyProtocol: 'v1' })
  t.match(room.row('listener', 'udp 53'), { serves: { udp: { cluster: 'udp x/a:53', responses: 1 } } })
  t.match(room.fake.endpointsOf('udp x/a:53'), [{ port: 5353 }])
  t.match(room.fake.endpointsOf('tcp x/a:http'), [{ port: 8080 }])
  t.equal(room.complaints().length, 3)
  t.end()
})

t.test('Secrets are read by reference only', (t) => {
  const room = new IngressRoom({ configMap: 'f/c' }, [
    ...ALL,
    secret('x/else', { auth: 'nobody:knows' }),
    ingress('x/i', {
      paths: { 'a.org/': 'a' },
      tls: [{ hosts: ['a.org'], secretName: 's' }],
      annotations: { 'auth-type': 'basic', 'auth-secret': 'y/users', 'custom-headers': 'h' },
    }),
  ])
  t.same([...room.proxying.references.entries()].map(([key]) => key).sort(), [
    'ConfigMap f/c',
    'ConfigMap x/h',
    'Secret x/s',
    'Secret y/users',
  ])
  t.same([...room.fake.secrets.keys()], ['pair default'])
  t.end()
})

t.test('endpoints meant for the zone of the proxy get its requests, when each is meant for one', (t) => {
  const meant = (address: string, ...zones: string[]): Raw => ({
    ...{ addresses: [address], conditions: {} },
    ...(zones.length > 0 && { hints: { forZones: zones.map((name) => ({ name })) } }),
  })
  const asked = (...endpoints: readonly Raw[]) => {
    const room = new IngressRoom({ zone: 'z1' }, [...A, ingress('x/i', { paths: { 'h.org/': 'a' } })])
    room.put(endpointsOf('x/a', [...endpoints]))
    return room.ask('http://h.org/')
  }
  t.equal(asked(meant('10.0.0.1', 'z1'), meant('10.0.0.2', 'z2')), TO_A)
  for (const all of [
    [meant('10.0.0.1', 'z1'), meant('10.0.0.2')],
    [meant('10.0.0.1', 'z3'), meant('10.0.0.2', 'z2')],
  ])
    t.not(asked(...all), TO_A, 'all take part')
  t.end()
})
