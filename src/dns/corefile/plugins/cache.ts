import type { Token } from '../lexer.ts'
import { args, flag, once, options } from '../options.ts'
import type { Problems } from '../problem.ts'
import type { Parse } from '../setting.ts'
import type { Statement } from '../statement.ts'
import type { CacheShare, Prefetch, ServeStale } from '../step.ts'
import { duration, number, oneOf, zones, zonesOr } from '../value.ts'

/** `cache [TTL] [ZONES...]` */
export const cache: Parse = (directives, setting) => {
  const { problems } = setting
  const directive = once(directives, problems)
  const [first, ...rest] = directive.args
  const ttl =
    first !== undefined && /^[+-]?[0-9]+$/.test(first.text) ? number(first, 'the TTL', 1, TTL_MAX, problems) : null
  const named = first !== undefined && /^[+-]?[0-9]+$/.test(first.text) ? rest : directive.args
  const share = (maxTtl: number): CacheShare => ({ capacity: CAPACITY, maxTtl, minTtl: 5, except: [] })
  const found = {
    success: share(ttl ?? 3600),
    denial: share(ttl ?? 1800),
    prefetch: null as Prefetch | null,
    serveStale: null as ServeStale | null,
    servfailMs: 5000,
    keepTtl: false,
  }
  let positive: Token | null = null
  options(
    directive,
    {
      success: (line) => (found.success = resized(line, found.success, problems)),
      denial: (line) => (found.denial = resized(line, found.denial, problems)),
      prefetch: (line) => (found.prefetch = prefetch(line, problems)),
      serve_stale: (line) => (found.serveStale = serveStale(line, problems)),
      serve_stale_policy: (line) => {
        const [word] = args(line, 1, 1, problems) ?? []
        if (word && oneOf(word, 'policy of serve_stale', ['prefer_positive'], problems)) positive = line.name
      },
      servfail: (line) => {
        const [word] = args(line, 1, 1, problems) ?? []
        const time = word && duration(word, 'the time of a SERVFAIL', 0, FIVE_MINUTES_MS, problems)
        found.servfailMs = time ?? found.servfailMs
      },
      disable: (line) => {
        const [word, ...names] = args(line, 1, Infinity, problems) ?? []
        const which = word && oneOf(word, 'half of a cache', ['success', 'denial'], problems)
        if (which)
          found[which] = {
            ...found[which],
            except: names.length === 0 ? ['.'] : names.flatMap((it) => zones(it, problems)),
          }
      },
      keepttl: flag(() => (found.keepTtl = true), problems),
    },
    problems,
  )
  if (positive !== null) {
    if (found.serveStale === null)
      problems.report(positive, 'serve_stale_policy is for serve_stale', 'write serve_stale, too')
    else found.serveStale = { ...found.serveStale, preferPositive: true }
  }
  return { plugin: 'cache', zones: [...zonesOr(named, setting.zones, problems)], ...found }
}

/** `success CAPACITY [TTL] [MINTTL]` */
function resized(line: Statement, share: CacheShare, problems: Problems): CacheShare {
  const [capacity, max, min] = args(line, 1, 3, problems) ?? []
  const size = capacity && number(capacity, 'the capacity', 0, CAPACITY_MAX, problems)
  const maxTtl = max && number(max, 'the TTL', 1, TTL_MAX, problems)
  const minTtl = min && number(min, 'the least TTL', 0, TTL_MAX, problems)
  return {
    ...share,
    capacity: Math.max(CAPACITY_MIN, size ?? share.capacity),
    maxTtl: maxTtl ?? share.maxTtl,
    minTtl: minTtl ?? share.minTtl,
  }
}

/** `prefetch AMOUNT [DURATION [PERCENTAGE%]]` */
function prefetch(line: Statement, problems: Problems): Prefetch | null {
  const [count, time, share] = args(line, 1, 3, problems) ?? []
  const amount = count && number(count, 'the amount', 0, TTL_MAX, problems)
  const durationMs = time ? duration(time, 'the gap', 1, DAY_MS, problems) : 60_000
  let percentage: number | null = 10
  if (share !== undefined) {
    if (share.text.endsWith('%'))
      percentage = number({ ...share, text: share.text.slice(0, -1) }, 'the percentage', 10, 90, problems)
    else percentage = problems.report(share, 'the percentage lacks its sign', 'write it as 10%')
  }
  // None is what CoreDNS has without the option.
  if (!amount || durationMs === null || percentage === null) return null
  return { amount, durationMs, percentage }
}

/** `serve_stale [DURATION] [immediate [TTL [RECHECK]] | verify [TIMEOUT [TTL [RECHECK]]]]` */
function serveStale(line: Statement, problems: Problems): ServeStale | null {
  const [upTo, mode, ...rest] = args(line, 0, 5, problems) ?? []
  const verify =
    mode !== undefined && oneOf(mode, 'mode of serve_stale', ['immediate', 'verify'], problems) === 'verify'
  const [timeout, ttl, recheck, more] = verify ? rest : [undefined, ...rest]
  if (more !== undefined) problems.report(more, 'serve_stale immediate takes one word less', 'remove the last one')
  const time = (word: Token | undefined, what: string, otherwise: number, max: number): number | null =>
    word === undefined ? otherwise : duration(word, what, 0, max, problems)
  const upToMs = time(upTo, 'the time that stale answers last', HOUR_MS, 30 * DAY_MS)
  const verifyTimeoutMs = time(timeout, 'the timeout', 0, DAY_MS)
  const ttlMs = time(ttl, 'the TTL of stale answers', 0, DAY_MS)
  const recheckMs = time(recheck, 'the time to the next try', 0, FIVE_MINUTES_MS)
  if (upToMs === null || verifyTimeoutMs === null || ttlMs === null || recheckMs === null) return null
  if (ttlMs % 1000 !== 0)
    return problems.report(ttl!, 'the TTL of stale answers has a part of a second', 'write whole seconds: 30s')
  return { upToMs, verify, verifyTimeoutMs, ttl: ttlMs / 1000, recheckMs, preferPositive: false }
}

/** 256 shards of 39 answers, and what CoreDNS has at least. */
const CAPACITY = 9984
const CAPACITY_MIN = 1024
const CAPACITY_MAX = 10_000_000
/** RFC 2181 8. */
const TTL_MAX = 2_147_483_647
const FIVE_MINUTES_MS = 300_000
const HOUR_MS = 3_600_000
const DAY_MS = 86_400_000
