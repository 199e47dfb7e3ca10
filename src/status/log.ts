/**
 * Structured logs: one line an event, an event name and key=value fields; text for people, JSON for collectors.
 * Values are cut to 4,000 characters, control characters are escaped, and fields named like secrets are not printed.
 */
export type Level = 'debug' | 'info' | 'warn' | 'error'
export type Fields = Readonly<Record<string, unknown>>

export interface Log {
  debug(event: string, fields?: Fields): void
  info(event: string, fields?: Fields): void
  warn(event: string, fields?: Fields): void
  error(event: string, fields?: Fields): void
  /** The same log with `fields` on each line. */
  with(fields: Fields): Log
}

export interface LogOptions {
  readonly level: Level
  readonly format: 'text' | 'json'
  /** Gets one line, ended by a newline. Default: standard error. */
  readonly write?: (line: string) => void
  /** Milliseconds since 1970. */
  readonly clock?: () => number
}

export function createLog(options: LogOptions, fixed: Fields = {}): Log {
  const write = options.write ?? ((line: string) => void process.stderr.write(line))
  const clock = options.clock ?? Date.now
  const render = options.format === 'json' ? renderJson : renderText
  const at = (level: Level) => {
    if (LEVELS.indexOf(level) < LEVELS.indexOf(options.level)) return () => {}
    return (event: string, fields: Fields = {}) => write(render(clock(), level, event, { ...fixed, ...fields }))
  }
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    with: (fields) => createLog(options, { ...fixed, ...fields }),
  }
}

/** A log that nobody reads. */
export const silent: Log = { debug() {}, info() {}, warn() {}, error() {}, with: () => silent }

/** Reads `debug`, `json`, `debug,json` and the like (FAIRLEAD_LOG, --log). What is not understood is returned as `unknown`. */
export function parseLogOptions(text: string | undefined): LogOptions & { readonly unknown: readonly string[] } {
  let level: Level = 'info'
  let format: 'text' | 'json' = 'text'
  const unknown: string[] = []
  for (const word of (text ?? '').split(',').map((part) => part.trim().toLowerCase())) {
    if (word === '') continue
    if (LEVELS.includes(word as Level)) level = word as Level
    else if (word === 'json' || word === 'text') format = word
    else unknown.push(word)
  }
  return { level, format, unknown }
}

function renderText(now: number, level: Level, event: string, fields: Fields): string {
  let line = `${new Date(now).toISOString()} ${level.toUpperCase().padEnd(5)} ${plain(event)}`
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue
    const text = secret(name) ? REDACTED : textOf(value)
    line += ` ${name}=${BARE.test(text) ? text : JSON.stringify(text)}`
  }
  return line + '\n'
}

function renderJson(now: number, level: Level, event: string, fields: Fields): string {
  const line: Record<string, unknown> = { time: new Date(now).toISOString(), level, event }
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined) continue
    const free = name === 'time' || name === 'level' || name === 'event' ? `${name}_` : name
    line[free] = secret(name)
      ? REDACTED
      : typeof value === 'number' || typeof value === 'boolean'
        ? value
        : textOf(value)
  }
  return JSON.stringify(line) + '\n'
}

function textOf(value: unknown): string {
  return cut(value instanceof Error ? value.message : typeof value === 'string' ? value : stringify(value))
}

function stringify(value: unknown): string {
  if (typeof value !== 'object' || value === null) return String(value)
  try {
    return JSON.stringify(value, (name, inner: unknown) =>
      secret(name) ? REDACTED : typeof inner === 'bigint' ? String(inner) : inner,
    )
  } catch {
    return '(not printable)' // a cycle: a log line must never be the fault that stops the agent
  }
}

const cut = (text: string) => (text.length > VALUE_MAX ? `${text.slice(0, VALUE_MAX)}...` : text)
const plain = (text: string) => JSON.stringify(text).slice(1, -1)
const secret = (name: string) => SECRET.test(name)

const LEVELS: readonly Level[] = ['debug', 'info', 'warn', 'error']
const VALUE_MAX = 4000
const BARE = /^[\w.:/@%+,[\]-]+$/
const SECRET = /token|password|passwd|secret|authorization|private|credential/i
const REDACTED = '(not shown)'
