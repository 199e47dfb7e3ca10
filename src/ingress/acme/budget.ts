/**
 * What may be asked of a server, so that it never has to refuse: Let's Encrypt's limits, a little less. Its 50 certificates a
 * week of a registered domain are left to it: which domains are registered ones only a list of public suffixes says.
 */
import { recent, type Record } from './record.ts'

/** When the next order of this certificate may begin, and why not now; null: now. `others`: those of the same account. */
export function heldUntil(
  record: Record,
  others: Iterable<Record>,
  now: number,
): { readonly until: number; readonly why: string } | null {
  const { failure } = record
  if (failure !== null && failure.until > now) return { until: failure.until, why: failure.problem }
  const all = [...others]
  const open = all.reduce((sum, { order }) => sum + (order?.names.length ?? 0), 0)
  if (open >= OPEN_NAMES) return { until: now + TURN_MS, why: `${open} names are being proved: it is not its turn yet` }
  const held = [
    over(record.begun, ATTEMPTS, now, 'this certificate was tried 5 times within an hour'),
    over(record.issued, DUPLICATES, now, 'this certificate was issued 5 times within 7 days'),
    over(
      all.flatMap((other) => other.begun).concat(record.begun),
      ORDERS,
      now,
      'the account made 290 orders within 3 hours',
    ),
  ]
  return held.reduce((worst, next) => (next !== null && (worst === null || next.until > worst.until) ? next : worst))
}

/** ms; `failures`: in a row, with this one. 1 min, 2 min, ... 32 h, and up to a tenth more by chance. */
export const backoffMs = (failures: number, random: () => number): number =>
  Math.round(Math.min(FIRST_MS * 2 ** Math.min(failures - 1, 30), LAST_MS) * (1 + random() / 10))

interface Limit {
  readonly count: number
  readonly withinMs: number
}

function over(
  times: readonly number[],
  limit: Limit,
  now: number,
  why: string,
): { readonly until: number; readonly why: string } | null {
  const counted = times.filter((time) => time > now - limit.withinMs).sort((a, b) => a - b)
  if (counted.length < limit.count) return null
  return { until: counted[counted.length - limit.count]! + limit.withinMs, why }
}

/** A record with an order begun now. */
export const withBegun = (record: Record, now: number): Record => ({
  ...record,
  begun: [...recent(record.begun, now), now],
  issued: recent(record.issued, now),
})

const HOUR_MS = 3_600_000
/** 5 failed validations of a name an hour. */
const ATTEMPTS: Limit = { count: 5, withinMs: HOUR_MS }
/** 5 certificates of the same names in 7 days. */
const DUPLICATES: Limit = { count: 5, withinMs: 7 * 24 * HOUR_MS }
/** 300 orders in 3 hours. */
const ORDERS: Limit = { count: 290, withinMs: 3 * HOUR_MS }
/** Under proof at a time: all answers to challenges lie in one Secret, of 1 MiB at most. */
const OPEN_NAMES = 100
const TURN_MS = 5_000
const FIRST_MS = 60_000
const LAST_MS = 32 * HOUR_MS
