import { same } from '../core/same.ts'

/**
 * One copy of each text and map that many rows hold: names of nodes, zones and services, label sets of replicas.
 * Bounded: a full pool starts anew, which costs memory for duplicates but never changes a row.
 */
export function intern(text: string): string {
  const known = texts.get(text)
  if (known !== undefined) return known
  if (text.length > TEXT_MAX) return text
  if (texts.size >= POOL_MAX) texts.clear()
  texts.set(text, text)
  return text
}

/** The same Map object for the same labels, so that replicas share it. The argument is taken over: do not change it after. */
export function internMap(map: ReadonlyMap<string, string>): ReadonlyMap<string, string> {
  if (map.size === 0) return EMPTY_MAP
  let name = ''
  for (const [key, value] of map) name += `${key}\0${value}\0`
  const known = maps.get(name)?.deref()
  // Not by name alone: nothing keeps a separator out of what comes from outside.
  if (known !== undefined && same(known, map)) return known
  if (maps.size >= POOL_MAX) maps.clear()
  maps.set(name, new WeakRef(map))
  return map
}

const TEXT_MAX = 300
const POOL_MAX = 50_000
const EMPTY_MAP: ReadonlyMap<string, string> = new Map()
const texts = new Map<string, string>()
const maps = new Map<string, WeakRef<ReadonlyMap<string, string>>>()
