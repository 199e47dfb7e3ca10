/** Which certificates are wanted of an ACME server, and how: what annotations of an Ingress ask for, as cert-manager reads them. */
import type { Ingress } from '../../cluster/ingress.ts'
import type { Rejection } from '../../cluster/rejection.ts'

/** An ACME server and how names are proved to it. */
export interface Issuer {
  /** By which annotations mean it (`cert-manager.io/cluster-issuer`). */
  readonly name: string
  /** URL of its directory (RFC 8555 7.1.1). */
  readonly directory: string
  readonly email: string | null
  readonly challenge: ChallengeType
  /** Where records of dns-01 are written. */
  readonly dns: Dns | null
  /** Kind of certificate, of those that the server offers: `shortlived`. */
  readonly profile: string | null
  /** External account binding (RFC 8555 7.3.4). */
  readonly binding: Binding | null
}

export type ChallengeType = 'http-01' | 'tls-alpn-01' | 'dns-01'

export interface Binding {
  readonly kid: string
  /** The HMAC key in base64url, as the server's operator gives it. */
  readonly hmac: SecretKey
}

/** One value of a Secret: what is secret is in no row. */
export interface SecretKey {
  /** namespace/name. */
  readonly secret: string
  readonly key: string
}

export type Dns =
  /** RFC 2136: the primary server of a zone takes changes signed with a key (RFC 8945). */
  | {
      readonly kind: 'update'
      readonly address: string
      readonly port: number
      readonly zone: string
      readonly keyName: string
      readonly algorithm: 'hmac-sha256' | 'hmac-sha384' | 'hmac-sha512'
      /** In base64, as tsig-keygen(8) prints it. */
      readonly tsig: SecretKey
    }
  /** Gets POST with `{"action":"present"|"remove","name":"_acme-challenge.example.org.","value":"..."}`; 2xx: every server has it. */
  | { readonly kind: 'webhook'; readonly url: string; readonly bearer: SecretKey | null }

/** Row by path of its Secret, `namespace/name`. */
export interface Wanted {
  readonly secret: string
  /** Lower case, sorted, each once. */
  readonly names: readonly string[]
  readonly issuer: Issuer
  readonly keyType: KeyType
  /** How long before its end it is renewed, where the annotation says so; null: when the server says. */
  readonly renewBeforeMs: number | null
  /** namespace/name of the Ingress that asks. */
  readonly ingress: string
}

export type KeyType = 'P-256' | 'P-384' | 'P-521' | 2048 | 3072 | 4096

export interface Issuers {
  readonly byName: ReadonlyMap<string, Issuer>
  /** Of those that say `kubernetes.io/tls-acme: "true"` only; null: there is none. */
  readonly common: Issuer | null
}

/** Of one Ingress: its wants, and what it asks for that cannot be had. */
export function wantedOf(
  ingress: Asking,
  issuers: Issuers,
): { readonly wanted: readonly Wanted[]; readonly rejections: readonly Rejection[] } {
  const rejections: Rejection[] = []
  const path = `${ingress.namespace}/${ingress.name}`
  const reject = (field: string, problem: string, remedy: string): null => {
    rejections.push({ object: `Ingress ${path}`, field, problem, remedy })
    return null
  }
  const annotation = (name: string): string | undefined => ingress.annotations.get(name)
  const rejectAnnotation = (name: string, problem: string, remedy: string): null =>
    reject(`metadata.annotations[${name}]`, problem, remedy)

  const issuer = issuerOf(annotation, issuers, rejectAnnotation)
  if (issuer === null) return { wanted: [], rejections }
  const keyType = keyTypeOf(annotation, rejectAnnotation)
  const renewBeforeMs = renewBeforeOf(annotation, rejectAnnotation)
  for (const name of NOT_OURS)
    if (annotation(name) !== undefined)
      rejectAnnotation(name, 'is not something an ACME server is asked for here; not used', 'take the annotation away')
  const wanted: Wanted[] = []
  for (const [i, { hosts, secret }] of ingress.tls.entries()) {
    const field = `spec.tls[${i}]`
    const names = [...new Set(hosts)].filter((host) => host !== '').sort()
    if (secret === '') continue // the default certificate is shown
    if (names.length === 0) reject(`${field}.hosts`, 'is empty: no certificate is asked for', 'list the names')
    else if (names.length > NAMES_MAX)
      reject(`${field}.hosts`, `has ${names.length} names; a certificate has ${NAMES_MAX} at most`, 'divide them')
    else if (issuer.challenge !== 'dns-01' && names.some((name) => name.startsWith('*.')))
      reject(
        `${field}.hosts`,
        `has a wildcard, which cannot be proved by ${issuer.challenge}`,
        'use an issuer with dns-01, or list the names one by one',
      )
    else
      wanted.push({
        ...{ names, issuer, keyType, renewBeforeMs, ingress: path },
        secret: `${ingress.namespace}/${secret}`,
      })
  }
  return { wanted, rejections }
}

/** Of an Ingress, what certificates follow from. */
export type Asking = Pick<Ingress, 'namespace' | 'name' | 'annotations' | 'tls'>

type Annotation = (name: string) => string | undefined
type Reject = (field: string, problem: string, remedy: string) => null

/** null: none is asked for, or (reported) there is no such issuer. */
function issuerOf(annotation: Annotation, { byName, common }: Issuers, reject: Reject): Issuer | null {
  const local = annotation(ISSUER)
  const known = `name one of: ${[...byName.keys()].sort().join(', ') || 'none is configured'}`
  if (local !== undefined)
    return reject(
      ISSUER,
      `names the Issuer ${local} of cert-manager, which is not read here`,
      `use ${CLUSTER_ISSUER}; ${known}`,
    )
  const named = annotation(CLUSTER_ISSUER)
  if (named !== undefined)
    return byName.get(named) ?? reject(CLUSTER_ISSUER, `names the issuer ${named}, which is not configured`, known)
  if (annotation(TLS_ACME) !== 'true') return null
  return common ?? reject(TLS_ACME, 'asks for a certificate, but no default issuer is configured', known)
}

function keyTypeOf(annotation: Annotation, reject: Reject): KeyType {
  const algorithm = annotation(ALGORITHM) ?? 'ECDSA'
  const size = annotation(SIZE)
  const types = KEY_TYPES[algorithm]
  if (types === undefined) {
    reject(ALGORITHM, `is ${algorithm}; ECDSA P-256 is used`, 'write ECDSA or RSA')
    return 'P-256'
  }
  const type = size === undefined ? types['']! : types[size]
  if (type !== undefined) return type
  reject(SIZE, `is ${size}; ${types['']!} is used`, `write one of ${Object.keys(types).filter(Boolean).join(', ')}`)
  return types['']!
}

function renewBeforeOf(annotation: Annotation, reject: Reject): number | null {
  const text = annotation(RENEW_BEFORE)
  if (text === undefined) return null
  const parts = DURATION.exec(text)
  const [hours = 0, minutes = 0, seconds = 0] = (parts ?? []).slice(1).map((part) => Number(part ?? 0))
  const ms = ((hours * 60 + minutes) * 60 + seconds) * 1000
  if (ms >= RENEW_BEFORE_MIN_MS) return ms
  return reject(RENEW_BEFORE, 'is not 5 minutes or more; the server is asked when to renew', 'write hours: 360h')
}

const ISSUER = 'cert-manager.io/issuer'
const CLUSTER_ISSUER = 'cert-manager.io/cluster-issuer'
const TLS_ACME = 'kubernetes.io/tls-acme'
const ALGORITHM = 'cert-manager.io/private-key-algorithm'
const SIZE = 'cert-manager.io/private-key-size'
const RENEW_BEFORE = 'cert-manager.io/renew-before'
/** What cert-manager lets be asked for and a public ACME server does not give, or what we do one way only. */
const NOT_OURS = [
  'cert-manager.io/duration',
  'cert-manager.io/renew-before-percentage',
  'cert-manager.io/usages',
  'cert-manager.io/email-sans',
  'cert-manager.io/uri-sans',
  'cert-manager.io/ip-sans',
]
const KEY_TYPES: Readonly<Record<string, Readonly<Record<string, KeyType>>>> = {
  ECDSA: { '': 'P-256', '256': 'P-256', '384': 'P-384', '521': 'P-521' },
  RSA: { '': 2048, '2048': 2048, '3072': 3072, '4096': 4096 },
}
/** As Go writes them. */
const DURATION = /^(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?$/
const RENEW_BEFORE_MIN_MS = 5 * 60_000
/** Let's Encrypt's. */
export const NAMES_MAX = 100
