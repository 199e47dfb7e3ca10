import type { Delta, Drift, Refused, Target } from '../../core/delta.ts'
import { assertCommitted, deleteTable, listTable, type Nft } from '../../kernel/nft.ts'
import type { GuardRow } from '../rows.ts'

/**
 * Lets VXLAN packets in only from the underlay addresses that peers have, by the interface that we have ours on: a pod can
 * neither put frames into the overlay of its node, nor, through its node, into another's. A table of its own.
 */
export class GuardTarget implements Target<GuardRow> {
  readonly name = 'overlay guard'
  readonly #nft: Nft
  readonly #port: number
  readonly #rows = new Set<string>()

  constructor(nft: Nft, port: number) {
    this.#nft = nft
    this.#port = port
  }

  async apply(delta: Delta<GuardRow>, signal: AbortSignal): Promise<readonly Refused[]> {
    if (delta.from === 0) {
      this.#rows.clear()
      for (const row of delta.put.values()) this.#rows.add(elementOf(row))
      await this.#load(signal)
      return []
    }
    const drop = [...delta.drop].flatMap((key) => delta.was.get(key) ?? []).map(elementOf)
    const put = [...delta.put.values()].map(elementOf)
    for (const element of drop) this.#rows.delete(element)
    for (const element of put) this.#rows.add(element)
    for (const text of changes(drop, put)) await this.#run(text, signal)
    return []
  }

  async audit(signal: AbortSignal): Promise<Drift> {
    const held = await list(signal)
    if (held === null) return { clean: false, detail: `table inet ${GUARD_TABLE} is missing` }
    const rules = [...held.rules].map(([chain, count]) => `${chain} ${count}`).sort()
    if (rules.join(', ') !== RULES) return { clean: false, detail: `table inet ${GUARD_TABLE} has other rules` }
    const missing = [...this.#rows].filter((element) => !held.elements.has(element))
    const stale = [...held.elements].filter((element) => !this.#rows.has(element))
    if (missing.length + stale.length === 0) return { clean: true }
    return { clean: false, detail: `${missing.length} VTEPs are missing, ${stale.length} are none` }
  }

  cleanup(): Promise<void> {
    return deleteTable(this.#nft, 'inet', GUARD_TABLE)
  }

  /** Members first, then the rules: at no moment is a peer shut out. */
  async #load(signal: AbortSignal): Promise<void> {
    await this.#run(SETS, signal)
    const held = (await list(signal))?.elements ?? new Set()
    const drop = [...held].filter((element) => !this.#rows.has(element))
    const put = [...this.#rows].filter((element) => !held.has(element))
    for (const text of changes(drop, put)) await this.#run(text, signal)
    await this.#run(rules(this.#port), signal)
  }

  async #run(text: string, signal?: AbortSignal): Promise<void> {
    assertCommitted(await this.#nft.run(text, signal))
  }
}

/** `set element`: what it is in nft's words. */
function elementOf(row: GuardRow): string {
  if (row.kind === 'uplink') return `uplinks ${row.name}`
  return `${row.ip.includes(':') ? 'vteps6' : 'vteps4'} ${row.ip}`
}

/** In transactions that the kernel also takes from who is not root. */
function* changes(drop: readonly string[], put: readonly string[]): Iterable<string> {
  const lines = [...put.map((element) => line('add', element)), ...drop.map((element) => line('delete', element))]
  for (let at = 0; at < lines.length; at += BATCH) yield lines.slice(at, at + BATCH).join('\n') + '\n'
}

function line(verb: 'add' | 'delete', element: string): string {
  const [set, value] = element.split(' ')
  const quoted = set === 'uplinks' ? `"${value}"` : value
  // A delete of what is gone would undo the whole transaction: adding it first makes it be there.
  const add = `add element inet ${GUARD_TABLE} ${set} { ${quoted} }`
  return verb === 'add' ? add : `${add}\ndelete element inet ${GUARD_TABLE} ${set} { ${quoted} }`
}

interface Held {
  readonly elements: ReadonlySet<string>
  /** How many each chain has. */
  readonly rules: ReadonlyMap<string, number>
}

/** null: no such table. */
async function list(signal: AbortSignal): Promise<Held | null> {
  const items = (await listTable('inet', GUARD_TABLE, signal)) as readonly Item[] | null
  if (items === null) return null
  const elements = new Set<string>()
  const rules = new Map<string, number>()
  for (const { set, rule } of items) {
    for (const value of set?.elem ?? []) elements.add(`${set!.name} ${String(value)}`)
    if (rule) rules.set(rule.chain, (rules.get(rule.chain) ?? 0) + 1)
  }
  return { elements, rules }
}

interface Item {
  readonly set?: { readonly name: string; readonly elem?: readonly unknown[] }
  readonly rule?: { readonly chain: string }
}

/**
 * By interface, not by route: while routes come and go it must hold. What comes in by none of them is not from a peer. What
 * peers send each other is not tracked: each connection of pods has a source port of its own (RFC 7348 5), so two more
 * entries of conntrack on either node, and no translation has any business there.
 */
const rules = (port: number): string => `
add chain inet ${GUARD_TABLE} input { type filter hook input priority -10; policy accept; }
add chain inet ${GUARD_TABLE} forward { type filter hook forward priority -10; policy accept; }
add chain inet ${GUARD_TABLE} prerouting { type filter hook prerouting priority raw; policy accept; }
add chain inet ${GUARD_TABLE} output { type filter hook output priority raw; policy accept; }
flush chain inet ${GUARD_TABLE} prerouting
flush chain inet ${GUARD_TABLE} output
flush chain inet ${GUARD_TABLE} input
flush chain inet ${GUARD_TABLE} forward
add rule inet ${GUARD_TABLE} input udp dport ${port} iifname @uplinks ip saddr @vteps4 accept
add rule inet ${GUARD_TABLE} input udp dport ${port} iifname @uplinks ip6 saddr @vteps6 accept
add rule inet ${GUARD_TABLE} input udp dport ${port} counter drop
add rule inet ${GUARD_TABLE} forward udp dport ${port} ip daddr @vteps4 iifname != @uplinks counter drop
add rule inet ${GUARD_TABLE} forward udp dport ${port} ip6 daddr @vteps6 iifname != @uplinks counter drop
add rule inet ${GUARD_TABLE} prerouting udp dport ${port} iifname @uplinks ip saddr @vteps4 notrack
add rule inet ${GUARD_TABLE} prerouting udp dport ${port} iifname @uplinks ip6 saddr @vteps6 notrack
add rule inet ${GUARD_TABLE} output udp dport ${port} ip daddr @vteps4 notrack
add rule inet ${GUARD_TABLE} output udp dport ${port} ip6 daddr @vteps6 notrack
`

/** nft's table and family by which a monitor knows it. */
export const GUARD_TABLE = 'fairlead_overlay'
const SETS = `
add table inet ${GUARD_TABLE}
add set inet ${GUARD_TABLE} vteps4 { type ipv4_addr; }
add set inet ${GUARD_TABLE} vteps6 { type ipv6_addr; }
add set inet ${GUARD_TABLE} uplinks { type ifname; }
`
const RULES = 'forward 2, input 3, output 2, prerouting 2'
const BATCH = 500
