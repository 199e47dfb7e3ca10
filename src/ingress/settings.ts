/** What a ConfigMap of ingress-nginx says for all hosts, and what holds where it says nothing. */
import type { Balance, Cluster, Http, Https, Sources } from '../carrier/proxy.ts'
import type { ConfigMap } from '../cluster/configmap.ts'
import type { Rejection } from '../cluster/rejection.ts'
import { parseExternal, parseSources, pathOf, type External } from './annotations/access.ts'
import { statuses } from './annotations/answering.ts'
import { parseProxying, type Proxying } from './annotations/proxying.ts'
import { parseBalance } from './annotations/upstream.ts'
import { httpOf } from './httpsettings.ts'
import { Reader, type Verdict } from './reader.ts'

export interface Settings {
  readonly http: Http
  readonly https: Omit<Https, 'http'>
  /** Networks whose clients speak the PROXY protocol first. */
  readonly proxyProtocol: readonly string[]
  readonly proxyProtocolTimeoutMs: number
  readonly drainMs: number
  readonly streamIdleMs: number
  /** Datagrams that a UDP backend answers each of a client's with; 0: any number. */
  readonly streamResponses: number
  readonly proxying: Proxying
  readonly keepAlive: Cluster['keepAlive']
  readonly circuit: Cluster['circuit']
  readonly balance: Balance
  readonly serviceUpstream: boolean
  readonly sslRedirect: boolean
  readonly forceSslRedirect: boolean
  /** Of redirects to HTTPS and from or to www. */
  readonly redirectStatus: number
  /** Strict-Transport-Security of hosts with a certificate; null: none. */
  readonly hsts: string | null
  readonly sources: Sources | null
  readonly errors: readonly number[]
  readonly limitRateKb: number
  readonly limitRateAfterKb: number
  readonly limitStatus: number
  readonly globalAuth: External | null
  /** Requests to these paths are never asked for users. */
  readonly openPaths: readonly string[]
  /** Requests to these paths are not sent to HTTPS. */
  readonly plainPaths: readonly string[]
  /** ConfigMaps of header fields, for backends and for clients. */
  readonly requestHeadersFrom: string | null
  readonly responseHeadersFrom: string | null
  readonly hiddenHeaders: readonly string[]
  /** Not of the ConfigMap: the controller was started with it. */
  readonly passthrough: boolean
  /** Something that was to keep people out could not be understood: nobody gets in. */
  readonly isClosed: boolean
}

export interface ParsedSettings {
  readonly settings: Settings
  readonly rejections: readonly Rejection[]
  readonly verdicts: readonly Verdict[]
}

/** `configMap`: null: there is none. */
export function parseSettings(configMap: ConfigMap | null, passthrough: boolean): ParsedSettings {
  const [namespace, name] = configMap === null ? ['', ''] : [configMap.namespace, configMap.name]
  const read = new Reader(configMap?.data ?? new Map(), {
    object: `ConfigMap ${namespace}/${name}`,
    field: (key) => `data[${key}]`,
  })
  const settings = { ...wholeOf(read, namespace), passthrough }
  quietly(read)
  const verdicts = read.finish()
  return { settings: { ...settings, isClosed: read.closed }, rejections: read.rejections, verdicts }
}

function wholeOf(read: Reader, namespace: string): Omit<Settings, 'passthrough' | 'isClosed'> {
  const { http, https, trusted } = httpOf(read)
  const [limit] = [
    read.integer('limit-req-status-code', STATUS, 503),
    read.integer('limit-conn-status-code', STATUS, 503),
  ]
  return {
    http,
    https,
    proxyProtocol: read.flag('use-proxy-protocol', false) ? trusted : [],
    proxyProtocolTimeoutMs: read.seconds('proxy-protocol-header-timeout', 5_000),
    drainMs: read.seconds('worker-shutdown-timeout', 240_000),
    streamIdleMs: read.seconds('proxy-stream-timeout', 600_000),
    streamResponses: read.integer('proxy-stream-responses', [0, 4_294_967_295], 1),
    proxying: proxyingOf(read),
    keepAlive: {
      connections: read.integer('upstream-keepalive-connections', [0, 100_000], 320),
      idleMs: read.seconds('upstream-keepalive-timeout', 60_000),
      requestsMax: read.integer('upstream-keepalive-requests', [1, 4_294_967_295], 10_000),
    },
    circuit: CIRCUIT,
    balance: parseBalance<Balance>(read, 'roundRobin'),
    serviceUpstream: read.flag('service-upstream', false),
    sslRedirect: read.flag('ssl-redirect', true),
    forceSslRedirect: read.flag('force-ssl-redirect', false),
    redirectStatus: read.integer('http-redirect-code', [301, 308], 308),
    hsts: hsts(read),
    sources: withBlocked(read),
    errors: statuses(read, 'custom-http-errors', []),
    limitRateKb: read.integer('limit-rate', [0, 1_000_000_000], 0),
    limitRateAfterKb: read.integer('limit-rate-after', [0, 1_000_000_000], 0),
    limitStatus: limit,
    globalAuth: parseExternal(read, namespace, 'global-'),
    openPaths: read.list('no-auth-locations') ?? [CHALLENGE],
    plainPaths: read.list('no-tls-redirect-locations') ?? [CHALLENGE],
    requestHeadersFrom: pathOf(read, 'proxy-set-headers', namespace, false),
    responseHeadersFrom:
      pathOf(read, 'add-headers', namespace, false) ?? pathOf(read, 'custom-headers', namespace, false),
    hiddenHeaders: read.headers('hide-headers') ?? [],
  }
}

function proxyingOf(read: Reader): Proxying {
  const found = parseProxying(read, { proxying: PROXYING })
  return read.flag('retry-non-idempotent', false) ? { ...found, retry: { ...found.retry, nonIdempotent: true } } : found
}

function withBlocked(read: Reader): Sources | null {
  const found = parseSources(read, null)
  const blocked = read.networks('block-cidrs', true) ?? []
  for (const name of ['block-user-agents', 'block-referers'])
    if (read.text(name) !== null)
      read.refuse(name, 'is not done', 'use a web application firewall, or denylist-source-range')
  return blocked.length === 0 ? found : { allow: found?.allow ?? [], deny: [...(found?.deny ?? []), ...blocked] }
}

/** RFC 6797. */
function hsts(read: Reader): string | null {
  const isOn = read.flag('hsts', true)
  const seconds = read.integer('hsts-max-age', [0, 4_294_967_295], 31_536_000)
  const below = read.flag('hsts-include-subdomains', true) ? '; includeSubDomains' : ''
  const preload = read.flag('hsts-preload', false) ? '; preload' : ''
  return isOn ? `max-age=${seconds}${below}${preload}` : null
}

function quietly(read: Reader): void {
  for (const name of [
    'main-snippet',
    'http-snippet',
    'server-snippet',
    'location-snippet',
    'stream-snippet',
    'global-auth-snippet',
    'modsecurity-snippet',
  ])
    if (read.text(name) !== null)
      read.refuse(name, 'is configuration of nginx, which is never run', 'remove it', name === 'global-auth-snippet')
  for (const name of ['enable-modsecurity', 'enable-owasp-modsecurity-crs'])
    if (read.flag(name, false)) read.refuse(name, 'is not done', 'put a web application firewall before or behind')
  for (const name of NOT_NEEDED) {
    read.text(name)
    read.changed(name, 'tunes nginx; there is nothing like it here')
  }
}

export const CHALLENGE = '/.well-known/acme-challenge'
const STATUS = [400, 599] as const
/** As good as none: what nginx allows with 16384 connections a worker. */
const CIRCUIT = { connectionsMax: 65_536, requestsMax: 65_536 }
const PROXYING: Proxying = {
  timeouts: { connectMs: 5_000, readMs: 60_000, sendMs: 60_000, requestMs: 0 },
  retry: { tries: 3, withinMs: 0, onError: true, onTimeout: true, onStatuses: [], nonIdempotent: false },
  bodyMaxBytes: 1024 * 1024,
  // ingress-nginx takes bodies whole into files; a body that is passed on as it comes needs none, and is there sooner.
  bufferRequest: false,
  bufferResponseBytes: 0,
  host: null,
  mirror: null,
}
const NOT_NEEDED = [
  ...['access-log-params', 'allow-snippet-annotations', 'annotation-value-word-blocklist', 'annotations-risk-level'],
  ...['allow-cross-namespace-resources', 'allow-backend-server-header', 'bind-address', 'client-header-buffer-size'],
  ...['debug-connections', 'default-type', 'disable-ipv6', 'disable-ipv6-dns', 'enable-access-log-for-default-backend'],
  ...[
    'enable-aio-write',
    'enable-multi-accept',
    'enable-ocsp',
    'error-log-level',
    'error-log-path',
    'generate-request-id',
  ],
  ...[
    'gzip-disable',
    'http2-max-field-size',
    'http2-max-header-size',
    'http2-max-requests',
    'limit-conn-zone-variable',
  ],
  ...[
    'log-format-escape-json',
    'log-format-escape-none',
    'log-format-stream',
    'lua-shared-dicts',
    'map-hash-bucket-size',
  ],
  ...['max-worker-connections', 'max-worker-open-files', 'nginx-status-ipv4-whitelist', 'nginx-status-ipv6-whitelist'],
  ...['plugins', 'proxy-add-original-uri-header', 'proxy-headers-hash-bucket-size', 'proxy-headers-hash-max-size'],
  ...['proxy-stream-next-upstream', 'proxy-stream-next-upstream-timeout', 'proxy-stream-next-upstream-tries'],
  ...['reuse-port', 'server-name-hash-bucket-size'],
  ...['server-name-hash-max-size', 'ssl-buffer-size', 'ssl-dh-param', 'ssl-ecdh-curve', 'ssl-session-cache'],
  ...['ssl-session-cache-size', 'ssl-session-ticket-key', 'ssl-session-timeout', 'stream-access-log-path'],
  ...['http-access-log-path', 'access-log-path', 'strict-validate-path-type', 'upstream-keepalive-time', 'use-geoip'],
  ...['use-geoip2', 'use-port-in-redirects', 'variables-hash-bucket-size', 'variables-hash-max-size'],
  ...[
    'worker-cpu-affinity',
    'worker-processes',
    'worker-serial-reloads',
    'ssl-reject-handshake',
    'proxy-ssl-location-only',
  ],
  ...['global-allowed-response-headers', 'relative-redirects', 'enable-syslog', 'syslog-host', 'syslog-port'],
]
