import type { Family, Protocol } from '../../cluster/protocol.ts'
import {
  affinityName,
  chainName,
  FAMILY,
  MASQUERADE_BIT,
  mapName,
  ownerName,
  TABLE,
  type Generation,
  type MapName,
} from './names.ts'
import { ASKER, CLIENT, hex, KEY, MARK, rule, WORDS } from './words.ts'

/** What is of no generation: how to refuse, and the clients that session affinity remembers. Leaves what is there. */
export function foundation(): string {
  const lines = [`add table ${FAMILY} ${TABLE}`, `add chain ${FAMILY} ${TABLE} refuse`]
  for (const family of FAMILIES)
    lines.push(
      `add map ${FAMILY} ${TABLE} ${affinityName(family)} { typeof ${CLIENT[family].type} : meta priority; ` +
        `flags dynamic,timeout; timeout 3h; size ${AFFINITY_MAX}; }`,
    )
  lines.push(`flush chain ${FAMILY} ${TABLE} refuse`)
  lines.push(rule('refuse', 'meta l4proto tcp reject with tcp reset'))
  lines.push(rule('refuse', 'reject with icmpx port-unreachable'))
  return lines.join('\n') + '\n'
}

/**
 * The fixed part of a generation: empty maps and the chains that look in them. Only nat chains, which see the first
 * packet of a connection and no other: an established connection costs nothing here. Refused when the generation exists.
 */
export function skeleton(generation: Generation, owner: string): string {
  const lines = [`create chain ${FAMILY} ${TABLE} ${ownerName(owner, generation)}`]
  for (const family of FAMILIES) {
    for (const [name, type] of Object.entries(mapTypes(family)))
      lines.push(
        `add ${type.keyword} ${FAMILY} ${TABLE} ${mapName(name as MapName, family, generation)} { ${type.body} }`,
      )
    lines.push(...dispatch(family, generation))
  }
  return lines.join('\n') + '\n'
}

/**
 * Starts every transaction: it is refused as a whole when the generation is not there any more, or is another's now. Two
 * agents on one node then take turns, and neither makes a half-filled generation of the other's the one in use.
 */
export const claim = (generation: Generation, owner: string): string =>
  `flush chain ${FAMILY} ${TABLE} ${ownerName(owner, generation)}\n`

/** How many rules each chain has after this text: an audit compares, so that no rule comes or goes unseen. */
export function countRules(text: string, counts: Map<string, number>): void {
  for (const [, verb, chain] of text.matchAll(RULE_LINES))
    counts.set(chain!, verb === 'add rule' ? (counts.get(chain!) ?? 0) + 1 : 0)
}

/** Makes a generation the one that packets meet. Atomic. */
export function activate(generation: Generation): string {
  const at = (name: string, hook: string): string[] => [
    `add chain ${FAMILY} ${TABLE} ${name} { type nat hook ${hook}; policy accept; }`,
    `flush chain ${FAMILY} ${TABLE} ${name}`,
  ]
  const lines = [
    ...at('prerouting', 'prerouting priority dstnat'),
    ...at('output', 'output priority -100'),
    ...at('postrouting', 'postrouting priority srcnat'),
  ]
  for (const chain of ['prerouting', 'output'])
    for (const family of FAMILIES)
      lines.push(rule(chain, `meta nfproto ipv${family} jump ${chainName('services', family, generation)}`))
  const bit = hex(MASQUERADE_BIT)
  lines.push(
    rule('postrouting', `meta mark & ${bit} == ${bit} meta mark set meta mark ^ ${bit} masquerade fully-random`),
  )
  for (const family of FAMILIES) {
    const { addr } = WORDS[family]
    // An endpoint that is sent to itself would answer itself directly; masqueraded, the answer comes back through here.
    lines.push(
      rule(
        'postrouting',
        `ct status dnat ${addr} saddr . ${addr} daddr @${mapName('hairpins', family, generation)} masquerade fully-random`,
      ),
    )
  }
  return lines.join('\n') + '\n'
}

/** The small chains that depend on this node's pod ranges and on the service ranges. Rewritten whole when those change. */
export function ranges(
  family: Family,
  generation: Generation,
  pods: readonly string[],
  services: readonly string[],
): string {
  const { addr } = WORDS[family]
  const chain = (name: string): string => chainName(name, family, generation)
  const lines = ['outside', 'split', 'unallocated'].map((name) => `flush chain ${FAMILY} ${TABLE} ${chain(name)}`)
  // Without a pod range nobody can tell a pod from an outsider: then only external traffic is masqueraded, as by kube-proxy.
  if (pods.length > 0) {
    lines.push(rule(chain('outside'), `${addr} saddr != ${anyOf(pods)} ${MARK}`))
    lines.push(
      rule(chain('split'), `${addr} saddr ${anyOf(pods)} ${KEY[family]} vmap @${mapName('mains', family, generation)}`),
    )
  }
  lines.push(
    rule(chain('split'), `fib saddr type local ${KEY[family]} vmap @${mapName('mains', family, generation)}`),
    rule(chain('split'), `${KEY[family]} vmap @${mapName('locals', family, generation)}`),
    rule(chain('split'), 'drop'),
  )
  if (services.length > 0) lines.push(rule(chain('unallocated'), `${addr} daddr ${anyOf(services)} drop`))
  return lines.join('\n') + '\n'
}

function dispatch(family: Family, generation: Generation): string[] {
  const { addr } = WORDS[family]
  const chain = (name: string): string => chainName(name, family, generation)
  const lines = ['services', 'filter', 'split', 'outside', 'unallocated'].map(
    (name) => `create chain ${FAMILY} ${TABLE} ${chain(name)}`,
  )
  const at = (name: MapName): string => `@${mapName(name, family, generation)}`
  lines.push(
    rule(chain('services'), `${KEY[family]} vmap ${at('frontends')}`),
    rule(chain('services'), `${addr} daddr ${at('addresses')} goto refuse`),
    rule(chain('services'), `goto ${chain('unallocated')}`),
    rule(chain('filter'), `${ASKER[family]} ${at('sources')} ${KEY[family]} vmap ${at('kinds')}`),
    rule(chain('filter'), 'drop'),
  )
  return lines
}

function mapTypes(family: Family): Record<MapName, { keyword: 'map' | 'set'; body: string }> {
  const { addr } = WORDS[family]
  const key = KEY[family]
  const map = (type: string): { keyword: 'map'; body: string } => ({ keyword: 'map', body: `typeof ${type};` })
  const slot = `${key} . numgen random mod 1`
  const slots = (protocol: Protocol): { keyword: 'map'; body: string } =>
    map(`${addr} daddr . ${protocol} dport . numgen random mod 1 : ${addr} daddr . ${protocol} dport`)
  const address = `ipv${family}_addr`
  const ids = {
    keyword: 'map',
    body: `type ${address} . inet_proto . inet_service . classid : ${address} . inet_service;`,
  } as const
  return {
    frontends: map(`${key} : verdict`),
    kinds: map(`${key} : verdict`),
    mains: map(`${key} : verdict`),
    locals: map(`${key} : verdict`),
    slots_tcp: slots('tcp'),
    slots_udp: slots('udp'),
    slots_sctp: slots('sctp'),
    local_slots_tcp: slots('tcp'),
    local_slots_udp: slots('udp'),
    local_slots_sctp: slots('sctp'),
    pools: map(`${key} : meta mark`),
    local_pools: map(`${key} : meta mark`),
    picks: map(`${slot} : meta priority`),
    local_picks: map(`${slot} : meta priority`),
    ids,
    local_ids: ids,
    sources: { keyword: 'set', body: `typeof ${key} . ${addr} saddr; flags interval;` },
    addresses: { keyword: 'set', body: `typeof ${addr} daddr;` },
    hairpins: { keyword: 'set', body: `typeof ${addr} saddr . ${addr} daddr;` },
  }
}

const anyOf = (cidrs: readonly string[]): string => (cidrs.length === 1 ? cidrs[0]! : `{ ${cidrs.join(', ')} }`)

const FAMILIES: readonly Family[] = [4, 6]
const RULE_LINES = new RegExp(`^(add rule|flush chain|create chain|add chain) ${FAMILY} ${TABLE} (\\S+)`, 'gm')
const AFFINITY_MAX = 262_144
