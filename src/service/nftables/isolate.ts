import type { Delta, Key, Refused } from '../../core/delta.ts'
import type { NftResult } from '../../kernel/nft.ts'
import { frontendKey, type ServiceRow } from '../rows.ts'
import { Edit, type Loaded } from './edit.ts'

/** Runs an edit and, if it was committed, takes it into the books. Throws what can be no row's fault. */
export type RunEdit = (edit: Edit) => Promise<NftResult>

/**
 * A change was refused as a whole: the guilty rows shall harm only themselves. Rows of one frontend share elements (an
 * endpoint keeps its identity when it moves to another slot), so a frontend goes through in one piece or, if it is refused
 * again, is cleared and built up row by row. Nothing stays under the key of a refused row.
 */
export async function isolate(delta: Delta<ServiceRow>, loaded: Loaded, run: RunEdit): Promise<readonly Refused[]> {
  const refused: Refused[] = []
  const groups = Map.groupBy([...delta.put.keys(), ...delta.drop], (key) =>
    groupOf(delta.put.get(key) ?? delta.was.get(key)!),
  )
  for (const keys of groups.values()) {
    const whole = new Edit(loaded)
    for (const key of keys) whole.replace(key, delta.was.get(key), delta.put.get(key))
    if ((await run(whole)).kind === 'committed') continue
    const clear = new Edit(loaded)
    for (const key of keys) clear.replace(key, delta.was.get(key), undefined)
    const cleared = await run(clear)
    if (cleared.kind !== 'committed') throw new Error(`what the kernel holds is not known any more: ${reason(cleared)}`)
    // Frontends last: they lead packets to the rest.
    const puts = keys.filter((key) => delta.put.has(key))
    puts.sort((a, b) => Number(isFrontend(delta.put.get(a))) - Number(isFrontend(delta.put.get(b))))
    for (const key of puts) {
      const one = new Edit(loaded)
      one.replace(key, undefined, delta.put.get(key))
      const result = await run(one)
      if (result.kind !== 'committed') refused.push(refusedRow(key, result))
    }
  }
  return refused
}

export function refusedRow(key: Key, result: NftResult): Refused {
  return {
    key,
    reason: reason(result),
    remedy: 'the kernel or nft would not take it: compare `nft --version` with 1.0.6',
  }
}

export function reason(result: NftResult): string {
  switch (result.kind) {
    case 'committed':
      return 'committed'
    case 'failed':
      return result.reason
    case 'refused':
      return [...new Set(result.errors)].slice(0, 3).join('; ')
    default:
      throw result satisfies never
  }
}

export const isFrontend = (row: ServiceRow | undefined): boolean => row?.kind === 'frontend'

function groupOf(row: ServiceRow): string {
  switch (row.kind) {
    case 'frontend':
      return frontendKey(row)
    case 'slot':
    case 'source':
      return frontendKey(row.at)
    case 'address':
    case 'hairpin':
      return `${row.kind} ${row.ip}`
    case 'range':
      return row.kind
    default:
      throw row satisfies never
  }
}
