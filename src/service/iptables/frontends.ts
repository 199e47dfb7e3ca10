/** What packets for a frontend meet. */
import type { Frontend, Slot, Source } from '../rows.ts'
import type { Key } from '../../core/delta.ts'
import { localPool } from '../hash.ts'
import { CHAINS } from './names.ts'
import { addChain, pickRules, type Chains } from './picks.ts'
import { comment, emptyChain, from, host, MARK } from './words.ts'

/** A frontend and the rows that belong to it. */
export interface Group {
  frontend: Frontend | null
  readonly slots: Map<Key, Slot>
  readonly sources: Map<Key, Source>
}

/** The rule that leads to a frontend; its chains are added to `chains`. `pods`: ranges of pods on this node, of its family. */
export function leadRule(group: Group, frontend: Frontend, pods: readonly string[], chains: Chains): string {
  const { ip, protocol, port, service } = frontend
  const match = `-d ${host(ip)} -p ${protocol} -m ${protocol} --dport ${port} `
  return `${match}${comment(service)}-g ${filterChain(group, frontend, pods, chains)}`
}

function filterChain(group: Group, frontend: Frontend, pods: readonly string[], chains: Chains): string {
  if (!frontend.filtered) return splitChain(group, frontend, pods, chains)
  const ranges = [...group.sources.values()].map(({ cidr }) => cidr).sort()
  // What nothing leads to is not made.
  const lets = ranges.map((cidr) => `${from(cidr)}-g ${splitChain(group, frontend, pods, chains)}`)
  return addChain([...lets, `-g ${CHAINS.drop}`], chains)
}

function splitChain(group: Group, frontend: Frontend, pods: readonly string[], chains: Chains): string {
  const { scope, local, mainEmpty, localEmpty } = frontend
  const main = slotsOf(group, frontend, 'main')
  if (local === null) {
    if (main.length === 0) return emptyChain(mainEmpty)
    // The node's own address was chosen before the endpoint was, so it is masqueraded, too.
    const mark = scope === 'external' ? MARK : `-j ${CHAINS.outside}`
    return headChain([mark], pick(frontend, 'main', main, chains), chains)
  }
  const mains = main.length === 0 ? null : pick(frontend, 'main', main, chains)
  const locals = slotsOf(group, frontend, 'local')
  const toMain = (head: readonly string[]): string =>
    mains === null ? emptyChain(mainEmpty) : headChain(head, mains, chains)
  const toLocal =
    locals.length === 0 ? emptyChain(localEmpty) : headChain([], pick(frontend, 'local', locals, chains), chains)
  return addChain(
    [
      ...pods.map((cidr) => `${from(cidr)}-g ${toMain([])}`),
      `-m addrtype --src-type LOCAL -g ${toMain([MARK])}`,
      `-g ${toLocal}`,
    ],
    chains,
  )
}

function slotsOf(group: Group, { slots, local }: Frontend, set: Slot['set']): readonly Slot[] {
  if ((set === 'main' ? slots : (local ?? 0)) === 0) return []
  return [...group.slots.values()].filter((slot) => slot.set === set)
}

function pick(frontend: Frontend, set: Slot['set'], slots: readonly Slot[], chains: Chains): readonly string[] {
  const { protocol, affinity: seconds, pool } = frontend
  const places = set === 'main' ? frontend.slots : frontend.local!
  const affinity = seconds === 0 ? null : { seconds, pool: set === 'main' ? pool : localPool(pool) }
  return pickRules(slots, { places, protocol, affinity }, chains)
}

/** Rules that pick are shared by the frontends of a ServicePort, unless they are few. */
function headChain(head: readonly string[], picks: readonly string[], chains: Chains): string {
  if (head.length === 0 || picks.length <= INLINE_MAX) return addChain([...head, ...picks], chains)
  return addChain([...head, `-g ${addChain(picks, chains)}`], chains)
}

const INLINE_MAX = 4
