import { MAX_EXACT, SPARSE_FALLBACK } from '../slots.ts'
import {
  affinityName,
  chainName,
  FAMILY,
  mapName,
  pickName,
  TABLE,
  type Generation,
  type Pick,
  type SlotMap,
} from './names.ts'
import { CLIENT, KEY, MARK, rule, WORDS } from './words.ts'

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

function setOf(name: SlotMap, pick: Pick, generation: Generation): string {
  return `@${mapName(pick.scope === 'local' ? `local_${name}` : name, pick.family, generation)}`
}

/** nft 1.0.6 rewrites ports only from a map whose ports are of one named protocol: hence a map for each. */
const dnat = (pick: Pick): string => `dnat ${WORDS[pick.family].addr} to ${WORDS[pick.family].addr} daddr`
const dnatSlot = (pick: Pick, draw: string, generation: Generation): string =>
  `${dnat(pick)} . ${pick.protocol} dport . ${draw} map ${setOf(`slots_${pick.protocol}`, pick, generation)}`
const SPARSE_DRAWS = 32
