import { parseMetadata } from './metadata.ts'
import { isAbsent, isRecord, type Raw } from './raw.ts'
import type { Parsed, Report } from './rejection.ts'

/** core/v1 Secret, reduced to what derivations read. Never written down, logged, or shown. */
export interface Secret {
  readonly namespace: string
  readonly name: string
  /** Decoded, as UTF-8: of the keys that are read (`tls.crt`, `tls.key`, `ca.crt`, `ca.crl`, `auth`) or, where it has none of them, of all: a map of users. */
  readonly data: ReadonlyMap<string, string>
}

/** Of a core/v1 Secret as JSON. Never throws. What it says of wrong values are lengths only. */
export function parseSecret(raw: unknown): Parsed<Secret> {
  const meta = parseMetadata(raw, 'Secret', true)
  if ('rejected' in meta) return meta.rejected
  const { report, namespace, name } = meta
  const given = { ...decoded(quietly(meta.raw, 'data', report)), ...plain(quietly(meta.raw, 'stringData', report)) }
  const known = KEYS.filter((key) => given[key] !== undefined)
  const keys = known.length > 0 ? known : Object.keys(given).sort()
  const data = new Map<string, string>()
  for (const key of keys) {
    const value = given[key]!
    if (value === null || value.length > VALUE_MAX || key.length > KEY_MAX || data.size >= KEYS_MAX) {
      const problem =
        value === null ? 'is not base64' : `is one of ${keys.length} keys, with ${value.length} characters: too much`
      report.reject(
        `data[${key.slice(0, KEY_MAX)}]`,
        `${problem}; left out`,
        'write it as `kubectl create secret` does',
      )
    } else data.set(key, value)
  }
  return report.parsed<Secret>({ namespace, name, data })
}

/** As `record`, but what is wrong is not shown. */
function quietly(raw: Raw, field: string, report: Report): Raw {
  const value = raw[field]
  if (isRecord(value)) return value
  if (!isAbsent(value)) report.reject(field, 'is not an object', 'write it as `kubectl create secret` does')
  return {}
}

type Values = Record<string, string | null>

const decoded = (data: Readonly<Record<string, unknown>>): Values =>
  Object.fromEntries(
    Object.entries(data).map(([key, value]) => [
      key,
      typeof value === 'string' && BASE64.test(value) ? Buffer.from(value, 'base64').toString('utf8') : null,
    ]),
  )

/** As people write it into manifests; an API server has turned it into `data` already. */
const plain = (data: Readonly<Record<string, unknown>>): Values =>
  Object.fromEntries(Object.entries(data).map(([key, value]) => [key, typeof value === 'string' ? value : null]))

const KEYS = ['tls.crt', 'tls.key', 'ca.crt', 'ca.crl', 'auth']
const BASE64 = /^[A-Za-z0-9+/=\s]*$/
/** The API server takes 1 MiB at most for all of them. */
const VALUE_MAX = 1024 * 1024
const KEY_MAX = 253
const KEYS_MAX = 10_000
