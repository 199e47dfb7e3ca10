/** An Ingress that takes a share of what another one has. */
import { show } from '../../cluster/rejection.ts'
import { checkPattern } from '../pattern.ts'
import type { Reader } from '../reader.ts'

/** Header goes before cookie, cookie before weight. */
export interface Canary {
  readonly header: string | null
  /** Text, or a pattern; null: `always` and `never` are what counts. */
  readonly value: { readonly exact: string } | { readonly pattern: string } | null
  readonly cookie: string | null
  /** Of `total` requests. */
  readonly weight: number
  readonly total: number
}

/** null: it is none. */
export function parseCanary(read: Reader): Canary | null {
  const isCanary = read.flag('canary', false)
  const total = Math.max(100, read.integer('canary-weight-total', [1, 1_000_000], 100))
  const weight = read.integer('canary-weight', [0, total], 0)
  const header = read.headers('canary-by-header')?.[0] ?? null
  const value = valueOf(read)
  const cookie = cookieOf(read)
  return isCanary ? { header, value, cookie, weight, total } : null
}

function valueOf(read: Reader): Canary['value'] {
  const [exact, pattern] = [read.text('canary-by-header-value'), read.text('canary-by-header-pattern')]
  if (exact !== null) return { exact }
  if (pattern === null) return null
  const checked = checkPattern(pattern)
  if ('pattern' in checked) return checked
  read.refuse(
    'canary-by-header-pattern',
    `${show(pattern)} ${checked.problem}; the header is not heeded`,
    'write it without that',
  )
  // Not `always`, which the header was not meant to say.
  return { pattern: '[^\\s\\S]' }
}

function cookieOf(read: Reader): string | null {
  const cookie = read.text('canary-by-cookie')
  if (cookie === null || /^[-!#$%&'*+.^_`|~\w]+$/.test(cookie)) return cookie
  read.refuse('canary-by-cookie', `is ${show(cookie)}, not the name of a cookie; not heeded`, 'use letters and digits')
  return null
}
