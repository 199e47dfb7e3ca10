import type { Delta, Drift, Key, Refused, Target } from '../../core/delta.ts'
import { listNames, type Nft, type NftResult, type TableNames } from '../../kernel/nft.ts'
import type { ServiceRow } from '../rows.ts'
import { activate, skeleton } from './chains.ts'
import { Edit, Loaded, rangeRules } from './edit.ts'
import { listChecksums } from './listing.ts'
import { chainName, FAMILY, other, TABLE, type Generation } from './names.ts'

export interface NftTargetOptions {
  /** For changes: kept open, so that a change does not wait for a process to start. */
  readonly changes: Nft
  /** For full loads: each transaction's memory is given back. */
  readonly loads: Nft
  /** Called after each commit with the delta that was committed: cleans conntrack of what is stale. */
  readonly committed?: (delta: Delta<ServiceRow>, signal: AbortSignal) => Promise<void>
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

  constructor(options: NftTargetOptions) {
    this.#options = options
  }

  async apply(delta: Delta<ServiceRow>, signal: AbortSignal): Promise<readonly Refused[]> {
    const refused = delta.from === 0 ? await this.#load(delta, signal) : await this.#change(delta, signal)
    await this.#options.committed?.(delta, signal)
    return refused
  }

  async audit(signal: AbortSignal): Promise<Drift> {
    const loaded = this.#loaded
    if (loaded === null) return { clean: false, detail: 'nothing was loaded yet' }
    const names = await listNames(FAMILY, TABLE, signal)
    if (names === null) return { clean: false, detail: `table ${FAMILY} ${TABLE} is gone` }
    for (const chain of ['prerouting', 'output'] as const)
      if (!leadsTo(names, chain, loaded.generation))
        return { clean: false, detail: `chain ${chain} does not lead to our maps` }
    for (const name of loaded.chains.keys())
      if (!names.chains.has(name)) return { clean: false, detail: `chain ${name} is gone` }
    return loaded.sums.compare(await listChecksums(loaded.generation, signal))
  }

  async cleanup(): Promise<void> {
    // Naming the table first makes the second call a no-op.
    const result = await this.#options.loads.run(`add table ${FAMILY} ${TABLE}\ndelete table ${FAMILY} ${TABLE}\n`)
    if (result.kind !== 'committed') throw new Error(`cannot delete table ${FAMILY} ${TABLE}: ${reason(result)}`)
    this.#loaded = null
  }

  async #load(delta: Delta<ServiceRow>, signal: AbortSignal): Promise<readonly Refused[]> {
    this.#loaded = null
    const names = await listNames(FAMILY, TABLE, signal)
    // Packets meet one generation, or none; both only if somebody edited our table.
    const [active, second] = names === null ? [] : generationsInUse(names)
    if (second !== undefined) await this.cleanup()
    const generation = active === undefined || second !== undefined ? 'a' : other(active)
    const loaded = new Loaded(generation)
    if (names !== null && second === undefined) await this.#commit(removal(names, generation), signal)
    await this.#commit(skeleton(generation), signal)

    const refused: Refused[] = []
    for (const phase of [(row: ServiceRow) => row.kind !== 'frontend', (row: ServiceRow) => row.kind === 'frontend']) {
      for (const batch of batches(delta.put, phase, () => this.#batchMax)) {
        refused.push(...(await this.#put(loaded, batch, signal)))
      }
    }
    await this.#commit(rangeRules(loaded.ranges.values(), generation) + activate(generation), signal)
    if (names !== null && active !== undefined && second === undefined)
      await this.#commit(removal(names, active), signal)
    this.#loaded = loaded
    return refused
  }

  async #change(delta: Delta<ServiceRow>, signal: AbortSignal): Promise<readonly Refused[]> {
    const loaded = this.#loaded
    if (loaded === null) throw new Error('a change before a full load')
    const edit = new Edit(loaded)
    for (const [key, row] of delta.put) edit.replace(key, delta.was.get(key), row)
    for (const key of delta.drop) edit.replace(key, delta.was.get(key), undefined)
    if (edit.size > this.#batchMax) {
      this.#loaded = null
      throw new Error(`${edit.size} elements are too many for one transaction here: a full load follows`)
    }
    const result = await this.#run(this.#options.changes, edit, signal)
    return result.kind === 'committed' ? [] : this.#isolate(delta, loaded, signal)
  }

  /** A change was refused as a whole: apply it row by row, so that the guilty rows harm only themselves. */
  async #isolate(delta: Delta<ServiceRow>, loaded: Loaded, signal: AbortSignal): Promise<readonly Refused[]> {
    const refused: Refused[] = []
    // Endpoints come before frontends that count on them, and go after them.
    const puts = [...delta.put.keys()]
    const drops = [...delta.drop]
    const order = [
      ...puts.filter((key) => !isFrontend(delta.put.get(key))),
      ...puts.filter((key) => isFrontend(delta.put.get(key))),
      ...drops.filter((key) => isFrontend(delta.was.get(key))),
      ...drops.filter((key) => !isFrontend(delta.was.get(key))),
    ]
    for (const key of order) {
      const edit = new Edit(loaded)
      edit.replace(key, delta.was.get(key), delta.put.get(key))
      const result = await this.#run(this.#options.changes, edit, signal)
      if (result.kind === 'committed') continue
      refused.push(refusedRow(key, result))
      // Nobody holds a refused row: what was there goes too, if the kernel lets it go.
      const removal = new Edit(loaded)
      removal.replace(key, delta.was.get(key), undefined)
      const removed = await this.#run(this.#options.changes, removal, signal)
      if (removed.kind !== 'committed') loaded.held.set(key, delta.was.get(key))
    }
    return refused
  }

  async #put(loaded: Loaded, batch: Batch, signal: AbortSignal): Promise<Refused[]> {
    const edit = new Edit(loaded)
    for (const [key, row] of batch) edit.replace(key, undefined, row)
    const result = await this.#run(this.#options.loads, edit, signal)
    if (result.kind === 'committed') return []
    if (batch.length === 1) {
      const key = batch[0]![0]
      loaded.held.set(key, undefined)
      return [refusedRow(key, result)]
    }
    // Without real root the kernel takes only so much at once ("Message too long"); otherwise halving finds the guilty rows.
    if (reason(result).includes('Message too long')) this.#batchMax = Math.max(BATCH_MIN, this.#batchMax >> 1)
    const middle = batch.length >> 1
    const left = await this.#put(loaded, batch.slice(0, middle), signal)
    return [...left, ...(await this.#put(loaded, batch.slice(middle), signal))]
  }

  /** Runs an edit. What can never be a row's fault throws: a full load follows. */
  async #run(nft: Nft, edit: Edit, signal: AbortSignal): Promise<NftResult> {
    if (edit.size === 0) return { kind: 'committed' }
    const result = await nft.run(edit.text(), signal)
    if (result.kind === 'committed') edit.commit()
    if (result.kind === 'failed' && !result.reason.includes('Message too long')) {
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

const isFrontend = (row: ServiceRow | undefined): boolean => row?.kind === 'frontend'

function generationsInUse(names: TableNames): Generation[] {
  const leads = (generation: Generation): boolean =>
    [...names.jumps].some((jump) => /^(prerouting|output) /.test(jump) && jump.endsWith(`_${generation}`))
  return (['a', 'b'] as const).filter(leads)
}

function leadsTo(names: TableNames, chain: 'prerouting' | 'output', generation: Generation): boolean {
  return ([4, 6] as const).every((family) => names.jumps.has(`${chain} ${chainName('services', family, generation)}`))
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

function reason(result: NftResult): string {
  switch (result.kind) {
    case 'committed':
      return 'committed'
    case 'failed':
      return result.reason
    case 'refused':
      return [...new Set(result.errors)].slice(0, 3).join('; ')
    default:
      throw result satisfies never
  }
}

function refusedRow(key: Key, result: NftResult): Refused {
  return {
    key,
    reason: reason(result),
    remedy: 'the kernel or nft would not take it: compare `nft --version` with 1.0.6',
  }
}

const BATCH_MAX = 20_000
const BATCH_MIN = 250
