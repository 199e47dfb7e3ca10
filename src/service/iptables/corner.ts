/** What the kernel holds of ours in one family, and what it should. */
import type { Family } from '../../cluster/protocol.ts'
import type { Key } from '../../core/delta.ts'
import { frontendKey, type Frontend, type Range, type ServiceRow, type Slot, type Source } from '../rows.ts'
import { Counts } from './counts.ts'
import { digest, type Digest } from './digest.ts'
import { digitsOf, Dispatch, type Changes } from './dispatch.ts'
import { fixedChains, outsideRules, servicesRules } from './fixed.ts'
import { leadRule, type Group } from './frontends.ts'
import { CHAINS } from './names.ts'
import type { Chains } from './picks.ts'
import { host } from './words.ts'

export class Corner {
  readonly family: Family
  /** By chain of table nat, what the kernel was given. */
  readonly held = new Map<string, Digest>()
  /** Sets of clients that rules of ours need, or will once they are committed. */
  readonly sets = new Counts()
  readonly #groups = new Map<Key, Group>()
  /** What the rules of a frontend took part in. */
  readonly #led = new Map<Key, { readonly chains: readonly string[]; readonly sets: readonly string[] }>()
  readonly #newSets = new Set<string>()
  readonly #oldSets = new Set<string>()
  readonly #chains = new Counts()
  readonly #ranges = new Map<Key, Range>()
  readonly #frontends: Dispatch
  readonly #hairpins: Dispatch
  readonly #touched = new Set<Key>()
  /** Not committed yet. */
  readonly #pending: Changes

  constructor(family: Family) {
    this.family = family
    this.#frontends = new Dispatch(family, CHAINS.frontends)
    this.#hairpins = new Dispatch(family, CHAINS.hairpins)
    this.#pending = new Map(fixedChains())
    this.#renderRanges()
  }

  /** The table says `row` now (undefined: nothing) where it said `was`. Takes effect with the next commit. */
  replace(key: Key, was: ServiceRow | undefined, row: ServiceRow | undefined): void {
    for (const [old, each] of [
      [true, was],
      [false, row],
    ] as const)
      if (each !== undefined) this.#change(key, each, old)
  }

  /** What a commit has to write. The same until `committed` or `replace`. */
  pending(): Changes {
    for (const key of this.#touched) this.#lead(key)
    this.#touched.clear()
    this.#frontends.take(this.#pending)
    this.#hairpins.take(this.#pending)
    for (const [chain, rules] of this.#pending)
      if (rules === null ? !this.held.has(chain) : this.held.get(chain) === digest(rules)) this.#pending.delete(chain)
    return this.#pending
  }

  committed(): void {
    for (const [chain, rules] of this.#pending) {
      if (rules === null) this.held.delete(chain)
      else this.held.set(chain, digest(rules))
    }
    this.#pending.clear()
  }

  /** All rows of a frontend; null: there is none. */
  group(key: Key): { readonly frontend: Frontend; readonly rows: ReadonlyMap<Key, Slot | Source> } | null {
    const group = this.#groups.get(key)
    if (group === undefined || group.frontend === null) return null
    return { frontend: group.frontend, rows: new Map<Key, Slot | Source>([...group.slots, ...group.sources]) }
  }

  /** A row of a frontend; undefined: not held. */
  row(key: Key): ServiceRow | undefined {
    const frontend = this.#groups.get(key)?.frontend
    if (frontend) return frontend
    for (const { slots, sources } of this.#groups.values()) {
      const row = slots.get(key) ?? sources.get(key)
      if (row !== undefined) return row
    }
    return undefined
  }

  /** Sets that have to be made before the next commit. */
  takeNewSets(): readonly string[] {
    return take(this.#newSets)
  }

  /** Sets that nothing needs after the next commit. */
  takeOldSets(): readonly string[] {
    return take(this.#oldSets)
  }

  /** Chains, and the rule that leads to them, of a frontend that has only these rows. */
  sample(frontend: Frontend, rows: Iterable<Slot | Source>): { readonly lead: string; readonly chains: Chains } {
    const group: Group = { frontend, slots: new Map(), sources: new Map() }
    let number = 0
    for (const row of rows) {
      if (row.kind === 'slot') group.slots.set(String(number++), row)
      else group.sources.set(String(number++), row)
    }
    const chains: Chains = { rules: new Map(), sets: new Set() }
    return { lead: leadRule(group, frontend, this.#pods(), chains), chains }
  }

  #change(key: Key, row: ServiceRow, gone: boolean): void {
    switch (row.kind) {
      case 'frontend':
        this.#group(key).frontend = gone ? null : row
        break
      case 'slot':
      case 'source': {
        const group = this.#group(frontendKey(row.at))
        const rows: Map<Key, ServiceRow> = row.kind === 'slot' ? group.slots : group.sources
        if (gone) rows.delete(key)
        else rows.set(key, row)
        break
      }
      case 'address':
        this.#frontends.set(digitsOf(row.ip), gone ? null : `-d ${host(row.ip)} -g ${CHAINS.refuse}`)
        break
      case 'hairpin': {
        const rule = `-s ${host(row.ip)} -d ${host(row.ip)} -j MASQUERADE --random-fully`
        this.#hairpins.set(digitsOf(row.ip), gone ? null : rule)
        break
      }
      case 'range':
        if (gone) this.#ranges.delete(key)
        else this.#ranges.set(key, row)
        this.#renderRanges()
        break
      default:
        throw row satisfies never
    }
  }

  #group(key: Key): Group {
    this.#touched.add(key)
    let group = this.#groups.get(key)
    if (group === undefined) this.#groups.set(key, (group = { frontend: null, slots: new Map(), sources: new Map() }))
    return group
  }

  /** Brings the rules of a frontend up to date. */
  #lead(key: Key): void {
    const group = this.#groups.get(key)!
    const { frontend } = group
    const chains: Chains = { rules: new Map(), sets: new Set() }
    // A frontend that is gone may leave rows behind for a moment; its key says where it was.
    const [, ip, protocol, port] = key.split(' ') as [string, string, Frontend['protocol'], string]
    const rule = frontend === null ? null : leadRule(group, frontend, this.#pods(), chains)
    this.#frontends.set(digitsOf(ip, protocol, Number(port)), rule)
    const before = this.#led.get(key)
    for (const [chain, rules] of chains.rules) if (this.#chains.add(chain)) this.#pending.set(chain, rules)
    for (const set of chains.sets) if (this.sets.add(set) && !this.#oldSets.delete(set)) this.#newSets.add(set)
    for (const chain of before?.chains ?? []) if (this.#chains.remove(chain)) this.#pending.set(chain, null)
    for (const set of before?.sets ?? [])
      if (this.sets.remove(set) && !this.#newSets.delete(set)) this.#oldSets.add(set)
    if (frontend === null) this.#led.delete(key)
    else this.#led.set(key, { chains: [...chains.rules.keys()], sets: [...chains.sets] })
    if (frontend === null && group.slots.size === 0 && group.sources.size === 0) this.#groups.delete(key)
  }

  #pods(): readonly string[] {
    return this.#rangesOf('pods')
  }

  #rangesOf(set: Range['set']): readonly string[] {
    return [...this.#ranges.values()].flatMap((row) => (row.set === set ? [row.cidr] : [])).sort()
  }

  #renderRanges(): void {
    this.#pending.set(CHAINS.services, servicesRules(this.#rangesOf('services')))
    this.#pending.set(CHAINS.outside, outsideRules(this.#pods()))
    for (const [key, { frontend }] of this.#groups)
      if (frontend !== null && frontend.local !== null) this.#touched.add(key)
  }
}

function take(names: Set<string>): readonly string[] {
  const all = [...names]
  names.clear()
  return all
}
