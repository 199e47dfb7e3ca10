/** Chains that send a packet to one of the endpoints of a set, each as often as the others. */
import type { Protocol } from '../../cluster/protocol.ts'
import type { Slot } from '../rows.ts'
import { SPARSE_FALLBACK } from '../slots.ts'
import { chainName, clientsName } from './names.ts'
import { once } from './words.ts'

/** Chains by name, and the ipsets that their rules need. */
export interface Chains {
  readonly rules: Map<string, readonly string[]>
  readonly sets: Set<string>
}

export interface Affinity {
  readonly seconds: number
  readonly pool: number
}

/**
 * Rules that pick one of the slots (at least one) that are below `places`. A tree by the bits of the slot's number, at most
 * FAN rules a chain: a packet meets about FAN/2 log(n)/log(FAN) of them, and one endpoint more or less rewrites one path.
 */
export function pickRules(
  slots: readonly Slot[],
  { places, protocol, affinity }: { places: number; protocol: Protocol; affinity: Affinity | null },
  chains: Chains,
): readonly string[] {
  // The place that ends a sparse draw holds an endpoint that has a place of its own.
  const own = slots.filter(({ slot }) => slot < places && slot !== SPARSE_FALLBACK)
  const all = (own.length > 0 ? own : slots.slice(0, 1)).toSorted((a, b) => a.slot - b.slot)
  const way = (slot: Slot): string =>
    affinity === null ? dnat(slot) : `-g ${addChain(remember(slot, protocol, affinity), chains)}`
  const draws = branch(all, 0, 2 ** Math.ceil(Math.log2(Math.max(places, 1))), way, protocol, chains)
  if (affinity === null) return draws
  const known = all.map((slot) => `-m set --match-set ${clientsName(affinity.pool, slot.id)} src ${way(slot)}`)
  for (const { id } of all) chains.sets.add(clientsName(affinity.pool, id))
  return [...known, ...draws]
}

/** Chains are named by what is in them: who needs the same shares it, and nothing changes under who uses it. */
export function addChain(rules: readonly string[], chains: Chains): string {
  const name = chainName(rules.join('\n'))
  chains.rules.set(name, rules)
  return name
}

function branch(
  slots: readonly Slot[],
  low: number,
  span: number,
  way: (slot: Slot) => string,
  protocol: Protocol,
  chains: Chains,
): readonly string[] {
  // A match of the protocol must stand before a target that rewrites ports.
  const only = `-p ${protocol} `
  if (slots.length <= FAN || span <= 1)
    return slots.map((slot, i) => `${only}${i + 1 < slots.length ? once(1 / (slots.length - i)) : ''}${way(slot)}`)
  const rules: string[] = []
  const step = Math.max(span / FAN, 1)
  let rest = slots.length
  for (const [part, members] of Map.groupBy(slots, ({ slot }) => Math.floor((slot - low) / step))) {
    const to =
      members.length === 1
        ? way(members[0]!)
        : `-g ${addChain(branch(members, low + part * step, step, way, protocol, chains), chains)}`
    rules.push(`${only}${members.length < rest ? once(members.length / rest) : ''}${to}`)
    rest -= members.length
  }
  return rules
}

/** Remembers the client (again) and sends it there. */
const remember = (slot: Slot, protocol: Protocol, { seconds, pool }: Affinity): readonly string[] => [
  `-j SET --add-set ${clientsName(pool, slot.id)} src --exist --timeout ${seconds}`,
  `-p ${protocol} ${dnat(slot)}`,
]

const dnat = ({ ip, port }: Slot): string => `-j DNAT --to-destination ${ip.includes(':') ? `[${ip}]` : ip}:${port}`

const FAN = 16
