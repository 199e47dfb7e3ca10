import { spanOf } from '../../cluster/address.ts'
import type { Delta, Drift, Refused, Target } from '../../core/delta.ts'
import { HeldRows } from '../../core/held.ts'
import { assertCommitted, deleteTable, deletion, type Nft } from '../../kernel/nft.ts'
import { outlineTable, type OutlineOptions } from '../../kernel/nft-outline.ts'
import type { EgressRow } from '../rows.ts'

/** Gives packets of pods that leave the cluster an address of the node. A table of its own, there only while there are rows. */
export class MasqueradeTarget implements Target<EgressRow> {
  readonly name = 'masquerade'
  readonly #nft: Nft
  readonly #rows = new HeldRows<EgressRow>()

  constructor(nft: Nft) {
    this.#nft = nft
  }

  async apply(delta: Delta<EgressRow>, signal: AbortSignal): Promise<readonly Refused[]> {
    const wasEmpty = this.#rows.size === 0
    this.#rows.take(delta)
    const whole = delta.from === 0 || wasEmpty
    if (this.#rows.size === 0) await this.cleanup(signal)
    else await this.#run(whole ? replacement([...this.#rows.values()]) : changes(delta), signal)
    return []
  }

  async audit(signal: AbortSignal): Promise<Drift> {
    if (this.#rows.size === 0) return CLEAN // there may be no nf_tables to look into
    const held = await outlineTable(TABLE, OUTLINE, signal)
    if (held === null) return { clean: false, detail: `table inet ${TABLE} is missing` }
    if (held.chains.join('; ') !== CHAINS)
      return { clean: false, detail: `table inet ${TABLE} has other rules: ${held.chains.join('; ') || 'none'}` }
    const wanted = new Set([...this.#rows.values()].map((row) => elementKey(setOf(row), row.cidr)))
    const missing = [...wanted].filter((element) => !held.elements.has(element)).length
    const stale = [...held.elements].filter((element) => !wanted.has(element)).length
    if (missing + stale === 0) return CLEAN
    return { clean: false, detail: `table inet ${TABLE}: ${missing} ranges are missing, ${stale} are none` }
  }

  async cleanup(signal?: AbortSignal): Promise<void> {
    await deleteTable(this.#nft, 'inet', TABLE, signal)
  }

  async #run(text: string, signal: AbortSignal): Promise<void> {
    assertCommitted(await this.#nft.run(text, signal))
  }
}

/** One transaction: at no moment does a packet leave with a pod's address. */
function replacement(rows: readonly EgressRow[]): string {
  const set = (name: string, type: string): string => {
    const ranges = rows.filter((row) => setOf(row) === name).map(({ cidr }) => cidr)
    const elements = ranges.length === 0 ? '' : ` elements = { ${ranges.sort().join(', ')} };`
    return `  set ${name} { type ${type}; flags interval;${elements} }\n`
  }
  return `${deletion('inet', TABLE)}table inet ${TABLE} {
${set('sources4', 'ipv4_addr')}${set('sources6', 'ipv6_addr')}${set('kept4', 'ipv4_addr')}${set('kept6', 'ipv6_addr')}
  chain postrouting {
    type nat hook postrouting priority ${PRIORITY}; policy accept;
    ip saddr @sources4 ip daddr != @kept4 masquerade fully-random
    ip6 saddr @sources6 ip6 daddr != @kept6 masquerade fully-random
  }
}
`
}

/** What goes first: a range may take the place of others that it holds. */
function changes({ put, drop, was }: Delta<EgressRow>): string {
  const gone = [...drop].flatMap((key) => was.get(key) ?? []).map((row) => line('delete', row))
  const come = [...put.values()].map((row) => line('add', row))
  return [...gone.sort(), ...come.sort()].join('\n') + '\n'
}

const line = (verb: 'add' | 'delete', row: EgressRow): string =>
  `${verb} element inet ${TABLE} ${setOf(row)} { ${row.cidr} }`

const setOf = ({ kind, cidr }: EgressRow): string =>
  `${kind === 'source' ? 'sources' : 'kept'}${cidr.includes(':') ? 6 : 4}`

/** By first and last address: nft lists one range as a prefix, a range or an address. */
function elementKey(set: string, first: string, last = first): string {
  return `${set} ${spanOf(first).first} ${spanOf(last).last}`
}

type Element = string | { readonly prefix: { addr: string; len: number } } | { readonly range: [string, string] }

function listedKey(set: string, element: Element): string {
  if (typeof element === 'string') return elementKey(set, element)
  if ('range' in element) return elementKey(set, ...element.range)
  return elementKey(set, `${element.prefix.addr}/${element.prefix.len}`)
}

/** nft's table and family by which a monitor knows it. */
export const TABLE = 'fairlead_egress'
/** Behind those of Services (srcnat, 100), which clear their mark as they masquerade: what they have translated is done. */
const PRIORITY = 110
const CHAINS =
  'postrouting postrouting 110; @sources4 != @kept4 masquerade fully-random; @sources6 != @kept6 masquerade fully-random'
const OUTLINE: OutlineOptions<Element> = { elementOf: listedKey, telling: /@\w+|masquerade|fully-random|!=/g }
const CLEAN: Drift = { clean: true }
