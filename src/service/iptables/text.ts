/** What `iptables-restore --noflush` reads. */
import type { Variant } from '../../kernel/iptables.ts'
import type { Changes } from './dispatch.ts'
import { filterRules, JUMPS, type Table } from './fixed.ts'
import type { Found } from './found.ts'
import type { Family } from '../../cluster/protocol.ts'
import { CHAINS } from './names.ts'

/** Table nat: chains that change are emptied and filled again, those that are gone deleted. All at once, in the kernel's eyes. */
export function* natText(variant: Variant, changes: Changes, found: Found | null = null): Iterable<string> {
  yield '*nat\n'
  const gone = [...changes].flatMap(([chain, rules]) => (rules === null ? [chain] : []))
  for (const chain of found?.chains.nat.keys() ?? []) if (!changes.has(chain)) gone.push(chain)
  for (const [chain, rules] of changes) if (rules !== null) yield `:${chain} - [0:0]\n`
  for (const chain of gone) yield `:${chain} - [0:0]\n`
  if (found !== null) yield jumpsText('nat', found)
  if (variant === 'nft' && changes.size > MANY_CHAINS) yield ALL_CHAINS
  for (const [chain, rules] of changes) for (const rule of rules ?? []) yield `-A ${chain} ${rule}\n`
  for (const chain of gone) yield `-X ${chain}\n`
  yield 'COMMIT\n'
}

/** Makes those of our chains that others lead to, empty, where they are not there yet. */
export function foundations(found: Found): string {
  const missing = Object.values(CHAINS).filter((chain) => chain !== CHAINS.filter && !found.chains.nat.has(chain))
  return ['*nat', ...missing.map((chain) => `:${chain} - [0:0]`), 'COMMIT\n'].join('\n')
}

export function filterText(family: Family, found: Found): string {
  const gone = [...found.chains.filter.keys()].filter((chain) => chain !== CHAINS.filter)
  return [
    '*filter',
    ...[CHAINS.filter, ...gone].map((chain) => `:${chain} - [0:0]`),
    ...filterRules(family).map((rule) => `-A ${CHAINS.filter} ${rule}`),
    jumpsText('filter', found) + gone.map((chain) => `-X ${chain}\n`).join('') + 'COMMIT\n',
  ].join('\n')
}

/** One jump each, first in its chain. Those that are right stay where they are. */
export function jumpsText(table: Table, found: Found): string {
  const wanted = JUMPS[table].map(([chain, rule]) => `${chain} ${rule}`)
  const there = new Set<string>()
  const lines: string[] = []
  for (const jump of found.jumps[table]) {
    if (wanted.includes(jump) && !there.has(jump)) there.add(jump)
    else lines.push(`-D ${jump}\n`)
  }
  for (const jump of wanted) if (!there.has(jump)) lines.push(`-I ${jump}\n`)
  return lines.join('')
}

/**
 * Lists the table: what is printed, nobody reads. But then iptables-nft 1.8.9 knows that it needs all chains; else it notes
 * those it needs in a sorted list, searched from its start for each rule: 54 s for 10,000 Services instead of 2.
 */
const ALL_CHAINS = '-S\n'
const MANY_CHAINS = 200
