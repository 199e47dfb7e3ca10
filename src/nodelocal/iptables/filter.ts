import { familyOf } from '../../cluster/address.ts'
import type { Family } from '../../cluster/protocol.ts'
import type { Delta, Drift, Refused, Target } from '../../core/delta.ts'
import { HeldRows } from '../../core/held.ts'
import { chainsText, entriesOf, judge, readChains, removalText, type Chains } from '../../kernel/chains.ts'
import { hasLegacyTable, PLACES, restore, type Variant } from '../../kernel/iptables.ts'
import { exec } from '../../kernel/exec.ts'
import { DNS_PORT, keyOf, type LocalAddress } from '../rows.ts'

export interface FilterOptions {
  /** Told of each text that will change the kernel in this variant; what it returns is called when that is done. */
  readonly onWrite: (variant: Variant) => () => void
}

/**
 * Queries and answers pass what a firewall of this host does to what comes in and goes out: two chains of ours, in each
 * variant and family of iptables that has table filter; nothing anywhere else. Untracked packets are never ESTABLISHED.
 */
export class FilterTarget implements Target<LocalAddress> {
  readonly name = 'node-local filter'
  readonly table = TABLE
  readonly #options: FilterOptions
  readonly #rows = new HeldRows<LocalAddress>()
  /** How many entries there are of ours, by family. */
  readonly #legacy = new Map<Family, number>()

  constructor(options: FilterOptions) {
    this.#options = options
  }

  /** Entries of a table of legacy iptables that are ours: a rule is one, a chain two. */
  entries(family: Family, table: string): number {
    return table === TABLE ? (this.#legacy.get(family) ?? 0) : 0
  }

  async apply(delta: Delta<LocalAddress>, signal: AbortSignal): Promise<readonly Refused[]> {
    this.#rows.take(delta)
    const refused: Refused[] = []
    for (const [variant, family] of PLACES) {
      const why = await this.#place(variant, family, signal)
      const keys = [...this.#rows.values()].filter(({ ip }) => familyOf(ip) === family).map(keyOf)
      if (why !== null) refused.push(...keys.map((key) => ({ key, reason: why, remedy: REMEDY })))
    }
    return refused
  }

  async audit(signal: AbortSignal): Promise<Drift> {
    for (const [variant, family] of PLACES) {
      const wanted = this.#wanted(family)
      const found = wanted && (await read(variant, family, signal))
      const wrong = found ? judge(found, wanted) : null
      if (wrong !== null) return { clean: false, detail: `${variant} iptables, IPv${family}: ${wrong}` }
    }
    return { clean: true }
  }

  async cleanup(): Promise<void> {
    this.#rows.clear()
    for (const [variant, family] of PLACES) await this.#place(variant, family)
  }

  /** Returns why it is refused; null: it is so. */
  async #place(variant: Variant, family: Family, signal?: AbortSignal): Promise<string | null> {
    const wanted = this.#wanted(family)
    const reading = read(variant, family, signal)
    const found = await (wanted === null ? reading.catch(() => null) : reading) // what cannot be read has nothing of ours
    if (variant === 'legacy') this.#legacy.set(family, found === null || wanted === null ? 0 : entriesOf(wanted))
    if (found === null) return null
    const text = wanted === null ? (found.isEmpty ? '' : removalText(TABLE, found)) : chainsText(found, wanted)
    if (text === '') return null
    const done = this.#options.onWrite(variant)
    const result = await restore(variant, family, text, signal).finally(done)
    if (result.kind === 'failed') throw new Error(result.reason)
    return result.kind === 'refused' ? result.reason : null
  }

  /** null: nothing is to be there. */
  #wanted(family: Family): Chains | null {
    const ips = [...this.#rows.keys()].filter((ip) => familyOf(ip) === family).sort()
    if (ips.length === 0) return null
    const bits = family === 6 ? 128 : 32
    const rules = (side: '-d' | '-s', port: 'dport' | 'sport'): string[] =>
      ips.flatMap((ip) =>
        ['udp', 'tcp'].map((of) => `${side} ${ip}/${bits} -p ${of} -m ${of} --${port} ${DNS_PORT} -j ACCEPT`),
      )
    const both = [...rules('-d', 'dport'), ...rules('-s', 'sport')]
    return {
      table: TABLE,
      rules: new Map([
        // This host's own queries, too: they go out, and come in.
        [INPUT, both],
        [OUTPUT, both],
      ]),
      jumps: new Map([
        ['INPUT', `-j ${INPUT}`],
        ['OUTPUT', `-j ${OUTPUT}`],
      ]),
    }
  }
}

/** null: there is no such table. Looking makes none. */
async function read(variant: Variant, family: Family, signal?: AbortSignal): ReturnType<typeof readChains> {
  const isThere = variant === 'legacy' ? await hasLegacyTable(family, TABLE) : await hasNft(family, signal)
  return isThere ? readChains(variant, family, { table: TABLE, names: [INPUT, OUTPUT] }, signal) : null
}

/** By its chains alone: nft cannot print all that iptables writes into them. */
async function hasNft(family: Family, signal?: AbortSignal): Promise<boolean> {
  const result = await exec(['nft', '-j', 'list', 'chains', family === 4 ? 'ip' : 'ip6'], signal ? { signal } : {})
  if (result.kind !== 'done') return false
  const { nftables } = JSON.parse(result.stdout) as {
    nftables: readonly { chain?: { table: string; hook?: string } }[]
  }
  return nftables.some(({ chain }) => chain?.table === TABLE && HOOKS.has(chain.hook ?? ''))
}

const HOOKS = new Set(['input', 'output'])
const TABLE = 'filter'
const INPUT = 'FAIRLEAD-DNS-INPUT'
const OUTPUT = 'FAIRLEAD-DNS-OUTPUT'
const REMEDY = 'accept UDP and TCP port 53 of the addresses of --node-local-dns in chains INPUT and OUTPUT'
