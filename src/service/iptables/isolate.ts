import type { Family } from '../../cluster/protocol.ts'
import type { Key, Refused } from '../../core/delta.ts'
import { bisect } from '../../core/refuse.ts'
import type { RestoreResult } from '../../kernel/iptables.ts'
import { frontendKey, type Frontend, type ServiceRow, type Slot, type Source } from '../rows.ts'
import type { Corner } from './corner.ts'
import { chainName } from './names.ts'
import { familyOf } from './words.ts'

type Row = Slot | Source
/** Writes to table nat; throws what can be no row's fault. */
type Try = (text: string) => Promise<RestoreResult>

/**
 * The whole was refused: which rows are guilty? Their rules are tried in chains that no packet meets, first by frontend,
 * then, of a guilty frontend, row by row. Leaves nothing behind. `rows`: all of the family that are new.
 */
export async function findGuilty(
  rows: ReadonlyMap<Key, ServiceRow>,
  corner: Corner,
  attempt: Try,
): Promise<readonly Refused[]> {
  const refused: Refused[] = []
  const trial = async (pieces: Iterable<readonly [Frontend, Iterable<Row>]>): Promise<string | null> => {
    const chains = new Map<string, readonly string[]>()
    const leads: string[] = []
    for (const [frontend, parts] of pieces) {
      const sample = corner.sample(frontend, parts)
      leads.push(sample.lead)
      for (const [name, rules] of sample.chains.rules) chains.set(name, rules)
    }
    return run(new Map([...chains, [TRIAL, leads]]), attempt)
  }
  const keys = new Set<Key>()
  for (const row of rows.values()) {
    if (row.kind === 'frontend') keys.add(frontendKey(row))
    else if (row.kind === 'slot' || row.kind === 'source') keys.add(frontendKey(row.at))
  }
  const known = [...keys].filter((key) => corner.group(key) !== null)
  const { guilty, undecided } = await bisect(known, (subset) =>
    trial(subset.map((key) => [corner.group(key)!.frontend, corner.group(key)!.rows.values()] as const)),
  )
  for (const [key, reason] of [...guilty, ...undecided.map((each) => [each, 'too many rows were refused'] as const)]) {
    const { frontend, rows: own } = corner.group(key)!
    const alone = await trial([[frontend, []]])
    const found =
      alone !== null
        ? { guilty: new Map<Key, string>(), undecided: [] }
        : await bisect([...own.keys()], (subset) => trial([[frontend, subset.map((each) => own.get(each)!)]]))
    if (alone !== null || found.guilty.size + found.undecided.length === 0) refused.push(refusal(key, alone ?? reason))
    for (const [each, why] of found.guilty) refused.push(refusal(each, why))
    for (const each of found.undecided) refused.push(refusal(each, 'too many rows were refused'))
  }
  return refused
}

/** Rows of kinds that stand alone, each in a rule that says as much as theirs does. */
export async function findGuiltyAddresses(
  rows: ReadonlyMap<Key, ServiceRow>,
  attempt: Try,
): Promise<readonly Refused[]> {
  const address = (row: ServiceRow): string | null =>
    row.kind === 'address' || row.kind === 'hairpin' ? row.ip : row.kind === 'range' ? row.cidr : null
  const keys = [...rows.keys()].filter((key) => address(rows.get(key)!) !== null)
  const { guilty, undecided } = await bisect(keys, (subset) =>
    run(new Map([[TRIAL, subset.map((key) => `-d ${address(rows.get(key)!)} -j RETURN`)]]), attempt),
  )
  return [...[...guilty].map(([key, reason]) => refusal(key, reason)), ...undecided.map((key) => refusal(key, 'too many rows were refused'))] // prettier-ignore
}

export const familyOfRow = (row: ServiceRow): Family => {
  switch (row.kind) {
    case 'slot':
    case 'source':
      return familyOf(row.at.ip)
    case 'range':
      return familyOf(row.cidr)
    default:
      return familyOf(row.ip)
  }
}

async function run(chains: ReadonlyMap<string, readonly string[]>, attempt: Try): Promise<string | null> {
  const names = [...chains.keys()]
  // Names of their own: those of the rules may be in use.
  const rename = (text: string): string => text.replace(/FAIRLEAD-[0-9a-f]{16}\b/g, (name) => chainsOwn(name, chains))
  const make = [...chains].flatMap(([name, rules]) => rules.map((rule) => `-A ${rename(name)} ${rename(rule)}`))
  const head = ['*nat', ...names.map((name) => `:${rename(name)} - [0:0]`)]
  const result = await attempt([...head, ...make, 'COMMIT\n'].join('\n'))
  if (result.kind !== 'committed') return result.reason
  await attempt([...head, ...names.map((name) => `-X ${rename(name)}`), 'COMMIT\n'].join('\n'))
  return null
}

const chainsOwn = (name: string, chains: ReadonlyMap<string, unknown>): string =>
  chains.has(name) ? chainName(`trial ${name}`) : name

const refusal = (key: Key, reason: string): Refused => ({
  key,
  reason,
  remedy:
    'iptables or the kernel would not take it: if it names an extension, load that (modprobe xt_statistic, xt_set, ip_set_hash_ip, xt_addrtype, ...), and compare `iptables --version` with 1.8.9',
})

const TRIAL = chainName('trial')
