import { args, once, options, plain } from '../options.ts'
import type { Parse } from '../setting.ts'
import { duration, number } from '../value.ts'

/** How long, how large: `cancel [TIMEOUT]`, `timeouts { }`, `bufsize [SIZE]`. */

export const cancel: Parse = (directives, { problems }) => {
  const directive = once(directives, problems)
  plain(directive, problems)
  const [value] = args(directive, 0, 1, problems) ?? []
  const timeoutMs = value === undefined ? CANCEL_MS : duration(value, 'the timeout', 1, DAY_MS, problems)
  return timeoutMs === null ? null : { plugin: 'cancel', timeoutMs }
}

export const timeouts: Parse = (directives, { problems }) => {
  const directive = once(directives, problems)
  args(directive, 0, 0, problems)
  const found = { readMs: null, writeMs: null, idleMs: null, maxQueries: null } as {
    readMs: number | null
    writeMs: number | null
    idleMs: number | null
    maxQueries: number | null
  }
  const time = (field: 'readMs' | 'writeMs' | 'idleMs') => (line: Parameters<typeof args>[0]) => {
    const [value] = args(line, 1, 1, problems) ?? []
    // Without a unit it is seconds.
    const given = value && /^[0-9]+$/.test(value.text) ? { ...value, text: `${value.text}s` } : value
    if (given) found[field] = duration(given, `the ${line.name.text} timeout`, 1000, DAY_MS, problems)
  }
  options(
    directive,
    {
      read: time('readMs'),
      write: time('writeMs'),
      idle: time('idleMs'),
      maxtcpqueries: (line) => {
        const [value] = args(line, 1, 1, problems) ?? []
        if (value && value.text !== '-1')
          found.maxQueries = number(value, 'the number of queries', 1, MILLIONS, problems)
      },
    },
    problems,
  )
  if ((directive.body ?? []).length === 0)
    problems.report(directive.name, 'timeouts says none', 'write read, write or idle with a duration in its block')
  return { plugin: 'timeouts', ...found }
}

export const bufsize: Parse = (directives, { problems }) => {
  const directive = once(directives, problems)
  plain(directive, problems)
  const [value] = args(directive, 0, 1, problems) ?? []
  const size = value === undefined ? BUFFER : number(value, 'the size', 512, 4096, problems)
  return size === null ? null : { plugin: 'bufsize', size }
}

/** Clients give up after five seconds. */
const CANCEL_MS = 5001
const DAY_MS = 86_400_000
const MILLIONS = 1_000_000_000
/** dnsflagday.net/2020 */
const BUFFER = 1232
