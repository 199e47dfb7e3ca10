/** What Secrets hold, as far as it can be told without a connection. Nothing secret is in what is returned. */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import type { Secret } from '../cluster/secret.ts'

/** What a Secret is good for; a text says why it is not, and what to do. */
export interface Facts {
  readonly pair: PairFacts | Unusable
  readonly trust: 'usable' | Unusable
  readonly users: 'file' | 'map' | Unusable
}

export interface PairFacts {
  /** subjectAltName, lower case. */
  readonly names: readonly string[]
  /** ms since 1970. */
  readonly notBefore: number
  readonly notAfter: number
}

export interface Unusable {
  readonly problem: string
  readonly remedy: string
}

export const isUsable = <T>(facts: T | Unusable): facts is T =>
  !(typeof facts === 'object' && facts !== null && 'problem' in facts)

export function factsOf({ data }: Secret): Facts {
  return {
    pair: pairOf(data.get('tls.crt'), data.get('tls.key')),
    trust: trustOf(data.get('ca.crt')),
    users: usersOf(data),
  }
}

function pairOf(chain: string | undefined, key: string | undefined): PairFacts | Unusable {
  const remedy = 'write it with `kubectl create secret tls`'
  if (!chain || !key) return { problem: `has no ${chain ? 'tls.key' : 'tls.crt'}`, remedy }
  let certificate: X509Certificate
  try {
    certificate = new X509Certificate(chain)
  } catch {
    return { problem: 'has a tls.crt that is not a certificate in PEM', remedy }
  }
  try {
    if (!certificate.checkPrivateKey(createPrivateKey(key)))
      return { problem: 'has a tls.key that is not that of its tls.crt', remedy }
  } catch {
    return { problem: 'has a tls.key that is not a private key in PEM', remedy }
  }
  const names = [...(certificate.subjectAltName ?? '').matchAll(/DNS:([^,\s]+)/g)].map((match) =>
    match[1]!.toLowerCase(),
  )
  return { names, notBefore: Date.parse(certificate.validFrom), notAfter: Date.parse(certificate.validTo) }
}

function trustOf(text: string | undefined): Facts['trust'] {
  const remedy = 'put certificates of authorities in PEM into the key ca.crt'
  if (!text) return { problem: 'has no ca.crt', remedy }
  try {
    const all = (text.match(CERTIFICATE) ?? ['']).map((block) => new X509Certificate(block))
    return all.length > 0 ? 'usable' : { problem: 'has an empty ca.crt', remedy }
  } catch {
    return { problem: 'has a ca.crt that is not certificates in PEM', remedy }
  }
}

/** A file of htpasswd(1), or a key for each user. */
function usersOf(data: ReadonlyMap<string, string>): Facts['users'] {
  const remedy = 'put a file of htpasswd into the key auth, or name users in keys and set auth-secret-type to auth-map'
  const file = data.get('auth')
  if (file !== undefined) return linesOf(file).length > 0 ? 'file' : { problem: 'has no user in auth', remedy }
  const isMap = data.size > 0 && !data.has('tls.crt') && !data.has('ca.crt')
  return isMap ? 'map' : { problem: 'has no users', remedy }
}

/** `NAME:HASH`. */
export const linesOf = (file: string): string[] =>
  file
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => /^[^:#][^:]*:.+/.test(line))

/** RFC 6125 6.4.3: the wildcard is the whole first label. */
export const covers = (names: readonly string[], host: string): boolean =>
  names.includes(host) || names.includes(`*.${host.slice(host.indexOf('.') + 1)}`)

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g
