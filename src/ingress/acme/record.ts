/** What is remembered of one certificate between steps, and outlives who takes them: a Secret of the controller's namespace. */
import { createHash } from 'node:crypto'

export interface Record {
  /** namespace/name of the Secret that the certificate goes to. */
  readonly secret: string
  readonly order: Order | null
  /** When orders were begun, and when they ended in a certificate: ms since 1970, oldest first, of the last 7 days. */
  readonly begun: readonly number[]
  readonly issued: readonly number[]
  readonly failure: Failure | null
}

/** Written before the server is asked for anything, so that whoever comes next goes on with it. */
export interface Order {
  /** null: the server has not been asked, or its answer was lost. */
  readonly url: string | null
  readonly directory: string
  readonly names: readonly string[]
  /** PKCS #8 in PEM, of the certificate to be. */
  readonly key: string
  /** certID of the certificate that this one replaces (RFC 9773 5). */
  readonly replaces: string | null
}

export interface Failure {
  /** In a row. */
  readonly count: number
  /** No order before: ms since 1970. */
  readonly until: number
  readonly problem: string
  readonly remedy: string
}

export interface Account {
  readonly directory: string
  /** PEM. */
  readonly key: string
  /** null: not registered, or the answer was lost; asking again gives the same one (RFC 8555 7.3.1). */
  readonly url: string | null
}

export const emptyRecord = (secret: string): Record => ({ secret, order: null, begun: [], issued: [], failure: null })

/** What is older counts for no limit. */
export const recent = (times: readonly number[], now: number): number[] =>
  times.filter((time) => time > now - HISTORY_MS).slice(-TIMES_MAX)

/** Names of Secrets: of a hash, for a path is longer than a name may be. */
export const recordName = (secret: string): string => `fairlead-acme-order-${hash(secret)}`
export const accountName = (directory: string): string => `fairlead-acme-account-${hash(directory)}`

/** null: it is none of ours, or spoilt; then it is begun anew. */
export function parseRecord(text: string | undefined): Record | null {
  const found = parse(text) as Partial<Record> | null
  if (found === null || typeof found.secret !== 'string' || !isTimes(found.begun) || !isTimes(found.issued)) return null
  const { secret, begun, issued } = found
  const order = found.order && isOrder(found.order) ? found.order : null
  const failure = found.failure && isFailure(found.failure) ? found.failure : null
  return { secret, begun, issued, order, failure }
}

export const printRecord = (record: Record): string => JSON.stringify(record)

function parse(text: string | undefined): unknown {
  try {
    const found: unknown = JSON.parse(text ?? '')
    return typeof found === 'object' ? found : null
  } catch {
    return null
  }
}

const isOrder = (order: Order): boolean =>
  (order.url === null || typeof order.url === 'string') &&
  typeof order.directory === 'string' &&
  typeof order.key === 'string' &&
  (order.replaces === null || typeof order.replaces === 'string') &&
  Array.isArray(order.names) &&
  order.names.every((name) => typeof name === 'string')

const isFailure = (failure: Failure): boolean =>
  Number.isInteger(failure.count) &&
  Number.isFinite(failure.until) &&
  typeof failure.problem === 'string' &&
  typeof failure.remedy === 'string'

const isTimes = (times: unknown): times is number[] =>
  Array.isArray(times) && times.length <= TIMES_MAX && times.every((time) => Number.isFinite(time))

const hash = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 20)

const HISTORY_MS = 7 * 24 * 3_600_000
const TIMES_MAX = 200
