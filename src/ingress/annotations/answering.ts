/** What happens to responses, and what is said about requests: CORS, cookies, errors, log, trace. */
import { show } from '../../cluster/rejection.ts'
import type { CookieEdit, Cors } from '../../carrier/proxy.ts'
import type { Reader } from '../reader.ts'
import type { Settings } from '../settings.ts'
import { unknownVariable } from '../variables.ts'
import { pathOf } from './access.ts'

export interface Answering {
  readonly cors: Cors | null
  readonly cookies: CookieEdit | null
  /** Of Location and Refresh: from, to. */
  readonly locations: readonly [string, string] | null
  readonly errors: readonly number[]
  /** Service of the same namespace that answers errors, and what the backend cannot; null: the controller's. */
  readonly defaultBackend: string | null
  /** ConfigMap of header fields. */
  readonly headersFrom: string | null
  readonly accessLog: boolean
  readonly tracing: boolean | null
}

export function parseAnswering(read: Reader, namespace: string, settings: Settings): Answering {
  const domains = rewrite(read, 'proxy-cookie-domain')
  const paths = rewrite(read, 'proxy-cookie-path')
  if (read.flag('disable-proxy-intercept-errors', false))
    read.changed('disable-proxy-intercept-errors', 'errors are intercepted only where custom-http-errors says so')
  for (const name of [
    'enable-rewrite-log',
    'http2-push-preload',
    'connection-proxy-header',
    'use-port-in-redirects',
    'proxy-ssl-ciphers',
  ])
    quietly(read, name)
  const tracing = [read.text('enable-opentelemetry'), read.text('enable-opentracing')].some((word) => word !== null)
    ? read.flag('enable-opentelemetry', read.flag('enable-opentracing', true))
    : null
  for (const name of [
    'opentelemetry-trust-incoming-span',
    'opentracing-trust-incoming-span',
    'opentelemetry-operation-name',
  ])
    quietly(read, name)
  return {
    cors: parseCors(read),
    cookies: domains === null && paths === null ? null : { domains: domains ?? [], paths: paths ?? [] },
    locations: parseLocations(read),
    errors: statuses(read, 'custom-http-errors', settings.errors),
    defaultBackend: serviceName(read),
    headersFrom: pathOf(read, 'custom-headers', namespace, false),
    accessLog: read.flag('enable-access-log', true),
    tracing,
  }
}

/** Statuses as `404,503`; 300 to 599. */
export function statuses(read: Reader, name: string, otherwise: readonly number[]): readonly number[] {
  const words = read.list(name)
  if (words === null) return otherwise
  return words.flatMap((word) => {
    const status = Number(word)
    if (Number.isInteger(status) && status >= 300 && status <= 599) return [status]
    read.refuse(name, `has ${show(word)}, not a status; left out`, 'write them like 404,503')
    return []
  })
}

/** Settings of nginx that there is nothing like, and nobody will miss. */
function quietly(read: Reader, name: string): void {
  read.text(name)
  read.changed(name, QUIET[name] ?? 'not needed')
}

function parseCors(read: Reader): Cors | null {
  const isEnabled = read.flag('enable-cors', false)
  const origins = (read.list('cors-allow-origin') ?? ['*']).filter((origin) => {
    if (ORIGIN.test(origin)) return true
    read.refuse(
      'cors-allow-origin',
      `has ${show(origin)}, not an origin; left out`,
      'write it like https://shop.example.org or https://*.example.org',
    )
    return false
  })
  const words = (name: string, pattern: RegExp, otherwise: string): string[] => {
    const given = read.list(name, /[,\s]+/)
    if (given !== null && given.every((word) => pattern.test(word))) return [...given]
    if (given !== null)
      read.refuse(name, `is ${show(read.text(name))}; the default is used`, 'separate names with commas')
    return otherwise === '' ? [] : otherwise.split(',')
  }
  const cors: Cors = {
    origins: origins.includes('*') ? ['*'] : origins,
    methods: words('cors-allow-methods', /^[A-Za-z]+$/, 'GET,PUT,POST,DELETE,PATCH,OPTIONS'),
    headers: words('cors-allow-headers', /^[A-Za-z0-9_-]+$/, CORS_HEADERS),
    expose: words('cors-expose-headers', /^([A-Za-z0-9_-]+|\*)$/, ''),
    credentials: read.flag('cors-allow-credentials', true),
    maxAgeSeconds: read.integer('cors-max-age', [0, 2_147_483_647], 1_728_000),
  }
  return isEnabled ? cors : null
}

/** `from to`, as proxy_cookie_domain and proxy_cookie_path take it. */
function rewrite(read: Reader, name: string): [string, string][] | null {
  const text = read.text(name)
  if (text === null || text === 'off') return null
  const words = text.replace(/;$/, '').split(/\s+/)
  if (sayUnknown(read, name, text)) return null
  if (words.length === 2 && !words[0]!.startsWith('~') && words.every((word) => /^[^\s;,"'\\]+$/.test(word)))
    return [[words[0]!, words[1]!]]
  read.refuse(name, `is ${show(text)}; not done`, 'write two words, from and to; patterns are not done')
  return null
}

/** True (told): it has a variable that is not known. */
function sayUnknown(read: Reader, name: string, text: string): boolean {
  const unknown = unknownVariable(text)
  if (unknown !== null)
    read.refuse(name, `has the variable ${unknown}, which is not known; not done`, 'use variables of nginx like $host')
  return unknown !== null
}

function parseLocations(read: Reader): Answering['locations'] {
  const [from, to] = [read.text('proxy-redirect-from'), read.text('proxy-redirect-to')]
  if (from === null || from === 'off' || from === 'default') {
    if (from === 'default') read.changed('proxy-redirect-from', 'Location is left as the backend wrote it')
    return null
  }
  if (to !== null && sayUnknown(read, 'proxy-redirect-to', to)) return null
  if (to !== null && to !== 'off' && !from.startsWith('~') && !/[\s"\\]/.test(from + to)) return [from, to]
  read.refuse(
    'proxy-redirect-from',
    `${show(from)} to ${show(to)} is not done`,
    'write both, without white space; patterns are not done',
  )
  return null
}

function serviceName(read: Reader): string | null {
  const name = read.text('default-backend')
  if (name === null || /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(name)) return name
  read.refuse(
    'default-backend',
    `is ${show(name)}, not the name of a Service; not used`,
    'name a Service of this namespace',
  )
  return null
}

const ORIGIN = /^(\*|https?:\/\/(\*\.)?[A-Za-z0-9][A-Za-z0-9.-]*(:\d{1,5})?)$/
const CORS_HEADERS =
  'DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,Content-Type,Range,Authorization'
const QUIET: Readonly<Record<string, string>> = {
  'enable-rewrite-log': 'the access log names the route',
  'http2-push-preload': 'browsers have given up HTTP/2 push',
  'connection-proxy-header': 'connections to backends are kept, whatever clients do',
  'opentelemetry-trust-incoming-span': 'as opentelemetry-trust-incoming-span of the ConfigMap says',
  'opentracing-trust-incoming-span': 'as opentelemetry-trust-incoming-span of the ConfigMap says',
  'use-port-in-redirects': 'redirects go to the default port',
}
