import type { Delta, Drift, Refused, Target } from '../../core/delta.ts'
import { HeldRows } from '../../core/held.ts'
import { assertCommitted, deleteTable, deletion, type Nft } from '../../kernel/nft.ts'
import { outlineTable, tellingWords, type OutlineOptions } from '../../kernel/nft-outline.ts'
import { DNS_PORT, type LocalAddress } from '../rows.ts'

/**
 * Queries to addresses that the DNS server of this node serves are not tracked, so neither is anything translated: they
 * stay here. Its answers never are. A connection stays where it began, whatever is served later. A table of its own, there
 * only while there are rows.
 */
export class NotrackTarget implements Target<LocalAddress> {
  readonly name = 'node-local queries'
  readonly #nft: Nft
  readonly #rows = new HeldRows<LocalAddress>()

  constructor(nft: Nft) {
    this.#nft = nft
  }

  async apply(delta: Delta<LocalAddress>, signal: AbortSignal): Promise<readonly Refused[]> {
    this.#rows.take(delta)
    if (this.#rows.size === 0) await this.cleanup(signal)
    else await this.#load(signal)
    return []
  }

  async audit(signal: AbortSignal): Promise<Drift> {
    if (this.#rows.size === 0) return { clean: true } // there may be no nf_tables to look into
    const held = await outlineTable(TABLE, OUTLINE, signal)
    if (held === null) return { clean: false, detail: `table inet ${TABLE} is missing` }
    if (held.chains.join('; ') !== CHAINS)
      return { clean: false, detail: `table inet ${TABLE} has other rules: ${held.chains.join('; ')}` }
    const wanted = elementsOf([...this.#rows.values()])
    if (wanted.join() === [...held.elements].sort().join()) return { clean: true }
    return { clean: false, detail: `table inet ${TABLE} has other addresses` }
  }

  cleanup(signal?: AbortSignal): Promise<void> {
    return deleteTable(this.#nft, 'inet', TABLE, signal)
  }

  /** In one transaction. Connections that are remembered stay so, unless what is there is none of ours. */
  async #load(signal: AbortSignal): Promise<void> {
    const text = tableText([...this.#rows.values()])
    const result = await this.#nft.run(text, signal)
    if (result.kind === 'refused') assertCommitted(await this.#nft.run(deletion('inet', TABLE) + text, signal))
    else assertCommitted(result)
  }
}

function tableText(rows: readonly LocalAddress[]): string {
  const elements = elementsOf(rows).map((element) => {
    const [set, ip] = element.split(' ')
    return `add element inet ${TABLE} ${set} { ${ip} }`
  })
  return [...FIXED, ...elements, ''].join('\n')
}

/** `set address`, sorted. */
const elementsOf = (rows: readonly LocalAddress[]): readonly string[] =>
  rows
    .flatMap(({ ip, isServed }) => {
      const family = ip.includes(':') ? 6 : 4
      return [`local${family} ${ip}`, ...(isServed ? [`served${family} ${ip}`] : [])]
    })
    .sort()

/**
 * Of queries. A connection whose first packet came while the address was served is the server's until it ends: it is
 * remembered; one that began before is tracked, and translated, to its end.
 */
const queries = (family: 4 | 6): readonly string[] => {
  const ip = family === 4 ? 'ip' : 'ip6'
  const connection = `${ip} saddr . tcp sport . ${ip} daddr`
  const first = `tcp dport ${DNS_PORT} tcp flags & (syn | ack) == syn`
  return [
    `${ip} daddr @served${family} udp dport ${DNS_PORT} notrack`,
    `${ip} daddr @served${family} ${first} update @tcp${family} { ${connection} } notrack accept`,
    `${ip} daddr @local${family} ${first} delete @tcp${family} { ${connection} }`,
    `${ip} daddr @local${family} tcp dport ${DNS_PORT} ${connection} @tcp${family} update @tcp${family} { ${connection} } notrack`,
  ]
}

const answers = (family: 4 | 6): readonly string[] => {
  const ip = family === 4 ? 'ip' : 'ip6'
  return [
    `${ip} saddr @local${family} udp sport ${DNS_PORT} notrack`,
    `${ip} saddr @local${family} tcp sport ${DNS_PORT} ${ip} daddr . tcp dport . ${ip} saddr @tcp${family} notrack`,
  ]
}

/** nft's table by which a monitor knows it. */
export const TABLE = 'fairlead_nodelocal'
/** Connections remembered; one more is tracked, and so goes elsewhere. */
const CONNECTIONS_MAX = 65_536
const sets = (family: 4 | 6): readonly string[] => {
  const address = `ipv${family}_addr`
  return [
    ...[`local${family}`, `served${family}`].flatMap((name) => [
      `add set inet ${TABLE} ${name} { type ${address}; }`,
      `flush set inet ${TABLE} ${name}`,
    ]),
    `add set inet ${TABLE} tcp${family} { type ${address} . inet_service . ${address}; flags dynamic,timeout; timeout 2m; size ${CONNECTIONS_MAX}; }`,
  ]
}
const RULES = {
  prerouting: [...queries(4), ...queries(6)],
  output: [...queries(4), ...queries(6), ...answers(4), ...answers(6)],
}
const FIXED = [
  `add table inet ${TABLE}`,
  ...sets(4),
  ...sets(6),
  ...Object.entries(RULES).flatMap(([name, rules]) => [
    `add chain inet ${TABLE} ${name} { type filter hook ${name} priority raw; policy accept; }`,
    `flush chain inet ${TABLE} ${name}`,
    ...rules.map((rule) => `add rule inet ${TABLE} ${name} ${rule}`),
  ]),
]
const OUTLINE: OutlineOptions<unknown> = {
  // Connections come and go by themselves.
  elementOf: (set, ip) => (set.startsWith('tcp') ? null : `${set} ${String(ip)}`),
  telling: /@\w+|notrack|accept|\bupdate\b|\bdelete\b/g,
}
const CHAINS = [
  ...Object.keys(RULES).map((name) => `${name} ${name} -300`),
  ...Object.values(RULES)
    .flat()
    .map((rule) => tellingWords(rule, OUTLINE.telling)),
].join('; ')
