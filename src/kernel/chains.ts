/** Some chains of ours in one table of iptables, and the jumps that lead to them: read, judged, written, taken away. */
import { PREFIX, save, type Family, type Variant } from './iptables.ts'

export interface Chains {
  readonly table: string
  /** By name; rules as iptables-save prints them. */
  readonly rules: ReadonlyMap<string, readonly string[]>
  /** Built-in chain -> the one rule in it that leads to ours. */
  readonly jumps: ReadonlyMap<string, string>
}

/** Entries that they take in a table of legacy iptables: a rule is one, a chain two. */
export const entriesOf = ({ rules, jumps }: Chains): number =>
  [...rules.values()].reduce((sum, each) => sum + 2 + each.length, jumps.size)

/** What is there of them. */
export class FoundChains {
  readonly rules = new Map<string, string[]>()
  /** Of a built-in chain, all rules; of anybody's, those that lead to ours. */
  readonly others = new Map<string, string[]>()
  readonly #names: ReadonlySet<string>
  readonly #leads: RegExp

  constructor(names: Iterable<string>) {
    this.#names = new Set(names)
    this.#leads = new RegExp(`-[jg] (?:${[...this.#names].join('|')})$`)
  }

  get isEmpty(): boolean {
    return this.rules.size === 0 && this.leads().length === 0
  }

  /** Of iptables-save of the table. */
  line(line: string): void {
    if (line.startsWith(':')) {
      const name = line.slice(1, line.indexOf(' '))
      if (this.#names.has(name)) this.rules.set(name, [])
    }
    if (!line.startsWith('-A ')) return
    const end = line.indexOf(' ', 3)
    const [chain, rule] = [line.slice(3, end), line.slice(end + 1)]
    if (this.#names.has(chain)) this.rules.get(chain)?.push(rule)
    else if (BUILT_IN.has(chain) || this.#leads.test(rule)) this.others.set(chain, [...this.of(chain), rule])
  }

  /** Rules of a chain that is not ours. */
  of(chain: string): readonly string[] {
    return this.others.get(chain) ?? []
  }

  /** Rules of others that lead to ours, as `CHAIN rule`. */
  leads(): readonly string[] {
    return [...this.others].flatMap(([chain, rules]) =>
      rules.filter((rule) => this.#leads.test(rule)).map((rule) => `${chain} ${rule}`),
    )
  }
}

/** Of these names. Throws when it cannot be read; null: that program is not installed. Makes no table. */
export async function readChains(
  variant: Variant,
  family: Family,
  { table, names }: { readonly table: string; readonly names: Iterable<string> },
  signal?: AbortSignal,
): Promise<FoundChains | null> {
  const found = new FoundChains(names)
  const failed = await save(variant, family, (line) => found.line(line), signal, table)
  if (failed?.kind === 'missing') return null
  if (failed !== null) throw new Error(failed.reason)
  return found
}

/** What is not as it should be; null: all is. */
export function judge(found: FoundChains, wanted: Chains): string | null {
  for (const [name, rules] of wanted.rules) {
    const there = found.rules.get(name)
    if (there === undefined) return `chain ${name} is gone`
    if (there.join('\n') !== rules.join('\n')) return `chain ${name} has other rules`
  }
  if (found.leads().length !== wanted.jumps.size) return 'not one jump each leads to our chains'
  for (const [chain, rule] of wanted.jumps)
    if (!isWellPlaced(found.of(chain), rule)) return `chain ${chain} does not lead to ours in time`
  return null
}

/** Text for iptables-restore that makes it so; '': it is. Chains that are as they should be are not written. */
export function chainsText(found: FoundChains, wanted: Chains): string {
  const changed = [...wanted.rules].filter(([name, rules]) => found.rules.get(name)?.join('\n') !== rules.join('\n'))
  const jumps = jumpLines(found, wanted)
  if (changed.length + jumps.length === 0) return ''
  return restoreText(wanted.table, new Map(changed), jumps)
}

/** Text that fills chains anew. `lines`: what comes after that. */
export function restoreText(
  table: string,
  rules: ReadonlyMap<string, readonly string[]>,
  lines: readonly string[] = [],
): string {
  const made = [...rules.keys()].map((name) => `:${name} - [0:0]`)
  const filled = [...rules].flatMap(([name, each]) => each.map((rule) => `-A ${name} ${rule}`))
  return [`*${table}`, ...made, ...filled, ...lines, 'COMMIT\n'].join('\n')
}

/** Text that takes all of it away. */
export function removalText(table: string, found: FoundChains): string {
  const names = [...found.rules.keys()]
  const empty = new Map(names.map((name) => [name, []]))
  return restoreText(table, empty, [...found.leads().map((lead) => `-D ${lead}`), ...names.map((name) => `-X ${name}`)])
}

/** Jumps that are right stay where they are. */
function jumpLines(found: FoundChains, { jumps }: Chains): readonly string[] {
  const right = new Set<string>()
  for (const [chain, rule] of jumps) if (isWellPlaced(found.of(chain), rule)) right.add(`${chain} ${rule}`)
  const deleted = found.leads().filter((lead) => !right.has(lead))
  const inserted = [...jumps].flatMap(([chain, rule]) => {
    if (right.has(`${chain} ${rule}`)) return []
    const others = found.of(chain).filter((each) => !deleted.includes(`${chain} ${each}`))
    return [`-I ${chain} ${placeAmong(others).first + 1} ${rule}`]
  })
  return [...deleted.map((lead) => `-D ${lead}`), ...inserted]
}

function isWellPlaced(rules: readonly string[], jump: string): boolean {
  const at = rules.indexOf(jump)
  const { first, last } = placeAmong(rules.filter((rule) => rule !== jump))
  return at === rules.lastIndexOf(jump) && at >= first && at <= last
}

/** Where a jump of ours belongs: behind those of other rooms, before anybody's rule that lets packets pass all that follows. */
function placeAmong(rules: readonly string[]): { readonly first: number; readonly last: number } {
  const end = rules.findIndex((rule) => ENDS.test(rule))
  const last = end < 0 ? rules.length : end
  const ours = rules.slice(0, last).findLastIndex((rule) => OURS.test(rule))
  return { first: ours + 1, last }
}

const BUILT_IN = new Set(['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'])
const ENDS = /-j (ACCEPT|RETURN)$/
const OURS = new RegExp(`-[jg] ${PREFIX}`)
