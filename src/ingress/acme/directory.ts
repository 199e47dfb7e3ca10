/** One account at an ACME server. The order flow is acme-client's; ARI is ours. */
import { createHash, X509Certificate } from 'node:crypto'
import { Agent } from 'node:https'
import { getCACertificates } from 'node:tls'
import * as acme from 'acme-client'
import { AcmeError, problemOf, type Problem } from './problem.ts'
import { renewalInfoOf, type RenewalInfo } from './renewal.ts'
import type { ChallengeType, KeyType } from './wanted.ts'

/** What is asked of a server. Each call rejects with AcmeError, or with what went wrong on the way. */
export interface Directory {
  /** Gives the account's URL: of the account that has this key, made if there is none. */
  register(email: string | null): Promise<string>
  /** Gives the order's URL. */
  order(
    names: readonly string[],
    options: { readonly replaces: string | null; readonly profile: string | null },
  ): Promise<string>
  /** null: there is no such order any more. */
  look(url: string): Promise<OrderView | null>
  /** The server is to look at what was put there. */
  ask(challenge: Challenge): Promise<void>
  finalize(url: string, names: readonly string[], key: string): Promise<void>
  /** The chain in PEM, the certificate first. */
  download(url: string): Promise<string>
  /** null: the server has no ARI, or said nothing that can be used. */
  renewalInfo(certId: string): Promise<RenewalInfo | null>
  /** Of its account, RFC 8555 8.1. */
  readonly thumbprint: string
  /** The certificate that proves a name by tls-alpn-01 (RFC 8737 3). */
  alpn(challenge: Challenge): Promise<{ readonly chain: string; readonly key: string }>
}

export interface OrderView {
  readonly status: 'pending' | 'ready' | 'processing' | 'valid' | 'invalid'
  /** Of names that are not proved yet. */
  readonly challenges: readonly Challenge[]
  /** Names that are not proved yet, and cannot be in the way that is wanted: what the server offers for them. */
  readonly unprovable: readonly { readonly name: string; readonly offered: readonly string[] }[]
  /** Why it is invalid. */
  readonly problem: Problem | null
  /** ms since 1970. */
  readonly expires: number | null
  readonly retryAfterMs: number | null
}

export interface Challenge {
  readonly type: ChallengeType
  readonly url: string
  /** Without `*.`. */
  readonly name: string
  readonly token: string
  /** `TOKEN.THUMBPRINT`. */
  readonly keyAuthorization: string
  readonly isPending: boolean
}

export interface DirectoryOptions {
  readonly url: string
  /** PEM of the account's key. */
  readonly key: string
  readonly account: string | null
  readonly challenge: ChallengeType
  readonly binding: { readonly kid: string; readonly hmacKey: string } | null
}

/** Authorities of private servers, in PEM, besides those that are trusted anyway. For all directories of this process. */
export function trust(authorities: readonly string[]): void {
  acme.axios.defaults.httpsAgent = new Agent({ ca: [...getCACertificates('default'), ...authorities], keepAlive: true })
}

export function openDirectory({ url, key, account, challenge, binding }: DirectoryOptions): Directory {
  const client = new acme.Client({
    ...{ directoryUrl: url, accountKey: key },
    ...(account !== null && { accountUrl: account }),
    ...(binding !== null && { externalAccountBinding: binding }),
  })
  const thumbprint = thumbprintOf(key)
  const find = (order: string): Promise<acme.Order> => client.getOrder({ url: order } as acme.Order)
  return {
    thumbprint,
    async register(email) {
      await client.createAccount({
        termsOfServiceAgreed: true,
        ...(email !== null && { contact: [`mailto:${email}`] }),
      })
      return client.getAccountUrl()
    },
    async order(names, { replaces, profile }) {
      const wanted = {
        identifiers: names.map((value) => ({ type: 'dns', value })),
        ...(replaces !== null && { replaces }), // RFC 9773 5
        ...(profile !== null && { profile }), // draft-ietf-acme-profiles
      }
      return (await client.createOrder(wanted)).url
    },
    async look(order) {
      try {
        const found = await find(order)
        const authorizations =
          found.status === 'pending' || found.status === 'invalid' ? await client.getAuthorizations(found) : []
        return viewOf(found, authorizations, challenge, thumbprint)
      } catch (error) {
        if (error instanceof AcmeError && (error.problem.status === 404 || error.problem.status === 410)) return null
        throw error
      }
    },
    async ask({ url: at, type, token }) {
      await client.completeChallenge({ url: at, type, token, status: 'pending' } as Parameters<
        typeof client.completeChallenge
      >[0])
    },
    async finalize(order, names, certificateKey) {
      const [, csr] = await acme.crypto.createCsr({ altNames: [...names] }, certificateKey)
      await client.finalizeOrder(await find(order), csr)
    },
    async download(order) {
      const chain = await client.getCertificate(await find(order))
      if (typeof chain !== 'string' || chain.length > CHAIN_MAX)
        throw new Error('the server sent no certificate in PEM')
      void new X509Certificate(chain) // throws
      return chain
    },
    renewalInfo: (certId) => askRenewalInfo(url, certId),
    alpn: alpnPair,
  }
}

/** Not signed: anybody may ask (RFC 9773 4.1). */
async function askRenewalInfo(url: string, certId: string): Promise<RenewalInfo | null> {
  const directory = await acme.axios.get<{ renewalInfo?: unknown }>(url, { validateStatus: null })
  const at = directory.data?.renewalInfo
  if (typeof at !== 'string') return null
  const answer = await acme.axios.get<unknown>(`${at.replace(/\/$/, '')}/${certId}`, { validateStatus: null })
  return renewalInfoOf(certId, answer.data, retryAfterOf(answer.headers['retry-after']), Date.now())
}

async function alpnPair({ name, keyAuthorization }: Challenge): Promise<{ chain: string; key: string }> {
  const authorization = { identifier: { type: 'dns', value: name } } as acme.Authorization
  const [key, chain] = await acme.crypto.createAlpnCertificate(authorization, keyAuthorization, await newKey('P-256'))
  return { chain: String(chain), key: String(key) }
}

/** PKCS #8 in PEM. */
export const newKey = async (type: KeyType): Promise<string> =>
  String(
    typeof type === 'number'
      ? await acme.crypto.createPrivateRsaKey(type)
      : await acme.crypto.createPrivateEcdsaKey(type),
  )

function viewOf(
  order: acme.Order,
  authorizations: readonly acme.Authorization[],
  wanted: ChallengeType,
  thumbprint: string,
): OrderView {
  const challenges: Challenge[] = []
  const unprovable: { name: string; offered: string[] }[] = []
  const problems: unknown[] = []
  for (const { identifier, status, challenges: offered } of authorizations) {
    for (const { status: how, error } of offered)
      if (how === 'invalid' && error) problems.push({ ...error, identifier })
    if (status !== 'pending') continue
    const found = offered.find(({ type }) => (type as string) === wanted)
    if (found === undefined) unprovable.push({ name: identifier.value, offered: offered.map(({ type }) => type) })
    else
      challenges.push({
        ...{ type: wanted, url: found.url, name: identifier.value, token: found.token },
        ...{ keyAuthorization: `${found.token}.${thumbprint}`, isPending: found.status === 'pending' },
      })
  }
  const error = order.error ?? (problems.length > 0 ? { ...(problems[0] as object), subproblems: problems } : {})
  return {
    ...{ status: order.status, challenges, unprovable },
    problem: order.status === 'invalid' ? problemOf({ subproblems: problems, ...error }, 400, null) : null,
    expires: order.expires === undefined ? null : Date.parse(order.expires) || null,
    retryAfterMs: (order as { [RETRY_AFTER]?: number })[RETRY_AFTER] ?? null,
  }
}

/** RFC 7638. */
function thumbprintOf(key: string): string {
  const jwk: object = acme.crypto.getJwk(key)
  return createHash('sha256')
    .update(JSON.stringify(jwk, Object.keys(jwk).sort()))
    .digest('base64url')
}

/** ms; of seconds or a date (RFC 9110 10.2.3). */
function retryAfterOf(header: unknown): number | null {
  if (typeof header !== 'string') return null
  const ms = /^\d{1,9}$/.test(header) ? Number(header) * 1000 : Date.parse(header) - Date.now()
  return Number.isFinite(ms) ? Math.max(0, ms) : null
}

const RETRY_AFTER = Symbol('Retry-After of the answer')
const CHAIN_MAX = 256 * 1024

// acme-client has one HTTP client for all. Waiting and problems are left to us: its own interceptors wait for as long as the
// server says, and hide why there was no answer.
Object.assign(acme.axios.defaults, { timeout: 30_000, maxContentLength: 1024 * 1024, maxRedirects: 3 })
acme.axios.interceptors.request.clear()
acme.axios.interceptors.response.clear()
acme.axios.interceptors.response.use((response) => {
  const retryAfterMs = retryAfterOf(response.headers['retry-after'])
  if (response.status >= 400) {
    const problem = problemOf(response.data, response.status, retryAfterMs)
    // acme-client asks again itself, with the nonce of this answer.
    if (problem.type !== 'badNonce') throw new AcmeError(problem)
  }
  const data = response.data as unknown
  if (typeof data === 'object' && data !== null && retryAfterMs !== null)
    Object.defineProperty(data, RETRY_AFTER, { value: retryAfterMs })
  return response
})
