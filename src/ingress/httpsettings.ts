/** What a ConfigMap says of the listeners of requests. */
import type { Http, Https, TlsVersion } from '../carrier/proxy.ts'
import { HEADER, type Reader } from './reader.ts'

export interface Listening {
  readonly http: Http
  readonly https: Omit<Https, 'http'>
  /** proxy-real-ip-cidr: who stands before us. */
  readonly trusted: string[]
}

export function httpOf(read: Reader): Listening {
  const trusted = [...(read.networks('proxy-real-ip-cidr', true) ?? EVERYBODY)]
  const isBehind = read.flag('use-forwarded-headers', false)
  const isReal = read.flag('enable-real-ip', false)
  const head = headMax(read)
  const http: Http = {
    trusted: isBehind || isReal ? trusted : [],
    forwardedHeader: forwardedHeader(read),
    appendForwarded: read.flag('compute-full-forwarded-for', false),
    headMaxBytes: head,
    headerFieldsMax: 128,
    headTimeoutMs: read.seconds('client-header-timeout', 60_000),
    bodyTimeoutMs: read.seconds('client-body-timeout', 60_000),
    idleTimeoutMs: read.seconds('keep-alive', 75_000),
    requestsMax: read.integer('keep-alive-requests', [1, 4_294_967_295], 1_000),
    streamsMax: read.integer('http2-max-concurrent-streams', [1, 1_000], 128),
    underscores: underscores(read),
    server: serverOf(read),
    quietPaths: [...(read.list('skip-access-log-urls') ?? [])],
    ...compression(read),
    ...accessLog(read),
    ...tracing(read),
  }
  return { http, https: httpsOf(read), trusted }
}

const serverOf = (read: Reader): string => (read.flag('server-tokens', true) ? 'fairlead' : '')

function underscores(read: Reader): boolean {
  if (!read.flag('ignore-invalid-headers', true))
    read.refuse(
      'ignore-invalid-headers',
      'is false; header fields with invalid names are refused nevertheless',
      'remove it',
    )
  return read.flag('enable-underscores-in-headers', false)
}

function forwardedHeader(read: Reader): string {
  const name = read.text('forwarded-for-header')
  if (name === null || HEADER.test(name)) return name ?? 'X-Forwarded-For'
  read.refuse('forwarded-for-header', `is not the name of a header field; X-Forwarded-For is used`, 'write a name')
  return 'X-Forwarded-For'
}

/** `4 8k`: so many buffers of this size are the most that a request's head takes. */
function headMax(read: Reader): number {
  const text = read.text('large-client-header-buffers')
  if (text === null) return HEAD_MAX
  const match = /^(\d{1,3})\s+(\d{1,6})(k?)$/i.exec(text)
  const bytes = match === null ? NaN : Number(match[1]) * Number(match[2]) * (match[3] === '' ? 1 : 1024)
  if (bytes >= 1024 && bytes <= 1024 * 1024) return bytes
  read.refuse(
    'large-client-header-buffers',
    'is not a number and a size of 1 KiB to 1 MiB in all; not used',
    'write it like 4 8k',
  )
  return HEAD_MAX
}

function httpsOf(read: Reader): Listening['https'] {
  const words = read.list('ssl-protocols', /\s+/)
  const known = words?.filter((word): word is TlsVersion => word === 'TLSv1.2' || word === 'TLSv1.3') ?? BOTH
  if (words !== null && known.length < words.length)
    read.changed('ssl-protocols', 'only TLSv1.2 and TLSv1.3 are spoken: older ones are broken (RFC 8996)')
  return {
    protocols: known.length > 0 ? [...known] : [...BOTH],
    ciphers: [...(read.list('ssl-ciphers', /[:,\s]+/) ?? [])].filter((cipher) => /^[A-Z0-9_-]+$/.test(cipher)),
    sessionTickets: read.flag('ssl-session-tickets', true),
    http2: read.flag('use-http2', true),
  }
}

function compression(read: Reader): Pick<Http, 'compression'> {
  const [gzip, brotli] = [read.flag('use-gzip', false), read.flag('enable-brotli', false)]
  const zstd = read.flag('enable-zstd', false) // ours: ingress-nginx has none
  const gzipLevel = read.integer('gzip-level', [1, 9], 1)
  const brotliLevel = read.integer('brotli-level', [1, 11], 4)
  const [gzipMin, brotliMin] = [
    read.integer('gzip-min-length', LENGTH, 256),
    read.integer('brotli-min-length', LENGTH, 20),
  ]
  const [gzipTypes, brotliTypes] = [read.list('gzip-types', /\s+/) ?? TYPES, read.list('brotli-types', /\s+/) ?? TYPES]
  if (!gzip && !brotli && !zstd) return {}
  return {
    compression: {
      encodings: [
        ...(brotli ? (['br'] as const) : []),
        ...(zstd ? (['zstd'] as const) : []),
        ...(gzip ? (['gzip'] as const) : []),
      ],
      level: brotli ? Math.min(9, brotliLevel) : gzipLevel,
      minBytes: brotli ? brotliMin : gzipMin,
      types: [...new Set([...(brotli ? brotliTypes : []), ...(gzip || zstd ? gzipTypes : [])])],
    },
  }
}

function accessLog(read: Reader): Pick<Http, 'accessLog'> {
  const isOff = read.flag('disable-access-log', false) || read.flag('disable-http-access-log', false)
  read.flag('disable-stream-access-log', false)
  const format = read.text('log-format-upstream')
  return isOff ? {} : { accessLog: { ...(format !== null && { format }), sample: 1 } }
}

function tracing(read: Reader): Pick<Http, 'tracing'> {
  const isOn = read.flag('enable-opentelemetry', false)
  const named = read.text('otlp-collector-host')
  const port = read.integer('otlp-collector-port', [1, 65_535], 4318)
  const service = read.text('otel-service-name') ?? 'nginx'
  const sampler = read.oneOf(
    'otel-sampler',
    ['AlwaysOn', 'AlwaysOff', 'TraceIdRatioBased', 'TraceIdRatioBasedParent'],
    'AlwaysOn',
  )
  const parent = read.flag('otel-sampler-parent-based', true)
  const trusts = read.flag('opentelemetry-trust-incoming-span', true)
  const ratio = Number(read.text('otel-sampler-ratio') ?? '0.01')
  for (const name of [
    'otel-max-queuesize',
    'otel-schedule-delay-millis',
    'otel-max-export-batch-size',
    'opentelemetry-operation-name',
    'opentelemetry-config',
  ]) {
    read.text(name)
    read.changed(name, 'not needed')
  }
  if (named === null) {
    const problem = 'is true, but otlp-collector-host is missing; no traces are sent'
    if (isOn) read.refuse('enable-opentelemetry', problem, 'name the collector')
    return {}
  }
  const isSecure = named.startsWith(SECURE) // ours: ingress-nginx sends traces in the clear only
  const host = isSecure ? named.slice(SECURE.length) : named
  if (!/^[A-Za-z0-9._:[\]-]+$/.test(host)) {
    const remedy = 'write a name or an address, with https:// before it where the collector speaks TLS'
    read.refuse('otlp-collector-host', 'is not the name of a host; no traces are sent', remedy)
    return {}
  }
  const share = sampler === 'AlwaysOn' ? 1 : sampler === 'AlwaysOff' ? 0 : ratio >= 0 && ratio <= 1 ? ratio : 0.01
  const authority = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host
  const s = isSecure ? 's' : ''
  const endpoint = port === GRPC ? `grpc${s}://${authority}:${port}` : `http${s}://${authority}:${port}/v1/traces`
  return {
    tracing: {
      endpoint,
      service,
      always: isOn,
      samplePpm: Math.round(share * 1_000_000),
      trustParent: parent && trusts,
    },
  }
}

const SECURE = 'https://'
/** The port of OTLP over gRPC; at others it is HTTP. */
const GRPC = 4317
const EVERYBODY = ['0.0.0.0/0', '::/0']
const BOTH: readonly TlsVersion[] = ['TLSv1.2', 'TLSv1.3']
const HEAD_MAX = 32 * 1024
const LENGTH = [0, 4_294_967_295] as const
const TYPES = [
  ...['application/atom+xml', 'application/javascript', 'application/x-javascript', 'application/json'],
  ...['application/rss+xml', 'application/vnd.ms-fontobject', 'application/x-font-ttf'],
  ...['application/x-web-app-manifest+json', 'application/xhtml+xml', 'application/xml', 'font/opentype'],
  ...['image/svg+xml', 'image/x-icon', 'text/css', 'text/javascript', 'text/plain', 'text/x-component'],
]
