/** Annotations with requests that show what they do. `HOST` stands for a host of the case's own. */
import { backendObjects, configMap, secret, type Paths } from '../contract/ingress-objects.ts'
import type { Raw } from '../contract/service-objects.ts'

export interface Case {
  readonly annotations: Readonly<Record<string, string>>
  /** `HOST/` leads to the Service `a` unless they say otherwise. */
  readonly paths?: Paths
  readonly tls?: readonly Raw[]
  readonly more?: readonly Raw[]
  /** Of another Ingress of the same host and paths, to Service `b`. */
  readonly canary?: Readonly<Record<string, string>>
  readonly asks: readonly Ask[]
}

export interface Ask {
  /** `/` of HOST by HTTP. */
  readonly url?: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
  readonly status?: number
  /** Patterns of header fields of the answer; null: it has none of that name. */
  readonly answered?: Readonly<Record<string, RegExp | null>>
  /** Patterns of the JSON in which a backend says what it got: `url`, `server`, and header fields by name. */
  readonly got?: Readonly<Record<string, RegExp | null>>
  /** It is asked so often, and each time it is so. */
  readonly times?: number
  /** Filters decide, and sessions, of which the fake knows nothing. */
  readonly isBeyondFake?: boolean
}

/** Addresses of backends; all listen on 8080, and 8081 where the Service itself is asked. */
export const BACKENDS = {
  a: ['10.9.0.1'],
  b: ['10.9.0.2'],
  /** Two, and of those one that is always unavailable. */
  two: ['10.9.0.1', '10.9.0.2'],
  half: ['10.9.0.1', '10.9.0.6'],
  none: [] as string[],
  /** Where nobody answers, not even that nobody is there. */
  void: ['10.10.0.2'],
  /** That, and one that is always unavailable. */
  bad: ['10.10.0.2', '10.9.0.6'],
  tls: ['10.9.0.4'],
  h2: ['10.9.0.5'],
} as const

const filtered = { isBeyondFake: true } as const
const refused = (status: number): Ask => ({ status, ...filtered })
const USERS = { auth: 'ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n' }
const ANN = { authorization: `Basic ${Buffer.from('ann:secret').toString('base64')}` }
const TLS = [{ hosts: ['HOST'], secretName: 'HOST' }]
const snippet = (...lines: readonly string[]): string => lines.map((line) => `${line};`).join('\n')

export const CASES: readonly Case[] = [
  {
    annotations: { 'rewrite-target': '/$2' },
    paths: { '~HOST/api(/|$)(.*)': 'a' },
    asks: [
      { url: 'http://HOST/API/users?x=1', got: { url: /^\/users\?x=1$/ } },
      { url: 'http://HOST/b', status: 404 },
    ],
  },
  {
    annotations: { 'use-regex': 'true' },
    paths: { '~HOST/v[0-9]+$': 'a' },
    asks: [{ url: 'http://HOST/V12' }, { url: 'http://HOST/v', status: 404 }],
  },
  {
    annotations: { 'app-root': '/home' },
    asks: [{ status: 302, answered: { location: /^http:\/\/HOST\/home$/ } }, { url: 'http://HOST/x' }],
  },
  {
    annotations: { 'permanent-redirect': 'https://new.org/', 'permanent-redirect-code': '308' },
    asks: [{ status: 308, answered: { location: /^https:\/\/new\.org\/$/ } }],
  },
  {
    annotations: { 'temporal-redirect': 'https://new.org$request_uri', 'temporal-redirect-code': '307' },
    asks: [{ url: 'http://HOST/x', status: 307, answered: { location: /^https:\/\/new\.org\/x$/ } }],
  },
  {
    annotations: { 'ssl-redirect': 'true' },
    tls: TLS,
    asks: [
      { url: 'http://HOST/x', status: 308, answered: { location: /^https:\/\/HOST\/x$/ } },
      { url: 'https://HOST/x', answered: { 'strict-transport-security': /^max-age=31536000; includeSubDomains$/ } },
    ],
  },
  { annotations: { 'ssl-redirect': 'false' }, tls: TLS, asks: [{ status: 200 }] },
  { annotations: { 'force-ssl-redirect': 'true' }, asks: [{ status: 308 }] },
  {
    annotations: { 'from-to-www-redirect': 'true' },
    asks: [{ url: 'http://www.HOST/x', status: 308, answered: { location: /^http:\/\/HOST\/x$/ } }],
  },
  { annotations: { 'server-alias': 'alias-HOST' }, asks: [{ url: 'http://alias-HOST/' }] },
  {
    annotations: { 'rewrite-target': '/$1', 'x-forwarded-prefix': '/app' },
    paths: { '~HOST/app/(.*)': 'a' },
    asks: [{ url: 'http://HOST/app/x', got: { url: /^\/x$/, 'x-forwarded-prefix': /^\/app$/ } }],
  },
  {
    annotations: { 'proxy-body-size': '1k' },
    asks: [
      { method: 'POST', body: 'x'.repeat(1024) },
      { method: 'POST', body: 'x'.repeat(1025), status: 413, ...filtered },
    ],
  },
  {
    annotations: { 'proxy-read-timeout': '1', 'proxy-next-upstream': 'off' },
    asks: [{ url: 'http://HOST/silence', status: 504, ...filtered }],
  },
  {
    annotations: { 'proxy-connect-timeout': '1', 'proxy-next-upstream': 'off' },
    paths: { 'HOST/': 'void' },
    asks: [{ status: 504, ...filtered }],
  },
  {
    annotations: { 'proxy-next-upstream': 'error http_503', 'proxy-next-upstream-tries': '2' },
    paths: { 'HOST/': 'half' },
    asks: [{ times: 4, got: { server: /^10\.9\.0\.1$/ }, ...filtered }],
  },
  {
    annotations: { 'upstream-vhost': 'internal.org' },
    asks: [{ got: { host: /^internal\.org$/, 'x-forwarded-host': /^HOST$/ } }],
  },
  { annotations: { 'backend-protocol': 'HTTPS' }, paths: { 'HOST/': 'tls' }, asks: [{ got: { server: /4$/ } }] },
  {
    annotations: { 'backend-protocol': 'HTTPS', 'proxy-ssl-server-name': 'on', 'proxy-ssl-name': 'inner.org' },
    paths: { 'HOST/': 'tls' },
    asks: [{ got: { sni: /^inner\.org$/ } }],
  },
  {
    annotations: {
      ...{ 'backend-protocol': 'HTTPS', 'proxy-ssl-secret': 'x/tls', 'proxy-ssl-verify': 'on' },
      ...{ 'proxy-ssl-name': 'inner.org', 'proxy-ssl-protocols': 'TLSv1.2' },
    },
    paths: { 'HOST/': 'tls' },
    asks: [{ got: { protocol: /^TLSv1\.2$/ } }],
  },
  {
    annotations: {
      ...{ 'backend-protocol': 'HTTPS', 'proxy-ssl-secret': 'x/tls', 'proxy-ssl-verify': 'on' },
      'proxy-ssl-name': 'another.org',
    },
    paths: { 'HOST/': 'tls' },
    asks: [{ status: 502, ...filtered }],
  },
  { annotations: { 'backend-protocol': 'GRPC' }, paths: { 'HOST/': 'h2' }, asks: [{ got: { server: /5$/ } }] },
  {
    annotations: { 'service-upstream': 'true' },
    paths: { 'HOST/': 'own:8081' },
    more: backendObjects('x/own', ['10.9.0.2'], {
      clusterIP: '10.9.0.1',
      ports: [{ name: 'http', port: 8081, protocol: 'TCP' }],
    }),
    asks: [{ got: { server: /^10\.9\.0\.1$/ } }],
  },
  {
    annotations: { 'default-backend': 'b' },
    paths: { 'HOST/': 'none' },
    asks: [{ got: { server: /^10\.9\.0\.2$/ } }],
  },
  ...['whitelist-source-range', 'allowlist-source-range'].flatMap((name): Case[] => [
    { annotations: { [name]: '10.0.0.0/8, 192.168.0.0/16' }, asks: [refused(403)] },
    { annotations: { [name]: '127.0.0.0/8' }, asks: [{}] },
  ]),
  { annotations: { 'denylist-source-range': '127.0.0.0/8' }, asks: [refused(403)] },
  {
    annotations: {
      'enable-cors': 'true',
      'cors-allow-origin': 'https://*.shop.org, http://dev:3000',
      'cors-allow-methods': 'GET, PUT',
      'cors-allow-headers': 'X-A',
      'cors-expose-headers': 'X-B',
      'cors-max-age': '60',
      'cors-allow-credentials': 'true',
    },
    asks: [
      {
        method: 'OPTIONS',
        headers: { origin: 'https://x.shop.org' },
        status: 204,
        answered: {
          'access-control-allow-origin': /^https:\/\/x\.shop\.org$/,
          'access-control-allow-methods': /^GET, PUT$/,
          'access-control-allow-headers': /^X-A$/,
          'access-control-max-age': /^60$/,
          'access-control-allow-credentials': /^true$/,
        },
        ...filtered,
      },
      { headers: { origin: 'http://dev:3000' }, answered: { 'access-control-expose-headers': /^X-B$/ } },
      { headers: { origin: 'https://shop.org' }, answered: { 'access-control-allow-origin': null } },
    ],
  },
  {
    annotations: { 'auth-type': 'basic', 'auth-secret': 'HOST', 'auth-realm': 'the shop' },
    more: [secret('x/HOST', USERS)],
    asks: [
      { status: 401, answered: { 'www-authenticate': /^Basic realm="the shop"$/ }, ...filtered },
      { headers: ANN, got: { authorization: null } },
      { headers: { authorization: ANN.authorization.replace(/.{4}$/, 'AAAA') }, ...refused(401) },
    ],
  },
  {
    annotations: { 'auth-type': 'basic', 'auth-secret': 'HOST', 'auth-secret-type': 'auth-map' },
    more: [secret('x/HOST', { ann: '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=' })],
    asks: [refused(401), { headers: ANN }],
  },
  {
    annotations: {
      ...{ satisfy: 'any', 'auth-type': 'basic', 'auth-secret': 'HOST' },
      'whitelist-source-range': '127.0.0.1/32',
    },
    more: [secret('x/HOST', USERS)],
    asks: [{}],
  },
  {
    annotations: { 'limit-rpm': '1', 'limit-burst-multiplier': '1' },
    asks: [{ times: 2 }, refused(503)],
  },
  { annotations: { 'limit-rpm': '1', 'limit-whitelist': '127.0.0.0/8' }, asks: [{ times: 8 }] },
  { annotations: { 'limit-rpm': '1', 'limit-allowlist': '127.0.0.0/8' }, asks: [{ times: 8 }] },
  {
    annotations: { 'proxy-cookie-domain': 'in.org out.org', 'proxy-cookie-path': '/app/ /' },
    asks: [{ url: 'http://HOST/cookie', answered: { 'set-cookie': /^s=1; Domain=out\.org; Path=\/x$/ } }],
  },
  {
    annotations: { 'proxy-redirect-from': 'http://in.org/', 'proxy-redirect-to': 'https://$host/' },
    asks: [{ url: 'http://HOST/moved', status: 302, answered: { location: /^https:\/\/HOST\/x$/ }, ...filtered }],
  },
  {
    annotations: { 'custom-headers': 'x/HOST' },
    more: [configMap('x/HOST', { 'X-Own': 'of $host' })],
    asks: [{ answered: { 'x-own': /^of HOST$/ } }],
  },
  {
    annotations: {
      'configuration-snippet': snippet(
        'more_set_headers "X-Set: $request_id"',
        'add_header X-Added "$scheme $http_x_in" always',
        'proxy_set_header X-Sent "$remote_addr $service_name"',
      ),
    },
    asks: [
      {
        headers: { 'x-in': 'in', 'x-request-id': 'abc' },
        answered: { 'x-set': /^abc$/, 'x-added': /^http in$/ },
        got: { 'x-sent': /^127\.0\.0\.1 a$/ },
      },
    ],
  },
  {
    annotations: { 'server-snippet': snippet('return 418 "tea"') },
    asks: [{ status: 418 }],
  },
  {
    annotations: {},
    canary: { canary: 'true', 'canary-by-header': 'x-try', 'canary-by-cookie': 'try', 'canary-weight': '0' },
    asks: [
      { got: { server: /1$/ }, times: 3 },
      { headers: { 'x-try': 'always' }, got: { server: /2$/ } },
      { headers: { cookie: 'try=always' }, got: { server: /2$/ }, ...filtered },
      { headers: { 'x-try': 'never', cookie: 'try=always' }, got: { server: /1$/ }, ...filtered },
    ],
  },
  {
    annotations: { affinity: 'cookie' },
    canary: { canary: 'true', 'canary-by-header': 'x-try', 'affinity-canary-behavior': 'legacy' },
    asks: [
      { answered: { 'set-cookie': /^INGRESSCOOKIE=/ } },
      { headers: { 'x-try': 'always' }, answered: { 'set-cookie': null }, got: { server: /2$/ } },
    ],
  },
  {
    annotations: {},
    canary: { canary: 'true', 'canary-by-header': 'x-try', 'canary-by-header-value': 'yes' },
    asks: [
      { headers: { 'x-try': 'yes' }, got: { server: /2$/ } },
      { headers: { 'x-try': 'always' }, got: { server: /1$/ } },
    ],
  },
  {
    annotations: {},
    canary: { canary: 'true', 'canary-by-header': 'x-try', 'canary-by-header-pattern': '^[0-9]+$' },
    asks: [
      { headers: { 'x-try': '12' }, got: { server: /2$/ } },
      { headers: { 'x-try': 'x' }, got: { server: /1$/ } },
    ],
  },
  {
    annotations: {},
    canary: { canary: 'true', 'canary-weight': '1000', 'canary-weight-total': '1000' },
    asks: [{ got: { server: /2$/ }, times: 3 }],
  },
]
