import { access } from 'node:fs/promises'
import { chainsText, entriesOf, judge, readChains, removalText, restoreText, type Chains } from './chains.ts'
import { createLine, destroySets, editSets, readSet, type AddressSet } from './ipset.ts'
import { missing, restore, VARIANTS, type Family, type Variant } from './iptables.ts'

/** In one family: some chains, and the set that their rules look in. */
export interface Content {
  /** One a table, the one that matters most first. */
  readonly chains: readonly Chains[]
  readonly set: AddressSet
}

export interface CornerOptions {
  readonly variant: Variant
  /** Told of each text that will change the kernel; what it returns is called when that is done. */
  readonly onWrite?: () => () => void
}

/** What of iptables is a corner's, whatever is in it. */
export interface Place {
  /** Who needs it, for errors. */
  readonly what: string
  /** Names of chains in each table. */
  readonly tables: readonly { readonly table: string; readonly names: readonly string[] }[]
  /** Name of the set of a family. */
  readonly set: (family: Family) => string
}

/** A few rules and a set of addresses a family, kept as they should be. Members come before rules that need them, and go after. */
export class IptablesCorner {
  readonly #place: Place
  readonly #options: CornerOptions
  readonly #held = new Map<Family, Content>()
  /** What was left in the other variant is gone. */
  #isAlone = false

  constructor(place: Place, options: CornerOptions) {
    this.#place = place
    this.#options = options
  }

  /** Names of all there may be. */
  get sets(): readonly string[] {
    return FAMILIES.map(this.#place.set)
  }

  /** Entries of a table of legacy iptables that are ours: a rule is one, a chain two. */
  entries(family: Family, table: string): number {
    const own = (this.#held.get(family)?.chains ?? []).filter((each) => each.table === table)
    return own.reduce((sum, chains) => sum + entriesOf(chains), 0)
  }

  /** How many members our sets have, by name. */
  members(): ReadonlyMap<string, number> {
    return new Map([...this.#held.values()].map(({ set }) => [set.name, set.members.size]))
  }

  /**
   * Makes the kernel hold this, and nothing in families that are not in it. `whole`: whatever is there, in both variants; else
   * it is what was held last. Throws what cannot be done; then nothing is known.
   */
  async hold(wanted: ReadonlyMap<Family, Content>, whole: boolean, signal: AbortSignal): Promise<void> {
    try {
      await each(wanted, ([family, content]) => this.#keep(family, content, whole, signal))
      await this.#letGo(wanted, whole, signal)
    } catch (error) {
      this.#held.clear()
      throw error
    }
  }

  /** What the kernel does not hold of what was held last; null: it holds all. */
  async differs(signal: AbortSignal): Promise<string | null> {
    const wrong = await each(this.#held, ([family, content]) => this.#differsIn(family, content, signal))
    return wrong.find((why) => why !== null) ?? null
  }

  /** Takes away all of it, in both variants. Twice is a no-op; a tool that is missing has left nothing. */
  async remove(signal?: AbortSignal): Promise<void> {
    this.#held.clear()
    for (const variant of VARIANTS) for (const family of FAMILIES) await this.#remove(variant, family, signal)
    await destroySets((name) => this.sets.includes(name), signal)
  }

  async #keep(family: Family, content: Content, whole: boolean, signal: AbortSignal): Promise<void> {
    const was = this.#held.get(family)
    if (family === 6 && content.set.members.size === 0 && !(await hasIPv6())) return void this.#held.delete(6)
    if (whole || was === undefined || !sameJumps(was, content)) await this.#load(family, content, signal)
    else await this.#change(family, was, content, signal)
    this.#held.set(family, content)
  }

  /** Of families that are not wanted, and once of the other variant. */
  async #letGo(wanted: ReadonlyMap<Family, Content>, whole: boolean, signal: AbortSignal): Promise<void> {
    const gone = FAMILIES.filter((family) => !wanted.has(family) && (whole || this.#held.has(family)))
    for (const variant of VARIANTS)
      for (const family of FAMILIES)
        if (gone.includes(family) || (!this.#isAlone && variant !== this.#options.variant))
          await this.#remove(variant, family, signal)
    this.#isAlone = true
    for (const family of gone) this.#held.delete(family)
    const sets = gone.map(this.#place.set)
    if (sets.length > 0) await destroySets((name) => sets.includes(name), signal)
  }

  async #differsIn(family: Family, { set, chains }: Content, signal: AbortSignal): Promise<string | null> {
    const { variant } = this.#options
    const there = await readSet(set.name, signal)
    for (const wanted of chains) {
      const found = await readChains(variant, family, this.#in(wanted.table), signal)
      if (found === null) return `the ${variant} variant of iptables is gone`
      const wrong = judge(found, wanted)
      if (wrong !== null) return `IPv${family}: table ${wanted.table}: ${wrong}`
    }
    const wrong = differsIn(set, there)
    return wrong === null ? null : `IPv${family}: ${wrong}`
  }

  async #load(family: Family, content: Content, signal: AbortSignal): Promise<void> {
    const { variant } = this.#options
    const { set } = content
    const there = (await readSet(set.name, signal).catch((error: Error) => this.#fail(error.message))) ?? null
    // A set of another type than ours cannot become one while rules look in it.
    if (there !== null && there.type !== set.type) await this.#makeWay(family, set.name, signal)
    const before = there?.type === set.type ? there.members : new Set<string>()
    const make = there?.type === set.type ? [] : [createLine(set, family)]
    await this.#edit([...make, ...added(set, before)], signal)
    for (const wanted of content.chains) {
      const found = await readChains(variant, family, this.#in(wanted.table), signal)
      if (found === null) throw new Error(`${this.#place.what}: ${missing(`iptables (${variant}, IPv${family})`)}`)
      await this.#write(variant, family, chainsText(found, wanted), signal)
    }
    await this.#edit(dropped(set, before), signal)
  }

  async #change(family: Family, was: Content, now: Content, signal: AbortSignal): Promise<void> {
    await this.#edit(added(now.set, was.set.members), signal)
    for (const [at, { table, rules }] of now.chains.entries()) {
      const before = was.chains[at]!.rules
      const changed = [...rules].filter(([name, each]) => before.get(name)?.join('\n') !== each.join('\n'))
      const text = changed.length === 0 ? '' : restoreText(table, new Map(changed))
      await this.#write(this.#options.variant, family, text, signal)
    }
    await this.#edit(dropped(now.set, was.set.members), signal)
  }

  /** What cannot be read has nothing of ours. */
  async #remove(variant: Variant, family: Family, signal?: AbortSignal): Promise<void> {
    for (const { table, names } of this.#place.tables) {
      const found = await readChains(variant, family, { table, names }, signal).catch(() => null)
      if (found === null || found.isEmpty) continue
      await this.#write(variant, family, removalText(table, found), signal)
    }
  }

  #in(table: string): Place['tables'][number] {
    return this.#place.tables.find((each) => each.table === table)!
  }

  async #makeWay(family: Family, set: string, signal: AbortSignal): Promise<void> {
    for (const variant of VARIANTS) await this.#remove(variant, family, signal)
    await destroySets((name) => name === set, signal)
  }

  async #write(variant: Variant, family: Family, text: string, signal?: AbortSignal): Promise<void> {
    if (text === '') return
    const done = this.#options.onWrite?.()
    const result = await restore(variant, family, text, signal).finally(() => done?.())
    if (result.kind !== 'committed')
      throw new Error(`${this.#place.what}: iptables (${variant}, IPv${family}): ${result.reason}`)
  }

  async #edit(lines: readonly string[], signal: AbortSignal): Promise<void> {
    const failed = await editSets(lines, signal)
    if (failed !== null) this.#fail(failed)
  }

  #fail(why: string): never {
    throw new Error(`${this.#place.what} needs ipset: ${why}; ${REMEDY}`)
  }
}

/** At the same time. Throws once all have ended. */
async function each<T, R>(all: Iterable<T>, work: (one: T) => Promise<R>): Promise<readonly R[]> {
  const ended = await Promise.allSettled([...all].map(work))
  return ended.map((result) => {
    if (result.status === 'rejected') throw result.reason
    return result.value
  })
}

const added = ({ name, members }: AddressSet, before: ReadonlySet<string>): string[] =>
  [...members].filter((member) => !before.has(member)).map((member) => `add ${name} ${member}`)

const dropped = ({ name, members }: AddressSet, before: ReadonlySet<string>): string[] =>
  [...before].filter((member) => !members.has(member)).map((member) => `del ${name} ${member}`)

function differsIn(wanted: AddressSet, found: AddressSet | null): string | null {
  if (found === null || found.type !== wanted.type) return `set ${wanted.name} is gone, or none of ${wanted.type}`
  const [missing, stale] = [added(wanted, found.members).length, dropped(wanted, found.members).length]
  return missing + stale === 0 ? null : `set ${wanted.name}: ${missing} members are missing, ${stale} are none`
}

const sameJumps = (a: Content, b: Content): boolean =>
  b.chains.every(({ jumps }, at) => [...jumps].every(([chain, rule]) => a.chains[at]?.jumps.get(chain) === rule))

const hasIPv6 = (): Promise<boolean> =>
  access('/proc/net/if_inet6').then(
    () => true,
    () => false,
  )

const FAMILIES: readonly Family[] = [4, 6]
const REMEDY = 'install it with: apt-get install ipset, and load: modprobe xt_set ip_set_hash_ip ip_set_hash_net'
