import type { Family, Protocol } from '../../cluster/protocol.ts'
import { MAX_EXACT, SPARSE_FALLBACK } from '../slots.ts'
import {
  affinityName,
  chainName,
  FAMILY,
  MASQUERADE_BIT,
  mapName,
  ownerName,
  pickName,
  TABLE,
  type Generation,
  type MapName,
  type Pick,
  type SlotMap,
} from './names.ts'

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

/**
 * A chain that picks one of N endpoints for whatever frontend brought the packet here. It ends in drop, which is never
 * reached: an un-NATed first packet would leave a conntrack entry that keeps later packets from the endpoints.
 */
export function pickChain(pick: Pick, generation: Generation): string {
  const name = pickName(pick, generation)
  const chains =
    pick.affinity === 0
      ? { [name]: pickRules(pick, generation) }
      : {
          [pickName(pick, generation, '_hash')]: hashRules(pick, generation),
          [pickName(pick, generation, '_use')]: useRules(pick, generation),
          [name]: affinityRules(pick, generation),
        }
  const lines: string[] = []
  for (const [chain, rules] of Object.entries(chains)) {
    lines.push(`add chain ${FAMILY} ${TABLE} ${chain}`)
    for (const text of rules) lines.push(rule(chain, text))
  }
  return lines.join('\n') + '\n'
}

function pickRules(pick: Pick, generation: Generation): string[] {
  return [...masquerade(pick, generation), ...draws(pick.slots).map((draw) => dnatSlot(pick, draw, generation)), 'drop']
}

/**
 * Session affinity in O(1): a dynamic map remembers, per client and pool, the identity of an endpoint (not its address).
 * Two registers are needed at once. The packet mark carries the pool: only if it was 0, and it is put back before any
 * routing decision. The packet priority carries the identity: it looks like a classid that no qdisc has as a handle, and
 * its low bits mean best effort to pfifo_fast, so what is left in the first packet of a connection has no effect.
 */
function affinityRules(pick: Pick, generation: Generation): string[] {
  const { key } = CLIENT[pick.family]
  const use = pickName(pick, generation, '_use')
  const pool = `meta mark set ${KEY[pick.family]} map ${setOf('pools', pick, generation)}`
  const picks = setOf('picks', pick, generation)
  return [
    `meta mark != 0 goto ${pickName(pick, generation, '_hash')}`,
    'meta priority set 0',
    pool,
    `meta priority set ${key} map @${affinityName(pick.family)}`,
    `meta priority != 0 jump ${use}`,
    // Still here: a new client, or the remembered endpoint is gone. `update` would keep the old data: forget it first.
    pool,
    `delete @${affinityName(pick.family)} { ${key} : meta priority }`,
    'meta priority set 0',
    ...draws(pick.slots).map((draw) => `meta priority 0 meta priority set ${KEY[pick.family]} . ${draw} map ${picks}`),
    `jump ${use}`,
    'drop',
  ]
}

/** Remembers the choice (again) and goes there. Returns if the identity is of an endpoint that is gone. */
function useRules(pick: Pick, generation: Generation): string[] {
  const { key } = CLIENT[pick.family]
  return [
    `update @${affinityName(pick.family)} { ${key} timeout ${pick.affinity}s : meta priority }`,
    'meta mark set 0',
    ...masquerade(pick, generation),
    `meta l4proto ${pick.protocol} ${dnat(pick)} . meta l4proto . th dport . meta priority map ${setOf('ids', pick, generation)}`,
  ]
}

/** A packet that already has a mark of somebody else's: affinity by a hash of the client's address. */
function hashRules(pick: Pick, generation: Generation): string[] {
  const { addr } = WORDS[pick.family]
  return [
    ...masquerade(pick, generation),
    dnatSlot(pick, `jhash ${addr} saddr mod ${pick.slots}`, generation),
    dnatSlot(pick, draws(pick.slots).at(-1)!, generation),
    'drop',
  ]
}

/** Rules that set the masquerade bit for whom it must be set (notes: kube-proxy's InternalExternalMasquerade). */
function masquerade(pick: Pick, generation: Generation): string[] {
  switch (pick.scope) {
    case 'cluster': // from outside, or from the node, whose address was chosen before the endpoint was
      return [`jump ${chainName('outside', pick.family, generation)}`]
    case 'external':
      return [MARK]
    case 'split': // local pods keep their address; the node's own traffic is as above
      return [`fib saddr type local ${MARK}`]
    case 'local':
      return []
    default:
      throw pick.scope satisfies never
  }
}

/**
 * Ways to draw a slot, tried in turn. Up to MAX_EXACT slots all are taken. A sparse set is between a third and two thirds
 * full: a draw that hits an empty place is repeated, which keeps the choice uniform; 32 misses in a row (at most
 * (2/3)^32, two in a million) end at the one place that is always taken.
 */
function draws(slots: number): string[] {
  if (slots <= MAX_EXACT) return [`numgen random mod ${slots}`]
  return [
    ...Array<string>(SPARSE_DRAWS).fill(`numgen random mod ${slots}`),
    `numgen random mod 1 offset ${SPARSE_FALLBACK}`,
  ]
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
    rule(chain('filter'), `${KEY[family]} . ${addr} saddr ${at('sources')} ${KEY[family]} vmap ${at('kinds')}`),
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

function setOf(name: SlotMap, pick: Pick, generation: Generation): string {
  return `@${mapName(pick.scope === 'local' ? `local_${name}` : name, pick.family, generation)}`
}

const rule = (chain: string, text: string): string => `add rule ${FAMILY} ${TABLE} ${chain} ${text}`
/** nft 1.0.6 rewrites ports only from a map whose ports are of one named protocol: hence a map for each. */
const dnat = (pick: Pick): string => `dnat ${WORDS[pick.family].addr} to ${WORDS[pick.family].addr} daddr`
const dnatSlot = (pick: Pick, draw: string, generation: Generation): string =>
  `${dnat(pick)} . ${pick.protocol} dport . ${draw} map ${setOf(`slots_${pick.protocol}`, pick, generation)}`
const anyOf = (cidrs: readonly string[]): string => (cidrs.length === 1 ? cidrs[0]! : `{ ${cidrs.join(', ')} }`)
const hex = (number: number): string => `0x${number.toString(16).padStart(8, '0')}`

const FAMILIES: readonly Family[] = [4, 6]
const WORDS = { 4: { addr: 'ip' }, 6: { addr: 'ip6' } } as const
const KEY = {
  4: 'ip daddr . meta l4proto . th dport',
  6: 'ip6 daddr . meta l4proto . th dport',
} as const
/**
 * Who is remembered by session affinity: the pool (in the mark) and the client. nft 1.0.6 keeps 16 bytes of registers for a
 * key that a packet adds, and loads the data over what is longer: with an IPv6 address the identity became part of the key
 * and no client was ever found again. So 64 bits of hash stand for the address; two clients with the same share an endpoint.
 * (A map of the type of a hash would make its listing crash: `numgen` is of the same type.)
 */
const hashed = (seed: number): string => `jhash ip6 saddr mod 4294967295 seed 0x${seed}`
const CLIENT = {
  4: { type: 'meta mark . ip saddr', key: 'meta mark . ip saddr' },
  6: {
    type: 'meta mark . numgen random mod 1 . numgen random mod 1',
    key: `meta mark . ${hashed(1)} . ${hashed(2)}`,
  },
} as const
const MARK = `meta mark set meta mark | ${hex(MASQUERADE_BIT)}`
const RULE_LINES = new RegExp(`^(add rule|flush chain|create chain|add chain) ${FAMILY} ${TABLE} (\\S+)`, 'gm')
const SPARSE_DRAWS = 32
const AFFINITY_MAX = 262_144
