/** True when two rows say the same. */
export type Same<Row> = (a: Row, b: Row) => boolean

/**
 * Structural equality of rows: primitives, arrays, plain objects, Maps and Sets of primitives, to any depth. Anything else
 * (a class instance, a function) equals only itself. Rows are trees; a cycle would not end.
 */
export function same(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null)
    return Number.isNaN(a) && Number.isNaN(b)
  if (Array.isArray(a)) return Array.isArray(b) && sameArray(a, b)
  const kind = Object.getPrototypeOf(a)
  if (kind !== Object.getPrototypeOf(b)) return false
  if (kind === Object.prototype || kind === null) return sameObject(a as Fields, b as Fields)
  if (a instanceof Map) return sameMap(a, b as Map<unknown, unknown>)
  if (a instanceof Set) return sameSet(a, b as Set<unknown>)
  return false
}

function sameArray(a: readonly unknown[], b: readonly unknown[]): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (!same(a[i], b[i])) return false
  return true
}

function sameObject(a: Fields, b: Fields): boolean {
  let count = 0
  for (const field in a) {
    const value = b[field]
    if (value === undefined && !(field in b)) return false
    if (!same(a[field], value)) return false
    count++
  }
  for (const _ in b) count--
  return count === 0
}

function sameMap(a: ReadonlyMap<unknown, unknown>, b: ReadonlyMap<unknown, unknown>): boolean {
  if (a.size !== b.size) return false
  for (const [key, value] of a) if (!b.has(key) || !same(value, b.get(key))) return false
  return true
}

function sameSet(a: ReadonlySet<unknown>, b: ReadonlySet<unknown>): boolean {
  if (a.size !== b.size) return false
  for (const member of a) if (!b.has(member)) return false
  return true
}

type Fields = Record<string, unknown>
