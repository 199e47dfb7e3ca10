import { apiVersion, type Kind } from '../../kind.ts'

/** Why the API server did not give what was asked. An expected failure: a value, never thrown. */
export interface Problem {
  /** HTTP status, also of a Status inside a watch; null: there was no answer. */
  readonly status: number | null
  readonly message: string
  /** What a person can do; '' when only waiting helps. */
  readonly remedy: string
  /** What the server asked for (Retry-After); null: nothing. */
  readonly retryAfterMs: number | null
}

/** From a meta/v1 Status, or from whatever else the body of a failed request held. `retryAfter`: the header, seconds. */
export function fromStatus(status: number, body: unknown, retryAfter?: string): Problem {
  const said = typeof body === 'object' && body !== null ? (body as Record<string, any>) : {}
  const message = typeof said['message'] === 'string' ? said['message'] : typeof body === 'string' ? body.trim() : ''
  const seconds = Number(retryAfter ?? said['details']?.['retryAfterSeconds'])
  return {
    status: typeof said['code'] === 'number' ? said['code'] : status,
    message: message === '' ? `the API server answered ${status}` : message.slice(0, MESSAGE_MAX),
    remedy: status === 401 ? 'check the token or client certificate that is sent; it may have expired' : '',
    retryAfterMs: Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds * 1000, RETRY_AFTER_MAX_MS) : null,
  }
}

/** From what undici, net or tls threw. `server`: whom we spoke to. */
export function fromError(error: unknown, server: string): Problem {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error
  const { code, message } = cause as NodeJS.ErrnoException
  const text = message === undefined || message === '' ? String(code ?? error) : message
  return {
    status: null,
    message: `${server}: ${text}`.slice(0, MESSAGE_MAX),
    remedy: remedyFor(typeof code === 'string' ? code : ''),
    retryAfterMs: null,
  }
}

/** The same with the missing permission, or the missing resource, named. */
export function explain(problem: Problem, verb: 'list' | 'watch', kind: Kind<unknown>): Problem {
  if (problem.status === 403) {
    const group = kind.group === '' ? 'the core API group' : `apiGroup ${kind.group}`
    const remedy = `allow "${verb}" on ${kind.plural} in ${group} in the ClusterRole of this account (RBAC)`
    return { ...problem, remedy }
  }
  if (problem.status === 404) {
    const message = `this API server has no ${kind.plural} in ${apiVersion(kind)}`
    return { ...problem, message, remedy: 'check the version of the cluster, or install the CustomResourceDefinition' }
  }
  return problem
}

/** True when history from the asked revision on is gone (or never was): only a list helps. */
export function needsList(problem: Problem): boolean {
  const { status } = problem
  if (status === null) return false
  // 504 is "Too large resource version": etcd was restored from an older backup. 4xx: the question itself is wrong.
  return status === 410 || status === 504 || (status >= 400 && status < 500 && status !== 401 && status !== 429)
}

function remedyFor(code: string): string {
  if (code === 'ECONNREFUSED') return 'is the API server running, and is the address right?'
  if (code === 'ENOENT') return 'nothing listens on that socket: is the program that makes it running?'
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'the name has no address: check the name and DNS'
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return "the certificate is for other names: use one of them as the address, or set the kubeconfig's tls-server-name"
  }
  if (code === 'CERT_HAS_EXPIRED') return 'renew the certificate of the API server (or check the clock of this machine)'
  if (code.includes('CERT') || code.includes('SIGN')) return 'give the CA that signed the certificate of the API server'
  return ''
}

const MESSAGE_MAX = 1000
const RETRY_AFTER_MAX_MS = 60_000
