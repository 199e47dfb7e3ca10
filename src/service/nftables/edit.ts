import type { Key } from '../../core/delta.ts'
import type { Family } from '../../cluster/protocol.ts'
import type { Range, ServiceRow } from '../rows.ts'
import { activate, claim, countRules, foundation, ranges, skeleton } from './chains.ts'
import { Checksums } from './checksums.ts'
import { elements, picks, rangeFamily } from './elements.ts'
import { FAMILY, pickName, TABLE, type Generation, type Pick } from './names.ts'
import { pickChain } from './picks.ts'

/** What the kernel holds of ours, as far as a change must know it. */
export class Loaded {
  readonly generation: Generation
  /** Tells this load from those of other agents. */
  readonly owner: string
  readonly chains = new Map<string, Pick>()
  readonly ranges = new Map<Key, Range>()
  readonly sums = new Checksums()
  /** Rules in each chain of ours. */
  readonly rules = new Map<string, number>()

  constructor(generation: Generation, owner: string) {
    this.generation = generation
    this.owner = owner
    countRules(
      foundation() + skeleton(generation, owner) + rangeRules([], generation) + activate(generation),
      this.rules,
    )
  }
}

/** One transaction: collects what goes and what comes, and writes it in an order that the kernel accepts. */
export class Edit {
  readonly #loaded: Loaded
  /** By map, then element key: the data there before and after; undefined: no such element. */
  readonly #elements = new Map<string, Map<string, { was: string | undefined; now: string | undefined }>>()
  readonly #chains = new Map<string, Pick>()
  #ranges: Map<Key, Range> | null = null
  #size = 0

  constructor(loaded: Loaded) {
    this.#loaded = loaded
  }

  /** Number of elements and chains touched; 0: nothing to run. */
  get size(): number {
    return this.#size + this.#chains.size + (this.#ranges === null ? 0 : 1)
  }

  /** The kernel holds `was` under the key (undefined: nothing), and shall hold `row`. */
  replace(key: Key, was: ServiceRow | undefined, row: ServiceRow | undefined): void {
    const { generation } = this.#loaded
    if (was) for (const element of elements(was, generation)) this.#change(element.map, element.key).was = element.data
    if (row) for (const element of elements(row, generation)) this.#change(element.map, element.key).now = element.data
    if (row) for (const pick of picks(row)) this.#need(pick)
    if (was?.kind === 'range') this.#editRanges().delete(key)
    if (row?.kind === 'range') this.#editRanges().set(key, row)
  }

  /** Chains that no frontend needed so far. */
  get newChains(): number {
    return this.#chains.size
  }

  text(): string {
    const { generation, owner } = this.#loaded
    const lines = [claim(generation, owner), ...[...this.#chains.values()].map((pick) => pickChain(pick, generation))]
    for (const [map, changes] of this.#elements) {
      const gone: string[] = []
      const here: string[] = []
      for (const [key, { was, now }] of changes) {
        if (was === now) continue
        if (was !== undefined) gone.push(key)
        if (now !== undefined) here.push(now === '' ? key : `${key} : ${now}`)
      }
      if (gone.length > 0) lines.push(`delete element ${FAMILY} ${TABLE} ${map} { ${gone.join(', ')} }\n`)
      if (here.length > 0) lines.push(`add element ${FAMILY} ${TABLE} ${map} { ${here.join(', ')} }\n`)
    }
    if (this.#ranges !== null) lines.push(rangeRules(this.#ranges.values(), this.#loaded.generation))
    return lines.join('')
  }

  /** The transaction was committed: the kernel holds this now. */
  commit(): void {
    const { chains, sums, ranges, rules, generation } = this.#loaded
    for (const [name, pick] of this.#chains) {
      chains.set(name, pick)
      countRules(pickChain(pick, generation), rules)
    }
    for (const [map, changes] of this.#elements)
      for (const [key, { was, now }] of changes) {
        if (was === now) continue
        if (was !== undefined) sums.remove(map, key, was)
        if (now !== undefined) sums.add(map, key, now)
      }
    if (this.#ranges === null) return
    ranges.clear()
    for (const [key, row] of this.#ranges) ranges.set(key, row)
    countRules(rangeRules(ranges.values(), generation), rules)
  }

  #change(map: string, key: string): { was: string | undefined; now: string | undefined } {
    let changes = this.#elements.get(map)
    if (changes === undefined) this.#elements.set(map, (changes = new Map()))
    let change = changes.get(key)
    if (change === undefined) changes.set(key, (change = { was: undefined, now: undefined }))
    this.#size++
    return change
  }

  #need(pick: Pick): void {
    const name = pickName(pick, this.#loaded.generation)
    if (!this.#loaded.chains.has(name)) this.#chains.set(name, pick)
  }

  #editRanges(): Map<Key, Range> {
    return (this.#ranges ??= new Map(this.#loaded.ranges))
  }
}

export function rangeRules(rows: Iterable<Range>, generation: Generation): string {
  const all = [...rows]
  const of = (set: Range['set'], family: Family): string[] =>
    all
      .filter((row) => row.set === set && rangeFamily(row) === family)
      .map((row) => row.cidr)
      .sort()
  return ([4, 6] as const)
    .map((family) => ranges(family, generation, of('pods', family), of('services', family)))
    .join('')
}
