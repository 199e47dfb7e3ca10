import { createHash } from 'node:crypto'
import type { Key } from '../core/delta.ts'
import { intern, internMap } from './intern.ts'
import { isAbsent, isRecord, record, type Raw } from './raw.ts'
import { Report, show, type Parsed } from './rejection.ts'

/** What every kind's parser starts from: an object with a usable name. */
export interface Metadata {
  readonly raw: Raw
  readonly metadata: Raw
  /** '' for kinds without namespaces. */
  readonly namespace: string
  readonly name: string
  readonly report: Report
}

/** Reads name and namespace; `rejected` when the object has none that can be used. Absent namespaces are `default`. */
export function parseMetadata(
  raw: unknown,
  kind: string,
  namespaced: boolean,
): Metadata | { readonly rejected: Parsed<never> } {
  const metadata = isRecord(raw) && isRecord(raw['metadata']) ? raw['metadata'] : {}
  const name = metadata['name']
  const namespace = namespaced ? (metadata['namespace'] ?? DEFAULT_NAMESPACE) : ''
  const report = new Report(`${kind} ${title(namespace, name)}`)
  if (!isRecord(raw)) report.reject('', `is ${show(raw)}, not an object`, `write a ${kind} object`)
  else if (!isName(name)) rejectName(report, 'metadata.name', name, NAME_MAX)
  else if (namespaced && !isLabel(namespace)) rejectName(report, 'metadata.namespace', namespace, LABEL_MAX)
  else return { raw, metadata, name, namespace: intern(namespace as string), report }
  return { rejected: report.parsed<never>(null) }
}

/** `namespace/name`, or `name` for kinds without namespaces; null when the object has no usable name. Never throws. */
export function objectKey(raw: unknown, namespaced: boolean): Key | null {
  const metadata = isRecord(raw) && isRecord(raw['metadata']) ? raw['metadata'] : null
  if (metadata === null || !isName(metadata['name'])) return null
  if (!namespaced) return metadata['name']
  const namespace = metadata['namespace'] ?? DEFAULT_NAMESPACE
  return isLabel(namespace) ? `${namespace}/${metadata['name']}` : null
}

/** The object's key; for one without a usable name, a stand-in that is the same whenever the same object comes again. */
export function identity(raw: unknown, namespaced: boolean): Key {
  const key = objectKey(raw, namespaced)
  if (key !== null) return key
  const metadata = isRecord(raw) && isRecord(raw['metadata']) ? raw['metadata'] : {}
  const digest = createHash('sha1')
  for (const part of [metadata['namespace'], metadata['name']]) {
    digest.update(typeof part === 'string' ? `${part}\0` : `${show(part)}\0\0`)
  }
  return `?${digest.digest('hex').slice(0, 16)}`
}

/** A label or annotation map, shared between rows with the same content. `keep`: which keys (default: all). */
export function parseLabels(
  value: unknown,
  field: string,
  report: Report,
  { valueMax = LABEL_MAX, keep = everything } = {},
): ReadonlyMap<string, string> {
  const map = new Map<string, string>()
  const entries = Object.entries(record(value, field, report))
  if (entries.length > LABELS_MAX) {
    report.reject(field, `has ${entries.length} keys; only the first ${LABELS_MAX} are used`, 'use fewer')
  }
  for (const [key, text] of entries.slice(0, LABELS_MAX).sort(byKey)) {
    if (!keep(key)) continue
    if (key.length > LABEL_KEY_MAX) report.reject(field, `has the key ${show(key)}, which is too long`, 'shorten it')
    else if (typeof text !== 'string') {
      report.reject(`${field}[${show(key)}]`, `is ${show(text)}, not text; left out`, 'write the value in quotes')
    } else if (text.length > valueMax) {
      report.reject(`${field}[${show(key)}]`, `has ${text.length} characters; left out`, `use at most ${valueMax}`)
    } else map.set(intern(key), intern(text))
  }
  return internMap(map)
}

/** metadata.creationTimestamp in ms since 1970; 0 when absent or (reported) wrong. */
export function createdAt({ metadata, report }: Pick<Metadata, 'metadata' | 'report'>): number {
  const text = metadata['creationTimestamp']
  const created = typeof text === 'string' ? Date.parse(text) : NaN
  if (!Number.isNaN(created)) return created
  if (!isAbsent(text)) {
    report.reject('metadata.creationTimestamp', `is ${show(text)}, not a time`, 'write it like 2026-01-31T12:00:00Z')
  }
  return 0
}

// Names are RFC 1123 subdomains (or stricter): keys that are made of them may use space and `/` as separators.
const isName = (value: unknown): value is string =>
  typeof value === 'string' && value.length <= NAME_MAX && SUBDOMAIN.test(value)

/** An RFC 1123 label, as namespaces and hostnames are. */
export const isLabel = (value: unknown): value is string =>
  typeof value === 'string' && value.length <= LABEL_MAX && LABEL.test(value)

const everything = (_key: string): boolean => true

const byKey = ([a]: [string, unknown], [b]: [string, unknown]) => (a < b ? -1 : a > b ? 1 : 0)

function title(namespace: unknown, name: unknown): string {
  const shown = typeof name === 'string' ? cut(name) : '(no name)'
  return namespace === '' ? shown : `${typeof namespace === 'string' ? cut(namespace) : '(no namespace)'}/${shown}`
}

const cut = (text: string) => (text.length <= TITLE_MAX ? text : `${text.slice(0, TITLE_MAX)}...`)

function rejectName(report: Report, field: string, value: unknown, max: number): void {
  if (typeof value === 'string' && value.length > max) {
    report.reject(field, `has ${value.length} characters: ${show(value)}`, `use at most ${max} characters`)
  } else {
    report.reject(field, `is ${show(value)}, not a name`, "use lower-case letters, digits and '-' (RFC 1123)")
  }
}

const DEFAULT_NAMESPACE = 'default'
const NAME_MAX = 253
const LABEL_MAX = 63
/** Prefix of 253, a slash, name of 63. */
const LABEL_KEY_MAX = 317
const LABELS_MAX = 1000
const TITLE_MAX = 100
const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/
