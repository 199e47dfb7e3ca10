import type { Key } from '../../../core/delta.ts'

/** A row as one line of JSON, with Maps written as `{"\u0000map": [[key, value], ...]}`. */
export function encodeRow(key: Key, row: unknown): string {
  return `${JSON.stringify([key, row], mapsAsPairs)}\n`
}

/** The key and row of a line. `pool` keeps one copy of each text while a file is read: most texts come many times. */
export function decodeRow(line: string, pool: Map<string, string>): [Key, unknown] {
  const [key, row] = JSON.parse(line) as [Key, unknown]
  return [key, revive(row, pool)]
}

function mapsAsPairs(_name: string, value: unknown): unknown {
  return value instanceof Map ? { [MAP]: [...value] } : value
}

/** In place where possible: what JSON.parse made is ours. */
function revive(value: unknown, pool: Map<string, string>): unknown {
  if (typeof value === 'string') return share(value, pool)
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) value[i] = revive(value[i], pool)
    return value
  }
  const fields = value as Record<string, unknown>
  const pairs = fields[MAP]
  if (Array.isArray(pairs))
    return new Map((pairs as [unknown, unknown][]).map(([k, v]) => [revive(k, pool), revive(v, pool)]))
  for (const name in fields) fields[name] = revive(fields[name], pool)
  return fields
}

function share(text: string, pool: Map<string, string>): string {
  const known = pool.get(text)
  if (known !== undefined) return known
  pool.set(text, text)
  return text
}

const MAP = '\0map'
