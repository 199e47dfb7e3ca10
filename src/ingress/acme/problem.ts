/** What a server says is wrong (RFC 8555 6.7), and what the user does about it. */

export interface Problem {
  /** Without `urn:ietf:params:acme:error:`; '': none was given. */
  readonly type: string
  readonly detail: string
  /** HTTP status; 0: no answer. */
  readonly status: number
  readonly retryAfterMs: number | null
  /** Of single names (RFC 8555 6.7.1). */
  readonly of: readonly { readonly name: string; readonly type: string; readonly detail: string }[]
}

export class AcmeError extends Error {
  readonly problem: Problem

  constructor(problem: Problem) {
    super(textOf(problem))
    this.problem = problem
  }
}

/** Of a body of application/problem+json, or an `error` of an order or challenge. */
export function problemOf(body: unknown, status: number, retryAfterMs: number | null): Problem {
  const { type, detail, subproblems } = (typeof body === 'object' && body !== null ? body : {}) as Raw
  return {
    ...{ type: short(type), status, retryAfterMs },
    detail: typeof detail === 'string' ? detail.slice(0, DETAIL_MAX) : '',
    of: (Array.isArray(subproblems) ? (subproblems as Raw[]) : []).slice(0, OF_MAX).map((sub) => ({
      name: String((sub?.identifier as { value?: unknown } | undefined)?.value ?? ''),
      ...{ type: short(sub?.type), detail: String(sub?.detail ?? '').slice(0, DETAIL_MAX) },
    })),
  }
}

/** Of anything thrown: what has no problem document got no answer. */
export const problemOfError = (error: unknown): Problem =>
  error instanceof AcmeError
    ? error.problem
    : { type: '', detail: (error as Error)?.message || String(error), status: 0, retryAfterMs: null, of: [] }

export function textOf({ type, detail, status, of }: Problem): string {
  const said = type === '' ? `${status === 0 ? '' : `HTTP status ${status}: `}${detail}` : `${type}: ${detail}`
  return [said || 'no reason was given', ...of.map((sub) => `${sub.name}: ${sub.type}: ${sub.detail}`)].join('; ')
}

/** It may pass by itself, and the order goes on where it was. */
export const isTransient = ({ type, status }: Problem): boolean =>
  type === 'badNonce' || type === 'serverInternal' || (type === '' && (status === 0 || status >= 500))

/** By type of problem; of several names, of the first that has one. */
export function remedyOf(problem: Problem, challenge: string): string {
  const types = [...problem.of.map((sub) => sub.type), problem.type]
  const type = types.find((found) => REMEDIES[found] !== undefined)
  const remedy = type === undefined ? undefined : REMEDIES[type]
  if (remedy !== undefined) return typeof remedy === 'string' ? remedy : remedy(challenge)
  return problem.status === 0 || problem.status >= 500
    ? 'see that the controller reaches the ACME server; it is tried again'
    : 'read what the server says; it is tried again, later each time'
}

type Raw = { type?: unknown; detail?: unknown; subproblems?: unknown; identifier?: unknown }

const short = (type: unknown): string =>
  typeof type === 'string' && type !== 'about:blank'
    ? type.replace(/^urn:ietf:params:acme:error:/, '').slice(0, 100)
    : ''

const reaches = (challenge: string): string =>
  ({
    'http-01': 'see that the name points to this ingress and that port 80 is reached from outside',
    'tls-alpn-01':
      'see that the name points to this ingress and that port 443 is reached from outside, TLS not ended before',
    'dns-01': 'see that the zone is delegated to the server that is changed',
  })[challenge] ?? 'see that the name points to this ingress'

const REMEDIES: Readonly<{ [type in string]?: string | ((challenge: string) => string) }> = {
  rateLimited: 'wait: it is tried again when the server allows it; fewer names, or another account, need fewer orders',
  caa: 'let the CAA records of the name allow this authority, or take them away',
  dns: (challenge) => `make the name resolve; ${reaches(challenge)}`,
  connection: reaches,
  incorrectResponse: (challenge) => `something else answers for the name; ${reaches(challenge)}`,
  unauthorized: (challenge) => `something else answers for the name; ${reaches(challenge)}`,
  tls: (challenge) => `the server got no challenge certificate; ${reaches(challenge)}`,
  rejectedIdentifier: 'this authority gives no certificate for this name: use another name or issuer',
  unsupportedIdentifier: 'this authority gives no certificate for this name: use another name or issuer',
  invalidContact: 'correct the e-mail address of the issuer',
  unsupportedContact: 'correct the e-mail address of the issuer',
  externalAccountRequired: 'give the issuer the key id and HMAC key that the operator of the server gave you',
  invalidProfile: 'choose a profile that the server offers, or none',
  userActionRequired: 'agree to the terms that the server names',
  badCSR: 'choose another key type (cert-manager.io/private-key-algorithm, -size)',
  accountDoesNotExist: 'nothing: the account is registered again',
}
const DETAIL_MAX = 1_000
const OF_MAX = 10
