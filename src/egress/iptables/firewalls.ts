import { parseCidr } from '../../cluster/address.ts'
import type { Family } from '../../cluster/protocol.ts'
import type { InputTable } from '../../core/table.ts'
import { exec } from '../../kernel/exec.ts'
import { hasLegacyTable, type Variant } from '../../kernel/iptables.ts'
import { firewallKey, type Firewall } from '../rows.ts'
import { parseForward, readForward } from './chains.ts'

/** Keeps a table equal to what of this host's own firewalls ends with a drop, by looking when it is told to. */
export class HostFirewalls {
  readonly #table: InputTable<Firewall>
  readonly #onProblem: (problem: string) => void
  /** As read last: chains of iptables, by variant and family. */
  #texts = new Map<string, string>()
  #bases: readonly BaseChain[] = []
  #problem = ''

  constructor(table: InputTable<Firewall>, onProblem: (problem: string) => void) {
    this.#table = table
    this.#onProblem = onProblem
  }

  /** Looks at all. True: chains of iptables are not what they were. */
  async look(signal: AbortSignal): Promise<boolean> {
    const bases = (await listForwardChains(signal)) ?? this.#bases // what was there is taken to be there still
    const found: Firewall[] = []
    const texts = new Map<string, string>()
    for (const family of [4, 6] as const) {
      const isOurs = (chain: BaseChain): boolean => isIptables(chain, family)
      if (await hasLegacy(family)) await this.#read('legacy', family, { found, texts, signal })
      const nft = bases.find(isOurs)
      const isRead = nft === undefined || (await this.#read('nft', family, { found, texts, signal }))
      for (const chain of bases) if (isOurs(chain) && !isRead) found.push(...(await firewallOf(chain, signal)))
    }
    for (const chain of bases.filter((each) => !isIptables(each, 4) && !isIptables(each, 6)))
      found.push(...(await firewallOf(chain, signal)))
    if (signal.aborted) return false
    this.#bases = bases
    this.#table.replace(found.map((each) => [firewallKey(each), each]))
    this.#table.markSynced()
    const changed = texts.size !== this.#texts.size || [...texts].some(([key, text]) => this.#texts.get(key) !== text)
    this.#texts = texts
    return changed
  }

  /** Legacy iptables tells nobody of changes, so it must be looked at often: one process where there is a table of it. */
  async hasLegacyChanged(signal: AbortSignal): Promise<boolean> {
    for (const family of [4, 6] as const) {
      const before = this.#texts.get(`legacy ${family}`)
      if (!(await hasLegacy(family))) {
        if (before !== undefined) return true
        continue
      }
      const text = await readForward('legacy', family, signal).catch(() => undefined)
      if (text !== before) return true
    }
    return false
  }

  /** False: it cannot be read. */
  async #read(
    variant: Variant,
    family: Family,
    { found, texts, signal }: { found: Firewall[]; texts: Map<string, string>; signal: AbortSignal },
  ): Promise<boolean> {
    try {
      const text = await readForward(variant, family, signal)
      texts.set(`${variant} ${family}`, text)
      if (parseForward(text).blocks) found.push({ kind: 'iptables', variant, family })
      return true
    } catch (error) {
      const { message } = error as Error
      if (!signal.aborted && message !== this.#problem) this.#onProblem((this.#problem = message))
      const before = this.#texts.get(`${variant} ${family}`)
      if (before === undefined) return false
      texts.set(`${variant} ${family}`, before) // somebody may hold the lock: that is no reason to take our rules away
      if (parseForward(before).blocks) found.push({ kind: 'iptables', variant, family })
      return true
    }
  }
}

/** True where table filter of legacy iptables is there. Looking makes no table. */
export const hasLegacy = (family: Family): Promise<boolean> => hasLegacyTable(family, 'filter')

/** True where table filter of iptables-nft has a FORWARD chain. */
export async function hasNft(family: Family, signal?: AbortSignal): Promise<boolean> {
  return ((await listForwardChains(signal)) ?? []).some((chain) => isIptables(chain, family))
}

interface BaseChain {
  readonly family: string
  readonly table: string
  readonly name: string
  readonly policy?: string
}

/** Of everybody but us. null: they cannot be listed, perhaps for want of nf_tables. */
async function listForwardChains(signal?: AbortSignal): Promise<readonly BaseChain[] | null> {
  const listed = (await list(['chains'], signal)) as { chain?: BaseChain & { hook?: string } }[] | null
  if (listed === null) return null
  const chains = listed.flatMap(({ chain }) => (chain?.hook === 'forward' ? [chain] : []))
  return chains.filter(({ family, table }) => FAMILIES.has(family) && !table.startsWith('fairlead_'))
}

async function firewallOf(
  { family, table, name, policy }: BaseChain,
  signal: AbortSignal,
): Promise<readonly Firewall[]> {
  const verdict = policy === 'drop' ? 'drop' : await lastVerdict(family, table, name, signal)
  if (verdict === null) return []
  const spoken = new Set<string>()
  for (const { prefix } of prefixes(await list(['table', family, table], signal))) {
    const range = parseCidr(`${prefix.addr}/${prefix.len}`)
    if (range !== null && spoken.size < RANGES_MAX) spoken.add(range.cidr)
  }
  return [{ kind: 'nftables', family, table, chain: name, verdict, ranges: [...spoken].sort() }]
}

/** Of the last rule, when it looks at nothing. */
async function lastVerdict(
  family: string,
  table: string,
  chain: string,
  signal: AbortSignal,
): Promise<'drop' | 'reject' | null> {
  const rules = (await list(['chain', family, table, chain], signal)) as { rule?: { expr: readonly object[] } }[] | null
  const last = rules?.flatMap(({ rule }) => rule ?? []).at(-1)
  if (last === undefined || last.expr.some((part) => 'match' in part)) return null
  return last.expr.some((part) => 'drop' in part)
    ? 'drop'
    : last.expr.some((part) => 'reject' in part)
      ? 'reject'
      : null
}

/** Wherever they are in it. */
function* prefixes(listed: unknown): Iterable<{ readonly prefix: { readonly addr: string; readonly len: number } }> {
  if (typeof listed !== 'object' || listed === null) return
  if ('prefix' in listed) yield listed as { prefix: { addr: string; len: number } }
  else for (const part of Object.values(listed)) yield* prefixes(part)
}

async function list(words: readonly string[], signal?: AbortSignal): Promise<readonly unknown[] | null> {
  const result = await exec(['nft', '-j', 'list', ...words], signal ? { signal } : {})
  return result.kind === 'done' ? (JSON.parse(result.stdout) as { nftables: unknown[] }).nftables : null
}

const isIptables = ({ family, table, name }: BaseChain, of: Family): boolean =>
  family === (of === 4 ? 'ip' : 'ip6') && table === 'filter' && name === 'FORWARD'
const FAMILIES = new Set(['ip', 'ip6', 'inet'])
const RANGES_MAX = 10_000
