/** Which endpoint a request goes to, and how it is spoken with. */
import { show } from '../../cluster/rejection.ts'
import type { Balance, SameSite, StickyCookie, TlsVersion } from '../../carrier/proxy.ts'
import type { Reader } from '../reader.ts'
import type { Settings } from '../settings.ts'
import { unknownVariable } from '../variables.ts'
import { pathOf } from './access.ts'

export interface Upstream {
  /** null: as the port of the Service says, else HTTP. */
  readonly protocol: 'HTTP' | 'HTTPS' | 'GRPC' | 'GRPCS' | null
  readonly tls: UpstreamTls
  /** null: as the ConfigMap says. */
  readonly balance: Balance | null
  readonly sticky: Sticky | null
  /** `legacy`: canaries do not heed it. */
  readonly canarySticky: boolean
  /** The Service's address, rather than its endpoints. */
  readonly serviceUpstream: boolean
}

/** Without a path it is that of each route. */
export type Sticky = Omit<StickyCookie, 'path'> & { readonly path: string | null }

export interface UpstreamTls {
  /** Secret with `ca.crt`, and perhaps a certificate to show; null: none. */
  readonly secret: string | null
  readonly isVerified: boolean
  /** Certificates between that of the backend and that of the authority, at most. */
  readonly depth: number
  /** null: none is sent, unless `sendsName`: then the name that the request is for. */
  readonly serverName: string | null
  readonly sendsName: boolean
  readonly protocols: readonly TlsVersion[]
}

export function parseUpstream(read: Reader, namespace: string, settings: Settings): Upstream {
  return {
    protocol: parseProtocol(read),
    tls: parseTls(read, namespace),
    balance: parseHash(read) ?? parseBalance(read, null),
    sticky: parseSticky(read),
    canarySticky: read.oneOf('affinity-canary-behavior', ['sticky', 'legacy'], 'sticky') === 'sticky',
    serviceUpstream: read.flag('service-upstream', settings.serviceUpstream),
  }
}

function parseProtocol(read: Reader): Upstream['protocol'] {
  const word = read.text('backend-protocol')?.toUpperCase() ?? null
  const version = read.text('proxy-http-version')
  if (version !== null && version !== '1.1')
    read.refuse('proxy-http-version', `is ${show(version)}; 1.1 is spoken`, 'remove it')
  if (word === null || (PROTOCOLS as readonly string[]).includes(word)) return word as Upstream['protocol']
  if (word === 'AUTO_HTTP') return null
  const what = word === 'FCGI' || word === 'AJP' ? `is ${word}, which is not spoken` : `is ${show(word)}`
  // Plain HTTP to something that speaks another protocol would only fail later, and say less.
  read.refuse('backend-protocol', what, `use one of ${PROTOCOLS.join(', ')}`, true)
  return null
}

/** round_robin and ewma are what ingress-nginx has; theirs that looks at latency is ours of two choices. */
export function parseBalance<T>(read: Reader, otherwise: T): Balance | T {
  const word = read.oneOf('load-balance', ['round_robin', 'ewma', 'least_conn'], null)
  if (word === null) return otherwise
  if (word === 'ewma')
    read.changed('load-balance', 'the less busy of two endpoints chosen by chance, weighed by latency')
  return word === 'round_robin' ? 'roundRobin' : 'leastRequest'
}

function parseHash(read: Reader): Balance | null {
  const text = read.text('upstream-hash-by')
  if (read.flag('upstream-hash-by-subset', false))
    read.changed('upstream-hash-by-subset', 'each key has one endpoint, not several')
  read.integer('upstream-hash-by-subset-size', [1, 1_000], 3)
  read.changed('upstream-hash-by-subset-size', 'each key has one endpoint, not several')
  if (text === null) return null
  const unknown = unknownVariable(text)
  if (unknown === null) return { hash: text }
  read.refuse(
    'upstream-hash-by',
    `has the variable ${unknown}, which is not known; not used`,
    'write it like $request_uri or $http_x_user',
  )
  return null
}

function parseSticky(read: Reader): Sticky | null {
  const type = read.oneOf('affinity', ['cookie'], null)
  read.oneOf('affinity-mode', ['balanced', 'persistent'], 'balanced')
  if (read.text('affinity-mode') === 'balanced')
    read.changed('affinity-mode', 'who has a cookie stays, as with persistent')
  const name = read.text('session-cookie-name') ?? 'INGRESSCOOKIE'
  const sameSite = read.oneOf<SameSite, null>('session-cookie-samesite', ['Strict', 'Lax', 'None'], null)
  const [maxAge, expires] = [
    read.integer('session-cookie-max-age', AGE, null),
    read.integer('session-cookie-expires', AGE, null),
  ]
  const [path, domain] = [read.text('session-cookie-path'), read.text('session-cookie-domain')]
  if (read.flag('session-cookie-conditional-samesite-none', false))
    read.changed(
      'session-cookie-conditional-samesite-none',
      'SameSite=None is sent to every browser: those that refuse it are from before 2020',
    )
  const secure = read.text('session-cookie-secure') === null ? null : read.flag('session-cookie-secure', false)
  const changeOnFailure = read.flag('session-cookie-change-on-failure', false)
  if (type === null) return null
  if (!/^[-!#$%&'*+.^_`|~\w]+$/.test(name) || /[;\s"]/.test(`${path ?? ''}${domain ?? ''}`)) {
    read.refuse(
      'session-cookie-name',
      `or path or domain cannot stand in a cookie; no session is kept`,
      'use letters and digits',
    )
    return null
  }
  return {
    ...{ name, path, changeOnFailure },
    ...(domain !== null && { domain }),
    ...(maxAge !== null && { maxAgeSeconds: maxAge }),
    ...(expires !== null && { expiresSeconds: expires }),
    ...(sameSite !== null && { sameSite }),
    ...(secure !== null && { secure }),
  }
}

function parseTls(read: Reader, namespace: string): UpstreamTls {
  const secret = pathOf(read, 'proxy-ssl-secret', namespace, true)
  const isVerified = read.oneOf('proxy-ssl-verify', ['on', 'off'], 'off') === 'on'
  const depth = read.integer('proxy-ssl-verify-depth', [0, 100], 1)
  read.text('proxy-ssl-ciphers')
  read.changed('proxy-ssl-ciphers', 'only ciphers that are thought safe are offered')
  const words = read.list('proxy-ssl-protocols', /\s+/)
  const known = words?.filter((word): word is TlsVersion => word === 'TLSv1.2' || word === 'TLSv1.3') ?? BOTH
  if (words !== null && known.length < words.length)
    read.changed('proxy-ssl-protocols', 'only TLSv1.2 and TLSv1.3 are spoken')
  if (isVerified && secret === null)
    read.refuse(
      'proxy-ssl-verify',
      'is on, but proxy-ssl-secret does not say by which authorities',
      'name a Secret with ca.crt in proxy-ssl-secret',
      true,
    )
  return {
    ...{ secret, isVerified, depth },
    serverName: read.text('proxy-ssl-name'),
    sendsName: read.oneOf('proxy-ssl-server-name', ['on', 'off'], 'off') === 'on',
    protocols: known.length > 0 ? known : BOTH,
  }
}

const PROTOCOLS = ['HTTP', 'HTTPS', 'GRPC', 'GRPCS'] as const
const BOTH: readonly TlsVersion[] = ['TLSv1.2', 'TLSv1.3']
const AGE = [0, 2_147_483_647] as const
