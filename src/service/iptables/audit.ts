import type { Drift } from '../../core/delta.ts'
import type { Corner } from './corner.ts'
import { countOf, digest } from './digest.ts'
import { filterRules, type Table } from './fixed.ts'
import type { Found } from './found.ts'
import { CHAINS } from './names.ts'

/**
 * Holds what the kernel has against what it was given. `reported`: what former audits found; a rule that is still written
 * otherwise after a full load is the same rule in the words of another version of iptables, as long as none is missing.
 */
export function compare(corner: Corner, found: Found, reported: Set<string>): Drift {
  const drift = (detail: string): Drift => ({ clean: false, detail: `IPv${corner.family}: ${detail}` })
  for (const table of ['nat', 'filter'] as const)
    if (!found.hasJumps(table)) return drift(`table ${table} does not lead to our chains, once each`)
  const filter = new Map([[CHAINS.filter as string, digest(filterRules(corner.family))]])
  for (const [table, wanted] of [
    ['nat', corner.held],
    ['filter', filter],
  ] as readonly (readonly [Table, ReadonlyMap<string, number>])[]) {
    const there = found.chains[table]
    for (const chain of there.keys()) if (!wanted.has(chain)) return drift(`chain ${chain} is not ours, but named so`)
    for (const [chain, sum] of wanted) {
      const seen = there.get(chain)
      if (seen === sum) continue
      if (seen === undefined) return drift(`chain ${chain} is gone`)
      if (countOf(seen) !== countOf(sum))
        return drift(`chain ${chain} has ${countOf(seen)} rules instead of ${countOf(sum)}`)
      const spelling = `${chain} ${sum} ${seen}`
      if (reported.has(spelling)) continue
      if (reported.size < REPORTED_MAX) reported.add(spelling)
      return drift(`chain ${chain} has rules that are not ours`)
    }
  }
  return { clean: true }
}

const REPORTED_MAX = 10_000
