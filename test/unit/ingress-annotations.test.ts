import { join } from 'node:path'
import t from 'tap'
import { readManifests } from '../../src/cluster/manifest.ts'
import type { Forward, Route } from '../../src/carrier/proxy.ts'
import { backendObjects, configMap, ingress, secret, tlsSecret } from '../contract/ingress-objects.ts'
import { IngressRoom } from '../contract/ingress-room.ts'
import type { Raw } from '../contract/service-objects.ts'

const A = backendObjects('x/a', ['10.0.0.1'])
const B = backendObjects('x/b', ['10.0.0.2'])
const TO_A = '10.0.0.1:8080'
const TO_B = '10.0.0.2:8080'

/** One Ingress with these annotations, and what else there is. */
const roomOf = (
  annotations: Readonly<Record<string, string>>,
  more: readonly Raw[] = [],
  paths: Readonly<Record<string, string>> = { 'h.org/': 'a' },
) => new IngressRoom({}, [...A, ...B, ingress('x/i', { paths, annotations }), ...more])
const forwardOf = (route: Route): Forward =>
  'forward' in route.action ? route.action.forward : (t.fail('no forward') as never)
const forward = (annotations: Readonly<Record<string, string>>) => forwardOf(roomOf(annotations).route('http://h.org/'))
const filters = (annotations: Readonly<Record<string, string>>, more: readonly Raw[] = []) =>
  roomOf(annotations, more).route('http://h.org/').filters ?? {}

t.test('defaults are those of ingress-nginx', (t) => {
  t.same(forward({}), {
    clusters: [{ cluster: 'x/a:80', weight: 1 }],
    timeouts: { connectMs: 5_000, readMs: 60_000, sendMs: 60_000, requestMs: 0 },
    retry: { tries: 3, withinMs: 0, onError: true, onTimeout: true, onStatuses: [], nonIdempotent: false },
    bodyMaxBytes: 1_048_576,
    bufferRequest: false,
    bufferResponseBytes: 0,
    mirrors: [],
  })
  t.same(filters({}), {})
  t.end()
})

t.test('rewrite-target, use-regex: patterns without regard to case for the whole host, longest first', (t) => {
  const room = roomOf({ 'rewrite-target': '/$2' }, [ingress('x/other', { paths: { '=h.org/Other': 'b' } })], {
    '~h.org/api(/|$)(.*)': 'a',
    '~h.org/api/v2/x': 'b',
  })
  const outcome = room.outcome('http://h.org/API/users/1')
  t.match(outcome, { kind: 'forwarded', path: '/users/1' })
  t.equal(room.ask('http://h.org/api/v2/xyz'), TO_A, 'the pattern is the longer text')
  t.equal(room.ask('http://h.org/apix'), '404')
  t.match(room.complaints(), [/paths\[1\].path: has 0 groups, but rewrite-target of its Ingress names \$2/])
  t.equal(room.ask('http://h.org/OTHER/below'), TO_B, 'Exact, of another Ingress, is a pattern, too')
  t.same(roomOf({ 'use-regex': 'true' }, [], { '~h.org/a(?=b)': 'a' }).complaints(), [
    'Ingress x/i spec.rules[0].http.paths[0].path: is the pattern "/a(?=b)", which uses look-around ((?=), which no engine of linear time has; the path is left out',
  ])
  t.match(roomOf({ 'use-regex': 'true' }, [], { '~h.org/a[': 'a' }).complaints(), [/does not compile/])
  t.equal(roomOf({}, [], { '~h.org/foo': 'a' }).ask('http://h.org/foobar'), TO_A, 'without: a prefix as nginx has it')
  t.equal(roomOf({}, [], { '~h.org/foo/': 'a' }).ask('http://h.org/foo'), '301 http://h.org/foo/')
  t.equal(roomOf({}, [], { '~h.org/foo/': 'a', '=h.org/foo': 'b' }).ask('http://h.org/foo'), TO_B)
  t.end()
})

t.test('redirects: app-root, permanent, temporal, www, aliases', (t) => {
  t.equal(roomOf({ 'app-root': '/home' }).ask('http://h.org/'), '302 http://h.org/home')
  t.equal(roomOf({ 'app-root': '/home' }).ask('http://h.org/x'), TO_A)
  t.equal(roomOf({ 'permanent-redirect': 'https://new.org/' }).ask('http://h.org/x'), '301 https://new.org/')
  t.equal(
    roomOf({ 'permanent-redirect': 'https://new.org/', 'permanent-redirect-code': '308' }).ask('http://h.org/x'),
    '308 https://new.org/',
  )
  t.equal(
    roomOf({ 'permanent-redirect': 'https://new.org/', 'temporal-redirect': 'https://t.org/' }).ask('http://h.org/x'),
    '302 https://t.org/',
  )
  t.match(roomOf({ 'permanent-redirect': 'javascript:alert(1)' }).complaints(), [
    /permanent-redirect\]: is "javascript:alert\(1\)", not a URL; not done/,
  ])
  const www = roomOf({ 'from-to-www-redirect': 'true' })
  t.equal(www.ask('http://www.h.org/x'), '308 http://h.org/x')
  www.put(ingress('x/www', { paths: { 'www.h.org/': 'b' } }))
  t.equal(www.ask('http://www.h.org/x'), TO_B, 'somebody has the name')
  const alias = roomOf({ 'server-alias': 'other.org, ~^www\\d+$' })
  t.equal(alias.ask('http://other.org/'), TO_A)
  t.match(alias.complaints(), [/server-alias.*patterns|not a host name/])
  alias.put(ingress('x/own', { paths: { 'other.org/x': 'b' } }))
  t.equal(alias.ask('http://other.org/'), '404', 'a host of its own')
  t.end()
})

t.test('times, sizes, buffers, retries', (t) => {
  t.same(forward({ 'proxy-connect-timeout': '1', 'proxy-read-timeout': '2', 'proxy-send-timeout': '3' }).timeouts, {
    connectMs: 1_000,
    readMs: 2_000,
    sendMs: 3_000,
    requestMs: 0,
  })
  t.equal(forward({ 'proxy-body-size': '8m' }).bodyMaxBytes, 8_388_608)
  t.equal(forward({ 'proxy-body-size': '0' }).bodyMaxBytes, undefined)
  t.match(roomOf({ 'proxy-body-size': 'many', 'proxy-read-timeout': '-1' }).complaints(), [
    /proxy-body-size\]: is "many", not a size; not used/,
    /proxy-read-timeout/,
  ])
  t.equal(
    forward({ 'proxy-buffering': 'on', 'proxy-buffer-size': '8k', 'proxy-buffers-number': '2' }).bufferResponseBytes,
    16_384,
  )
  t.equal(forward({ 'proxy-request-buffering': 'on' }).bufferRequest, true)
  t.match(
    forward({
      'proxy-next-upstream': 'error http_503 non_idempotent',
      'proxy-next-upstream-tries': '5',
      'proxy-next-upstream-timeout': '10',
    }).retry,
    {
      ...{ tries: 5, withinMs: 10_000, onError: true, onTimeout: false, onStatuses: [503], nonIdempotent: true },
    },
  )
  t.match(forward({ 'proxy-next-upstream': 'off' }).retry, { tries: 1, onError: false, onTimeout: false })
  t.equal(forward({ 'upstream-vhost': 'internal.org' }).host, 'internal.org')
  t.end()
})

t.test('backends: protocols, balancing, sessions, the Service itself', (t) => {
  const cluster = (annotations: Readonly<Record<string, string>>, more: readonly Raw[] = []) => {
    const room = roomOf(annotations, more)
    return room.row('cluster', forwardOf(room.route('http://h.org/')).clusters[0]!.cluster)
  }
  t.match(cluster({}), {
    protocol: 'http1',
    balance: 'roundRobin',
    keepAlive: { connections: 320, idleMs: 60_000, requestsMax: 10_000 },
  })
  t.match(cluster({ 'backend-protocol': 'HTTPS' }), { protocol: 'http1', tls: { verify: 'nothing' } })
  t.match(cluster({ 'backend-protocol': 'grpc' }), { protocol: 'http2', tls: undefined })
  t.match(cluster({ 'backend-protocol': 'GRPCS' }), { protocol: 'http2', tls: { verify: 'nothing' } })
  t.equal(roomOf({ 'backend-protocol': 'FCGI' }).ask('http://h.org/'), '503')
  t.match(cluster({ 'load-balance': 'ewma' }), { balance: 'leastRequest' })
  t.match(cluster({ 'upstream-hash-by': '$request_uri', 'load-balance': 'ewma' }), {
    balance: { hash: '$request_uri' },
  })
  t.match(roomOf({ 'upstream-hash-by': '$nonsense' }).complaints(), [/has the variable \$nonsense/])
  t.match(cluster({ affinity: 'cookie' }).sticky, { name: 'INGRESSCOOKIE', path: '/', changeOnFailure: false })
  t.same(
    cluster({
      affinity: 'cookie',
      'session-cookie-name': 'r',
      'session-cookie-max-age': '60',
      'session-cookie-samesite': 'Lax',
      'session-cookie-path': '/p',
      'session-cookie-secure': 'true',
    }).sticky,
    { name: 'r', path: '/p', changeOnFailure: false, maxAgeSeconds: 60, sameSite: 'Lax', secure: true },
  )
  const direct = roomOf({ 'service-upstream': 'true' })
  t.equal(direct.ask('http://h.org/'), '10.96.0.9:80')
  const grpc = backendObjects('x/a', ['10.0.0.1'], {
    ports: [{ name: 'http', port: 80, appProtocol: 'kubernetes.io/h2c' }],
  })
  t.match(cluster({}, grpc), { protocol: 'http2' })
  t.match(cluster({ 'backend-protocol': 'HTTP' }, grpc), { protocol: 'http1' }, 'who says it has the last word')
  t.end()
})

t.test('TLS to backends', (t) => {
  const pair = tlsSecret('x/ca', ['a'])
  const ca = secret('x/ca', { 'ca.crt': Buffer.from(pair['data']['tls.crt'], 'base64').toString() })
  const annotations = {
    'backend-protocol': 'HTTPS',
    'proxy-ssl-secret': 'x/ca',
    'proxy-ssl-verify': 'on',
    'proxy-ssl-name': 'inner.org',
  }
  const room = roomOf(annotations, [ca])
  t.same(room.row('cluster', 'x/a:80 (x/i)').tls, {
    serverName: 'inner.org',
    verify: { trust: 'trust x/ca' },
    depth: 1,
    protocols: ['TLSv1.2', 'TLSv1.3'],
  })
  t.match(room.fake.secrets.get('trust x/ca'), { kind: 'trust' })
  t.equal(
    roomOf({ 'backend-protocol': 'HTTPS', 'proxy-ssl-verify': 'on' }).ask('http://h.org/'),
    '503',
    'nobody to verify by',
  )
  t.end()
})

t.test('who may come: what cannot be understood closes', (t) => {
  t.same(filters({ 'whitelist-source-range': '10.0.0.0/8, 192.0.2.1' }).sources, {
    allow: ['10.0.0.0/8', '192.0.2.1/32'],
    deny: [],
  })
  t.same(filters({ 'denylist-source-range': '10.0.0.0/8' }).sources, { allow: [], deny: ['10.0.0.0/8'] })
  const closed = roomOf({ 'whitelist-source-range': '10.0.0.0/8,office' })
  t.equal(closed.ask('http://h.org/'), '503')
  t.match(closed.complaints(), [
    /^Ingress x\/i metadata.annotations\[nginx.ingress.kubernetes.io\/whitelist-source-range\]: has "office", not an address or network; all its routes answer 503 until it is mended/,
  ])
  for (const annotations of [
    { 'auth-type': 'digest' },
    { 'auth-type': 'basic' },
    { 'auth-url': 'ftp://x' },
    { 'auth-url': 'http://$host/x' },
    { 'auth-url': 'http://x/', 'auth-snippet': 'deny all;' },
    { 'auth-url': 'http://x/', 'auth-snippet': 'return 200;' },
    { 'backend-protocol': 'HTTPS', 'proxy-ssl-verify': 'on', 'proxy-ssl-secret': 'gone' },
    { 'auth-tls-secret': 'gone', 'force-ssl-redirect': 'false' },
  ])
    t.equal(roomOf(annotations).ask('https://h.org/'), '503', JSON.stringify(annotations))
  t.end()
})

t.test('limits', (t) => {
  t.same(
    filters({
      'limit-rps': '10',
      'limit-rpm': '100',
      'limit-connections': '3',
      'limit-burst-multiplier': '2',
      'limit-whitelist': '10.0.0.0/8',
    }).limits,
    {
      name: 'x/i',
      rates: [
        { requests: 100, perMs: 60_000, burst: 201 },
        { requests: 10, perMs: 1_000, burst: 21 },
      ],
      ...{ connections: 3, exempt: ['10.0.0.0/8'], status: 503, rateBytes: 0, rateAfterBytes: 0 },
    },
  )
  t.end()
})

t.test('users', (t) => {
  const users = secret('x/users', { auth: 'ann:$apr1$x$y\n# nobody\nbob:{SHA}z\n' })
  const room = roomOf({ 'auth-type': 'basic', 'auth-secret': 'users', 'auth-realm': 'shop' }, [users])
  t.same(room.route('http://h.org/').filters?.basic, { users: 'users x/users', realm: 'shop' })
  t.same(room.fake.secrets.get('users x/users'), { kind: 'users', lines: ['ann:$apr1$x$y', 'bob:{SHA}z'] })
  const map = roomOf({ 'auth-type': 'basic', 'auth-secret': 'x/map', 'auth-secret-type': 'auth-map' }, [
    secret('x/map', { ann: 'h1', bob: 'h2' }),
  ])
  t.same(map.fake.secrets.get('users x/map map'), { kind: 'users', lines: ['ann:h1', 'bob:h2'] })
  t.match(roomOf({ 'auth-type': 'basic', 'auth-secret': 'gone' }).complaints(), [
    /names the Secret x\/gone, which does not exist.*503/,
  ])
  t.match(roomOf({ 'auth-type': 'basic', 'auth-secret': 'map' }, [secret('x/map', { ann: 'h1' })]).complaints(), [
    /auth-secret-type.*which is not of the form auth-file; all requests get 503/,
  ])
  t.end()
})

t.test('another server is asked', (t) => {
  const asked = filters({ 'auth-url': 'http://x/', 'auth-snippet': 'proxy_set_header Foo-Header 42;' }).external
  t.same(asked?.requestHeaders.at(-1), ['Foo-Header', '42'])
  const external = filters({
    'auth-url': 'https://auth.example.org/check?x=$host',
    'auth-method': 'GET',
    'auth-signin': 'https://auth.example.org/start?rd=$escaped_request_uri',
    'auth-response-headers': 'X-User, X-Email',
    'auth-cache-key': '$remote_user',
    'auth-cache-duration': '200 10m, 401 5s',
  }).external
  t.match(external, {
    ...{
      cluster: 'https://auth.example.org:443',
      url: 'https://auth.example.org/check?x=$host',
      method: 'GET',
      responseHeaders: ['X-User', 'X-Email'],
    },
    ...{ signIn: 'https://auth.example.org/start?rd=$escaped_request_uri', redirectParameter: 'rd' },
    cache: {
      key: '$remote_user',
      statuses: [
        { statuses: [200], ms: 600_000 },
        { statuses: [401], ms: 5_000 },
      ],
    },
  })
  const room = roomOf({ 'auth-url': 'http://auth.x.svc.cluster.local:8080/check' })
  t.match(room.row('cluster', 'http://auth.x.svc.cluster.local:8080'), {
    resolve: { name: 'auth.x.svc.cluster.local', port: 8080 },
  })
  const global = new IngressRoom({ configMap: 'f/c' }, [
    ...[...A, ...B, configMap('f/c', { 'global-auth-url': 'http://auth.org/' })],
    ...[
      ingress('x/i', { paths: { 'h.org/': 'a' } }),
      ingress('x/j', { paths: { 'j.org/': 'a' }, annotations: { 'enable-global-auth': 'false' } }),
    ],
  ])
  t.match(global.route('http://h.org/').filters?.external, { cluster: 'http://auth.org:80' })
  t.equal(global.route('http://j.org/').filters, undefined)
  t.end()
})

t.test('client certificates', (t) => {
  const pair = tlsSecret('x/cert', ['h.org'])
  const ca = secret('x/ca', { 'ca.crt': Buffer.from(pair['data']['tls.crt'], 'base64').toString() })
  const room = roomOf(
    {
      'auth-tls-secret': 'x/ca',
      'auth-tls-verify-client': 'optional',
      'auth-tls-pass-certificate-to-upstream': 'true',
      'ssl-redirect': 'false',
    },
    [ca],
  )
  t.same(room.row('sni', 'h.org').shows, {
    certificate: {
      certificate: 'pair default',
      clients: { trust: 'trust x/ca', required: 'optional', depth: 1, pass: true },
    },
  })
  t.equal(room.ask('https://h.org/'), TO_A)
  t.equal(room.ask('http://h.org/'), '308 https://h.org/', 'never past it')
  const named = roomOf({ 'auth-tls-secret': 'x/ca', 'auth-tls-match-cn': 'CN=sh[oi]p', 'server-alias': 'g.org' }, [ca])
  const clients = { trust: 'trust x/ca', required: 'on', subject: 'CN=sh[oi]p' }
  t.match(named.row('sni', 'h.org').shows, { certificate: { clients } })
  t.match(
    named.row('sni', 'g.org').shows,
    { certificate: { certificate: 'pair default', clients } },
    'by no other name',
  )
  t.equal(roomOf({ 'auth-tls-secret': 'x/ca', 'auth-tls-match-cn': '(?=x)' }, [ca]).ask('https://h.org/'), '503')
  t.end()
})

t.test('CORS, cookies, Location, errors, headers, log', (t) => {
  t.match(filters({ 'enable-cors': 'true' }).cors, {
    origins: ['*'],
    methods: ['GET', 'PUT', 'POST', 'DELETE', 'PATCH', 'OPTIONS'],
    credentials: true,
    maxAgeSeconds: 1_728_000,
  })
  t.match(
    filters({
      'enable-cors': 'true',
      'cors-allow-origin': 'https://a.org, https://*.b.org:8443, nonsense',
      'cors-allow-methods': 'GET',
      'cors-max-age': '5',
    }).cors,
    {
      ...{ origins: ['https://a.org', 'https://*.b.org:8443'], methods: ['GET'], maxAgeSeconds: 5 },
    },
  )
  t.same(filters({ 'proxy-cookie-path': '/one /two', 'proxy-cookie-domain': 'a.org b.org' }).cookies, {
    paths: [['/one', '/two']],
    domains: [['a.org', 'b.org']],
  })
  t.match(
    roomOf({ 'proxy-cookie-path': '/ $nope', 'proxy-redirect-from': '/', 'proxy-redirect-to': '$nope' }).complaints(),
    [
      /proxy-cookie-path\]: has the variable \$nope, which is not known; not done/,
      /proxy-redirect-to\]: has the variable \$nope/,
    ],
  )
  t.same(filters({ 'proxy-redirect-from': 'http://a/', 'proxy-redirect-to': 'https://b/' }).locations, [
    'http://a/',
    'https://b/',
  ])
  t.same(filters({ 'custom-http-errors': '404,503', 'default-backend': 'b' }).errors, {
    statuses: [404, 503],
    cluster: 'x/b:80',
    headers: [
      ['X-Namespace', 'x'],
      ['X-Ingress-Name', 'i'],
      ['X-Service-Name', 'a'],
      ['X-Service-Port', '80'],
    ],
  })
  t.match(roomOf({ 'custom-http-errors': '404' }).complaints(), [/needs a default backend/])
  t.same(filters({ 'custom-headers': 'x/h' }, [configMap('x/h', { 'X-A': 'b', 'bad name': 'c' })]).responseHeaders, {
    remove: [],
    set: [['X-A', 'b']],
    add: [],
  })
  t.equal(filters({ 'enable-access-log': 'false' }).accessLog, false)
  t.equal(filters({ 'enable-opentelemetry': 'true' }).tracing, true)
  t.equal(filters({ satisfy: 'any' }).satisfyAny, true)
  const empty = roomOf({ 'default-backend': 'b' }, backendObjects('x/a', []))
  t.equal(empty.ask('http://h.org/'), TO_B, 'what the backend cannot answer')
  t.end()
})

t.test('mirrors, passthrough', (t) => {
  t.same(forward({ 'mirror-target': 'https://copy.org/$request_uri', 'mirror-request-body': 'off' }).mirrors, [
    { cluster: 'https://copy.org:443', ppm: 1_000_000, host: 'copy.org', withBody: false, target: '$request_uri' },
  ])
  const room = new IngressRoom({ passthrough: true }, [
    ...A,
    ingress('x/i', { paths: { 'h.org/': 'a' }, annotations: { 'ssl-passthrough': 'true' } }),
  ])
  t.equal(room.fake.shown('h.org'), 'passthrough tls x/a:80')
  t.match(room.row('cluster', 'tls x/a:80'), { protocol: 'raw' })
  t.match(room.fake.endpointsOf('tls x/a:80'), [{ address: '10.0.0.1' }])
  t.match(roomOf({ 'ssl-passthrough': 'true' }).complaints(), [/is not enabled/])
  t.end()
})

t.test('canaries: header, cookie, weight', (t) => {
  const canary = (annotations: Readonly<Record<string, string>>) =>
    new IngressRoom({}, [
      ...A,
      ...B,
      ingress('x/i', { paths: { 'h.org/': 'a' } }),
      ingress('x/c', { paths: { 'h.org/': 'b' }, annotations: { canary: 'true', ...annotations } }),
    ])
  const weighted = canary({ 'canary-weight': '30' })
  t.equal(weighted.ask('http://h.org/'), `${TO_A} 70% ${TO_B} 30%`)
  t.same(weighted.complaints(), [])
  t.equal(
    canary({ 'canary-weight': '250', 'canary-weight-total': '1000' }).ask('http://h.org/'),
    `${TO_A} 75% ${TO_B} 25%`,
  )
  t.equal(canary({ 'canary-weight': '100' }).ask('http://h.org/'), TO_B, 'blue-green')
  const all = canary({ 'canary-by-header': 'X-C', 'canary-by-cookie': 'c', 'canary-weight': '100' })
  t.equal(all.ask('http://h.org/', { headers: { 'x-c': 'never' } }), TO_A, 'header before weight')
  t.equal(
    all.ask('http://h.org/', { headers: { 'x-c': 'always' }, cookies: { c: 'never' } }),
    TO_B,
    'header before cookie',
  )
  t.equal(
    all.ask('http://h.org/', { headers: { 'x-c': 'what' }, cookies: { c: 'never' } }),
    TO_A,
    'cookie before weight',
  )
  t.equal(all.ask('http://h.org/', { cookies: { c: 'always' } }), TO_B)
  const valued = canary({ 'canary-by-header': 'X-C', 'canary-by-header-value': 'DE', 'canary-by-header-pattern': 'FR' })
  t.equal(valued.ask('http://h.org/', { headers: { 'x-c': 'DE' } }), TO_B)
  for (const value of ['FR', 'always', 'de'])
    t.equal(valued.ask('http://h.org/', { headers: { 'x-c': value } }), TO_A, value)
  t.equal(
    canary({ 'canary-by-header': 'X-C', 'canary-by-header-pattern': 'D|F' }).ask('http://h.org/', {
      headers: { 'x-c': 'xFx' },
    }),
    TO_B,
  )
  const alone = new IngressRoom({}, [
    ...B,
    ingress('x/c', { paths: { 'h.org/': 'b' }, annotations: { canary: 'true', 'canary-weight': '100' } }),
  ])
  t.equal(alone.ask('http://h.org/'), '404')
  t.match(alone.complaints(), [/is a canary of the path \/ of h.org, which no other Ingress has/])
  t.end()
})

t.test('the example of a canary does what it says', async (t) => {
  const file = join(import.meta.dirname, '../../manifests/example-canary.yaml')
  const { objects } = await readManifests([file])
  const inNamespace = objects
    .filter(({ object }) => object['kind'] === 'Ingress')
    .map(({ object }) => ({ ...object, metadata: { ...(object['metadata'] as Raw), namespace: 'x' } }))
  const room = new IngressRoom({ watchWithoutClass: true }, [
    ...backendObjects('x/shop', ['10.0.0.1']),
    ...backendObjects('x/next', ['10.0.0.2']),
    ...inNamespace,
  ])
  t.equal(room.ask('http://canary.localhost/'), `${TO_A} 95% ${TO_B} 5%`)
  t.equal(room.ask('http://canary.localhost/', { headers: { 'x-canary': 'always' } }), TO_B)
  t.equal(room.ask('http://canary.localhost/', { headers: { 'x-canary': 'never' } }), TO_A)
  t.same(room.complaints(), [])
})

t.test('snippets: four directives are read, the rest is refused by line', (t) => {
  const text = `
    # comment; with a semicolon
    more_set_headers "Request-Id: $req_id" 'X-B: "c"';
    add_header X-C d always;
    proxy_set_header X-D $host;
    proxy_set_header X-E "";
    proxy_pass http://evil;
    set $x "a;b {c}";`
  const room = roomOf({ 'configuration-snippet': text })
  t.same(room.route('http://h.org/').filters, {
    requestHeaders: { remove: ['X-E'], set: [['X-D', '$host']], add: [] },
    responseHeaders: {
      remove: [],
      set: [
        ['Request-Id', '$req_id'],
        ['X-B', '"c"'],
      ],
      add: [['X-C', 'd']],
    },
  })
  t.match(room.complaints(), [
    /configuration-snippet\]: line 7: proxy_pass is not done/,
    /line 8: set has the variable \$x|line 8: set is not done/,
  ])
  t.equal(room.ask('http://h.org/'), TO_A)
  t.equal(roomOf({ 'configuration-snippet': 'return 418 "teapot";' }).ask('http://h.org/'), '418')
  t.equal(
    roomOf({ 'configuration-snippet': 'return 301 https://new.org$request_uri;' }).ask('http://h.org/x'),
    '301 https://new.org/x',
  )
  for (const closing of [
    'deny all;',
    'if ($http_x = "y") { return 403; }',
    'auth_basic "x";',
    'satisfy any;',
    'location /x { deny all; }',
    'return nothing;',
  ])
    t.equal(roomOf({ 'configuration-snippet': closing }).ask('http://h.org/'), '503', closing)
  for (const header of [
    'Connection: close',
    'Content-Length: 1',
    'Transfer-Encoding: chunked',
    'X-A: a\\nb',
    'bad name: x',
  ])
    t.equal(
      roomOf({ 'configuration-snippet': `more_set_headers "${header}";` }).complaints().length,
      header.includes('\\n') ? 0 : 1,
      header,
    )
  t.end()
})

t.test('what nobody knows is said', (t) => {
  t.match(roomOf({ 'rewrite-targe': '/' }).complaints(), [
    /nginx.ingress.kubernetes.io\/rewrite-targe\]: is not known; not done/,
  ])
  t.match(roomOf({ 'ssl-redirect': 'yes' }).complaints(), [/is "yes"; taken as true/])
  t.end()
})
