import { randomBytes } from 'node:crypto'
import type { Delta, Drift, Key, Refused, Target } from '../../core/delta.ts'
import { listNames, type Nft, type NftResult, type TableNames } from '../../kernel/nft.ts'
import type { FrontendAddress, ServiceRow } from '../rows.ts'
import { activate, claim, foundation, skeleton } from './chains.ts'
import { Edit, Loaded, rangeRules } from './edit.ts'
import { addUdpFrontends } from './inherited.ts'
import { isFrontend, isolate, reason, refusedRow } from './isolate.ts'
import { listChecksums } from './listing.ts'
import { chainName, FAMILY, other, ownerName, TABLE, type Generation } from './names.ts'

export interface NftTargetOptions {
  /** For changes: kept open, so that a change does not wait for a process to start. */
  readonly changes: Nft
  /** For full loads: each transaction's memory is given back. */
  readonly loads: Nft
  /**
   * Called by the first full load once packets meet what it loaded, with the UDP frontends that the kernel served before.
   * What it finds there goes only after that: whoever dies in between leaves it to the next.
   */
  readonly inherit?: (before: readonly FrontendAddress[], signal: AbortSignal) => Promise<void>
}

/**
 * Service rows in the kernel, as elements of nftables maps. A change is one transaction. A full load fills the generation
 * of maps that no packet meets, then swaps: what was there keeps working meanwhile, whoever put it there.
 */
export class NftTarget implements Target<ServiceRow> {
  readonly name = 'nftables'
  readonly #options: NftTargetOptions
  #loaded: Loaded | null = null
  #batchMax = BATCH_MAX
  #chainsMax = CHAINS_SPARE
  /** UDP frontends that the kernel held when we came; null: handed over. */
  #before: Map<string, FrontendAddress> | null = new Map()

  constructor(options: NftTargetOptions) {
    this.#options = options
  }

  async apply(delta: Delta<ServiceRow>, signal: AbortSignal): Promise<readonly Refused[]> {
    return delta.from === 0 ? this.#load(delta, signal) : this.#change(delta, signal)
  }

  async audit(signal: AbortSignal): Promise<Drift> {
    const loaded = this.#loaded
    if (loaded === null) return { clean: false, detail: 'nothing was loaded yet' }
    const names = await listNames(FAMILY, TABLE, signal)
    if (names === null) return { clean: false, detail: `table ${FAMILY} ${TABLE} is gone` }
    if (!names.chains.has(ownerName(loaded.owner, loaded.generation)))
      return { clean: false, detail: 'the rules are those of another agent: only one may run on a node' }
    for (const chain of ['prerouting', 'output'] as const)
      if (!leadsTo(names, chain, loaded.generation))
        return { clean: false, detail: `chain ${chain} does not lead to our maps` }
    const detail = miscounted(names, loaded)
    if (detail !== null) return { clean: false, detail }
    return loaded.sums.compare(await listChecksums(loaded.generation, signal))
  }

  async cleanup(): Promise<void> {
    const names = await listNames(FAMILY, TABLE).catch(() => null)
    // Deleting a table takes the elements out of its maps, but not out of its sets, under a packet that is on its way through
    // them: that one would be refused. So first nobody enters any more.
    const doors = (['prerouting', 'output'] as const).filter((chain) => names?.chains.has(chain))
    if (doors.length > 0)
      await this.#options.loads.run(doors.map((chain) => `flush chain ${FAMILY} ${TABLE} ${chain}\n`).join(''))
    // Naming the table first makes the second call a no-op.
    const result = await this.#options.loads.run(`add table ${FAMILY} ${TABLE}\ndelete table ${FAMILY} ${TABLE}\n`)
    if (result.kind !== 'committed') throw new Error(`cannot delete table ${FAMILY} ${TABLE}: ${reason(result)}`)
    this.#loaded = null
  }

  async #load(delta: Delta<ServiceRow>, signal: AbortSignal): Promise<readonly Refused[]> {
    this.#loaded = null
    const names = await listNames(FAMILY, TABLE, signal)
    if (names !== null && this.#before !== null) await addUdpFrontends(this.#before, names.maps, signal)
    const active = names === null ? null : await this.#activeOf(names)
    const generation = active === null ? 'a' : other(active)
    const loaded = new Loaded(generation, randomBytes(6).toString('hex'))
    const stands = await this.#prepare(loaded, names, signal)

    const refused: Refused[] = []
    for (const phase of [(row: ServiceRow) => !isFrontend(row), isFrontend]) {
      for (const batch of batches(delta.put, phase, () => this.#batchMax)) {
        refused.push(...(await this.#put(loaded, batch, signal)))
      }
    }
    const swap = claim(generation, loaded.owner) + rangeRules(loaded.ranges.values(), generation) + activate(generation)
    await this.#commit(swap, signal)
    if (this.#before !== null) await this.#options.inherit?.([...this.#before.values()], signal)
    this.#before = null
    if (names !== null && active !== null && stands) await this.#commit(removal(names, active), signal)
    this.#loaded = loaded
    this.#chainsMax = loaded.chains.size * 2 + CHAINS_SPARE
    return refused
  }

  /** The generation that packets meet; null: none. They meet both only if somebody edited our table: then it goes. */
  async #activeOf(names: TableNames): Promise<Generation | null> {
    const [active, second] = generationsInUse(names)
    if (second === undefined) return active ?? null
    await this.cleanup()
    return null
  }

  /** Makes an empty generation; true: beside the one in use, false: that one had to go. */
  async #prepare(loaded: Loaded, names: TableNames | null, signal: AbortSignal): Promise<boolean> {
    const { loads } = this.#options
    let stands = true
    for (const text of [names === null ? '' : removal(names, loaded.generation), foundation()]) {
      if (text === '') continue
      const result = await loads.run(text, signal)
      if (result.kind === 'committed') continue
      // Somebody else's rules in our table hold on to ours, or a former version made a set that is unlike today's: the
      // table goes, with what is theirs in it. Unless it is not what it was: then another agent is at work, and is let be.
      const now = await listNames(FAMILY, TABLE, signal)
      if (result.kind === 'failed' || !sameChains(names, now)) throw new Error(`nftables: ${reason(result)}`)
      await this.cleanup()
      await this.#commit(foundation(), signal)
      stands = false
      break
    }
    await this.#commit(skeleton(loaded.generation, loaded.owner), signal)
    return stands
  }

  async #change(delta: Delta<ServiceRow>, signal: AbortSignal): Promise<readonly Refused[]> {
    const loaded = this.#loaded
    if (loaded === null) throw new Error('a change before a full load')
    const run = (edit: Edit): Promise<NftResult> => this.#run(this.#options.changes, edit, signal)
    const edit = new Edit(loaded)
    for (const [key, row] of delta.put) edit.replace(key, delta.was.get(key), row)
    for (const key of delta.drop) edit.replace(key, delta.was.get(key), undefined)
    if (edit.size > this.#batchMax) throw this.#giveUp(`${edit.size} elements are too many for one transaction here`)
    // Chains of set sizes and affinity timeouts that are not used any more stay until then.
    if (edit.newChains > 0 && loaded.chains.size > this.#chainsMax) throw this.#giveUp('chains have piled up')
    const result = await run(edit)
    if (result.kind === 'committed') return []
    if (isTooLong(result)) throw this.#giveUp(this.#shrink())
    if (isUnknown(result) || isTaken(result))
      throw this.#giveUp(`the kernel does not hold what was loaded (${reason(result)})`)
    return isolate(delta, loaded, run)
  }

  async #put(loaded: Loaded, batch: Batch, signal: AbortSignal): Promise<Refused[]> {
    const edit = new Edit(loaded)
    for (const [key, row] of batch) edit.replace(key, undefined, row)
    const result = await this.#run(this.#options.loads, edit, signal)
    if (result.kind === 'committed') return []
    // The maps were made a moment ago: whoever took them away loads too.
    if (isUnknown(result)) throw this.#giveUp('another agent is loading its rules')
    if (batch.length === 1) return [refusedRow(batch[0]![0], result)]
    // Without real root the kernel takes only so much at once; otherwise halving finds the guilty rows.
    if (isTooLong(result)) this.#shrink()
    const middle = batch.length >> 1
    const left = await this.#put(loaded, batch.slice(0, middle), signal)
    return [...left, ...(await this.#put(loaded, batch.slice(middle), signal))]
  }

  /** Runs an edit. What can never be a row's fault throws: a full load follows. */
  async #run(nft: Nft, edit: Edit, signal: AbortSignal): Promise<NftResult> {
    if (edit.size === 0) return { kind: 'committed' }
    const result = await nft.run(edit.text(), signal)
    if (result.kind === 'committed') edit.commit()
    if (result.kind === 'failed' && !isTooLong(result)) {
      this.#loaded = null
      throw new Error(result.reason)
    }
    return result
  }

  async #commit(text: string, signal: AbortSignal): Promise<void> {
    if (text === '') return
    const result = await this.#options.loads.run(text, signal)
    if (result.kind !== 'committed') throw new Error(`nftables: ${reason(result)}`)
  }

  #shrink(): string {
    this.#batchMax = Math.max(BATCH_MIN, this.#batchMax >> 1)
    return `the kernel takes at most ${this.#batchMax} elements at once`
  }

  #giveUp(why: string): Error {
    this.#loaded = null
    return new Error(`${why}: a full load follows`)
  }
}

type Batch = readonly (readonly [Key, ServiceRow])[]

function* batches(
  rows: ReadonlyMap<Key, ServiceRow>,
  phase: (row: ServiceRow) => boolean,
  max: () => number,
): Iterable<Batch> {
  let batch: [Key, ServiceRow][] = []
  for (const [key, row] of rows) {
    if (!phase(row)) continue
    batch.push([key, row])
    // A frontend is up to four elements.
    if (batch.length * (row.kind === 'frontend' ? 4 : 1) < max()) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}

function generationsInUse(names: TableNames): Generation[] {
  const leads = (generation: Generation): boolean =>
    [...names.jumps].some((jump) => /^(prerouting|output) /.test(jump) && jump.endsWith(`_${generation}`))
  return (['a', 'b'] as const).filter(leads)
}

function leadsTo(names: TableNames, chain: 'prerouting' | 'output', generation: Generation): boolean {
  return ([4, 6] as const).every((family) => names.jumps.has(`${chain} ${chainName('services', family, generation)}`))
}

function sameChains(a: TableNames | null, b: TableNames | null): boolean {
  return a !== null && b !== null && a.chains.symmetricDifference(b.chains).size === 0
}

function miscounted(names: TableNames, { rules }: Loaded): string | null {
  for (const [chain, count] of rules) {
    if (!names.chains.has(chain)) return `chain ${chain} is gone`
    const found = names.rules.get(chain) ?? 0
    if (found !== count) return `chain ${chain} has ${found} rules instead of ${count}`
  }
  return null
}

/** Text that deletes all that carries the name of a generation. */
function removal(names: TableNames, generation: Generation): string {
  const of = (all: ReadonlySet<string>): string[] => [...all].filter((name) => name.endsWith(`_${generation}`))
  const each = (verb: string, all: ReadonlySet<string>): string[] =>
    of(all).map((name) => `${verb} ${FAMILY} ${TABLE} ${name}`)
  // Rules name maps and maps name chains, so: rules, maps, chains.
  const lines = [
    ...each('flush chain', names.chains),
    ...each('delete map', names.maps),
    ...each('delete set', names.sets),
    ...each('delete chain', names.chains),
  ]
  return lines.length === 0 ? '' : lines.join('\n') + '\n'
}

const isTooLong = (result: NftResult): boolean => reason(result).includes('Message too long')
/** A table, chain, set or element that the text names is not there. */
const isUnknown = (result: NftResult): boolean => reason(result).includes('No such file or directory')
const isTaken = (result: NftResult): boolean => reason(result).includes('File exists')

const BATCH_MAX = 20_000
const BATCH_MIN = 250
const CHAINS_SPARE = 256
