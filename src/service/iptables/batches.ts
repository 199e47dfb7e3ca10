import type { Changes } from './dispatch.ts'
import type { Table } from './fixed.ts'
import { TABLES, type Found } from './found.ts'
import { CHAINS } from './names.ts'
import { jumpsText } from './text.ts'

/**
 * As natText, but in many transactions: what iptables-nft sends at once must fit into its socket, which only who has
 * CAP_NET_ADMIN in the first user namespace can enlarge (SO_SNDBUFFORCE, socket(7)). What nothing leads to yet comes first,
 * and what leads to all last. In between packets may meet old and new chains. `exists`: whether the kernel has a chain.
 */
export function* natBatches(
  changes: Changes,
  found: Found | null,
  exists: (chain: string) => boolean,
): Iterable<string> {
  const filled = [...changes].flatMap(([chain, rules]) => (rules === null ? [] : [[chain, rules] as const]))
  const gone = [...changes].flatMap(([chain, rules]) => (rules === null ? [chain] : []))
  for (const chain of found?.chains.nat.keys() ?? []) if (!changes.has(chain)) gone.push(chain)
  yield* transactions('nat', filled.map(([chain]) => chain).filter((chain) => !exists(chain)).map(declare)) // prettier-ignore
  const rank = (chain: string): number => (FIRST.has(chain) ? 2 : exists(chain) ? 1 : 0)
  const ordered = filled.toSorted(([a], [b]) => rank(a) - rank(b))
  yield* together(ordered.map(([chain, rules]) => [declare(chain), ...rules.map((rule) => `-A ${chain} ${rule}\n`)]))
  if (found !== null) yield* transactions('nat', [jumpsText('nat', found)])
  yield* transactions('nat', gone.map(declare))
  yield* transactions(
    'nat',
    gone.map((chain) => `-X ${chain}\n`),
  )
}

/** As removal, likewise. */
export function* removalBatches(found: Found): Iterable<string> {
  for (const table of TABLES) {
    const chains = [...found.chains[table].keys()]
    yield* transactions(table, found.jumps[table].map((jump) => `-D ${jump}\n`)) // prettier-ignore
    yield* transactions(table, chains.map(declare))
    yield* transactions(table, chains.map((chain) => `-X ${chain}\n`)) // prettier-ignore
  }
}

/** True of why a text was not taken: it is to be sent in batches. */
export const isTooLong = (reason: string): boolean => /Message too long/.test(reason)

/** Lines of one chain in one transaction, as far as that holds them. */
function* together(chains: readonly (readonly string[])[]): Iterable<string> {
  let lines: string[] = []
  for (const chain of chains) {
    if (lines.length + chain.length > BATCH) {
      yield* transactions('nat', lines)
      lines = []
    }
    lines.push(...chain)
  }
  yield* transactions('nat', lines)
}

function* transactions(table: Table, lines: readonly string[]): Iterable<string> {
  for (let at = 0; at < lines.length; at += BATCH) yield `*${table}\n${lines.slice(at, at + BATCH).join('')}COMMIT\n`
}

const declare = (chain: string): string => `:${chain} - [0:0]\n`
/** What the jumps lead to, and the trees from their roots. */
const FIRST: ReadonlySet<string> = new Set([CHAINS.services, CHAINS.frontends, CHAINS.postrouting, CHAINS.hairpins])
/** A rule is at most 1 KiB or so there, and the socket takes 208. */
const BATCH = 150
