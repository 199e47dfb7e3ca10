/** Who may come: networks, limits, users, another server's word, certificates. What is wrong here closes. */
import { show } from '../../cluster/rejection.ts'
import type { AuthCache, ClientCertificate, Limits, Sources } from '../../carrier/proxy.ts'
import { checkPattern } from '../pattern.ts'
import { durationMs, HEADER, type Reader } from '../reader.ts'
import type { Settings } from '../settings.ts'
import { hasVariable, unknownVariable } from '../variables.ts'
import { outerTarget, type OuterTarget } from './outer.ts'

export interface Access {
  readonly sources: Sources | null
  readonly limits: Omit<Limits, 'name'> | null
  readonly basic: Basic | null
  readonly external: External | null
  readonly satisfyAny: boolean
  readonly clients: Clients | null
}

/** Paths are `namespace/name`. */
export interface Basic {
  readonly secret: string
  readonly form: 'auth-file' | 'auth-map'
  readonly realm: string
}

export interface External extends OuterTarget {
  readonly url: string
  readonly method: string | null
  readonly responseHeaders: readonly string[]
  /** ConfigMap of what else is asked with. */
  readonly headersFrom: string | null
  readonly redirectHeader: string
  readonly signIn: string | null
  readonly redirectParameter: string
  readonly cache: AuthCache | null
  readonly alwaysSetCookie: boolean
}

export interface Clients {
  readonly secret: string
  readonly required: ClientCertificate
  readonly depth: number
  readonly errorPage: string | null
  readonly pass: boolean
  /** Pattern of the subject (RFC 2253); null: any. */
  readonly subject: string | null
}

export function parseAccess(read: Reader, namespace: string, settings: Settings): Access {
  const isGlobal = read.flag('enable-global-auth', true)
  const external = parseExternal(read, namespace, '')
  const satisfy = read.oneOf('satisfy', ['all', 'any'], 'all')
  return {
    sources: parseSources(read, settings.sources),
    limits: parseLimits(read, settings),
    basic: parseBasic(read, namespace),
    external: external ?? (isGlobal ? settings.globalAuth : null),
    satisfyAny: satisfy === 'any',
    clients: parseClients(read, namespace),
  }
}

/** An Ingress' list takes the place of the global one. */
export function parseSources(read: Reader, before: Sources | null): Sources | null {
  const allow = read.networks('whitelist-source-range', true, 'allowlist-source-range') ?? before?.allow ?? []
  const deny = read.networks('denylist-source-range', true) ?? before?.deny ?? []
  return allow.length === 0 && deny.length === 0 ? null : { allow: [...allow], deny: [...deny] }
}

function parseLimits(read: Reader, settings: Settings): Access['limits'] {
  const connections = read.integer('limit-connections', COUNT, 0)
  const [rps, rpm] = [read.integer('limit-rps', COUNT, 0), read.integer('limit-rpm', COUNT, 0)]
  const times = read.integer('limit-burst-multiplier', [1, 1_000], 5)
  const exempt = read.networks('limit-whitelist', false, 'limit-allowlist') ?? []
  // Kilobytes.
  const rate = read.integer('limit-rate', COUNT, settings.limitRateKb)
  const after = read.integer('limit-rate-after', COUNT, settings.limitRateAfterKb)
  if (connections === 0 && rps === 0 && rpm === 0 && rate === 0) return null
  // nginx' bucket takes a request and then `burst` more before it refuses one.
  const of = (requests: number, perMs: number) =>
    requests === 0 ? [] : [{ requests, perMs, burst: requests * times + 1 }]
  return {
    rates: [...of(rpm, 60_000), ...of(rps, 1_000)],
    connections,
    exempt: [...exempt],
    status: settings.limitStatus,
    rateBytes: rate * 1024,
    rateAfterBytes: after * 1024,
  }
}

function parseBasic(read: Reader, namespace: string): Basic | null {
  const type = read.text('auth-type')
  const secret = pathOf(read, 'auth-secret', namespace, true)
  const form = read.oneOf('auth-secret-type', ['auth-file', 'auth-map'], 'auth-file')
  const realm = read.text('auth-realm') ?? ''
  if (type === null) return null
  if (type !== 'basic') {
    const what = type === 'digest' ? 'is digest, which is not done' : `is ${show(type)}`
    read.refuse('auth-type', what, 'use basic, with hashes of bcrypt in the Secret', true)
    return null
  }
  if (/["\\\p{Cc}]/u.test(realm))
    read.refuse('auth-realm', `is ${show(realm)}, which no header can hold; left empty`, 'write plain text')
  if (secret !== null) return { secret, form, realm: /["\\\p{Cc}]/u.test(realm) ? '' : realm }
  if (read.text('auth-secret') === null)
    read.refuse(
      'auth-type',
      'is basic, but auth-secret is missing',
      'name the Secret with the users in auth-secret',
      true,
    )
  return null
}

/** `prefix`: '' for an Ingress, `global-` for a ConfigMap. */
export function parseExternal(read: Reader, namespace: string, prefix: '' | 'global-'): External | null {
  const at = (name: string): string => `${prefix}auth-${name}`
  const url = read.text(at('url'))
  const method = read.text(at('method'))
  const rest = {
    responseHeaders: read.headers(at('response-headers')) ?? [],
    headersFrom: pathOf(read, at('proxy-set-headers'), namespace, true),
    redirectHeader: withVariables(read, at('request-redirect')) ?? '$request_uri',
    signIn: withVariables(read, at('signin')),
    redirectParameter: read.text(at('signin-redirect-param')) ?? 'rd',
    cache: parseCache(read, at('cache-key'), at('cache-duration')),
    alwaysSetCookie: read.flag(at('always-set-cookie'), false),
  }
  for (const name of ['keepalive', 'keepalive-requests', 'keepalive-timeout', 'keepalive-share-vars']) {
    read.text(at(name))
    read.changed(at(name), 'connections to it are kept as upstream-keepalive-* of the ConfigMap say')
  }
  if (url === null) return null
  const target = outerTarget(url)
  if (target === null || hasVariable(target.host) || unknownVariable(url) !== null) {
    read.refuse(
      at('url'),
      `is ${show(url)}, not a URL with a plain host`,
      'write it like http://auth.default.svc.cluster.local/check',
      true,
    )
    return null
  }
  if (method !== null && !METHODS.test(method))
    read.refuse(at('method'), `is ${show(method)}, not a method`, 'use GET', true)
  return { ...target, url, method, ...rest }
}

/** Times as nginx has them: `200 202 10m, 401 5m`; without statuses: all. */
function parseCache(read: Reader, keyName: string, durationName: string): AuthCache | null {
  const key = withVariables(read, keyName)
  const durations = read.list(durationName) ?? ['200 202 401 5m']
  const statuses = durations.flatMap((text) => {
    const words = text.split(/\s+/)
    const codes = words.filter((word) => /^\d{3}$/.test(word)).map(Number)
    const ms = durationMs(words.slice(codes.length).join(' '))
    if (ms !== null && ms > 0 && ms < 2 ** 32) return [{ statuses: codes, ms }]
    read.refuse(durationName, `has ${show(text)}, not statuses and a time; left out`, 'write it like 200 202 10m')
    return []
  })
  return key === null || statuses.length === 0 ? null : { key, statuses }
}

function parseClients(read: Reader, namespace: string): Clients | null {
  const secret = pathOf(read, 'auth-tls-secret', namespace, true)
  const word = read.oneOf('auth-tls-verify-client', ['on', 'off', 'optional', 'optional_no_ca'], 'on')
  const depth = read.integer('auth-tls-verify-depth', [0, 100], 1)
  const errorPage = withVariables(read, 'auth-tls-error-page')
  const pass = read.flag('auth-tls-pass-certificate-to-upstream', false)
  const subject = parseSubject(read)
  if (secret === null || word === 'off') return null
  return { secret, required: word === 'optional_no_ca' ? 'optionalNoCa' : word, depth, errorPage, pass, subject }
}

/** A pattern that is looked for in the subject, as nginx's `~` does. */
function parseSubject(read: Reader): string | null {
  const text = read.text('auth-tls-match-cn')
  if (text === null) return null
  const found = checkPattern(text)
  if ('pattern' in found) return found.pattern
  read.refuse('auth-tls-match-cn', `is ${show(text)}, which ${found.problem}`, 'write a pattern like CN=shop', true)
  return null
}

/** `name` or `namespace/name` as the latter; null: absent or (reported) wrong. */
export function pathOf(read: Reader, name: string, namespace: string, closing: boolean): string | null {
  const text = read.text(name)
  if (text === null) return null
  if (PATH.test(text)) return text.includes('/') ? text : `${namespace}/${text}`
  read.refuse(name, `is ${show(text)}, not a name or namespace/name`, 'write a name', closing)
  return null
}

function withVariables(read: Reader, name: string): string | null {
  const text = read.text(name)
  const unknown = text === null ? null : unknownVariable(text)
  if (text === null || (unknown === null && !/[\s"\\]/.test(text))) return text
  read.refuse(
    name,
    unknown === null ? `is ${show(text)}; not used` : `has the variable ${unknown}, which is not known; not used`,
    'write it without white space and quotes, with variables of nginx',
  )
  return null
}

export const isHeader = (name: string): boolean => HEADER.test(name)

const METHODS = /^(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS)$/
const PATH = /^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\/)?[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/
const COUNT = [0, 1_000_000_000] as const
