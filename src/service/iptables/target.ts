import { isIP } from 'node:net'
import type { Family } from '../../cluster/protocol.ts'
import type { Delta, Drift, Key, Refused, Target } from '../../core/delta.ts'
import { destroySets, editSets, listSets } from '../../kernel/ipset.ts'
import { findVariant, PREFIX, restore, VARIANTS, type RestoreResult, type Variant } from '../../kernel/iptables.ts'
import type { FrontendAddress, ServiceRow } from '../rows.ts'
import { compare } from './audit.ts'
import { isTooLong, natBatches, removalBatches } from './batches.ts'
import { Corner } from './corner.ts'
import { readFound, removal, type Found } from './found.ts'
import { countOf, digest } from './digest.ts'
import type { Changes } from './dispatch.ts'
import { filterRules, JUMPS, type Table } from './fixed.ts'
import { familyOfRow, findGuilty, findGuiltyAddresses } from './isolate.ts'
import { isClients } from './names.ts'
import { filterText, foundations, natText } from './text.ts'

export interface IptablesTargetOptions {
  /** Default: what this host uses. */
  readonly variant?: Variant
  /** As NftTarget's. */
  readonly inherit?: (before: readonly FrontendAddress[], signal: AbortSignal) => Promise<void>
  /** Told of each text that will change the kernel; what it returns is called when that is done. */
  readonly onWrite?: () => () => void
}

/**
 * Service rows in the kernel, as iptables chains: for kernels without nf_tables. A change is one `iptables-restore --noflush`
 * of the chains that it touches, in each family it touches; a full load is the same with all chains, and those that are not
 * wanted deleted. Either way packets meet the old rules, then the new ones, and nothing between. Costs grow with the rules
 * of the table (legacy writes it whole), and with the logarithm of the Services for a packet.
 */
export class IptablesTarget implements Target<ServiceRow> {
  readonly name = 'iptables'
  readonly #options: IptablesTargetOptions
  #loaded: { readonly variant: Variant; readonly corners: readonly Corner[] } | null = null
  #inherited = false
  /** Sets that nothing needs any more: the kernel lets go of them when the last rule is freed, a moment after its deletion. */
  readonly #lingering = new Set<string>()
  /** Why there are no ipsets; null: there are. */
  #setless: string | null = null
  /** Drifts that a full load did not end. */
  readonly #reported = new Set<string>()

  constructor(options: IptablesTargetOptions = {}) {
    this.#options = options
  }

  /** Entries of a table of legacy iptables that are ours: a rule is one, a chain two. */
  entries(family: Family, table: string): number {
    const corner = this.#loaded?.corners.find((each) => each.family === family)
    if (corner === undefined || !(table in JUMPS)) return 0
    const own = table === 'nat' ? [...corner.held.values()] : [digest(filterRules(family))]
    return own.reduce((sum, each) => sum + 2 + countOf(each), JUMPS[table as Table].length)
  }

  async apply(delta: Delta<ServiceRow>, signal: AbortSignal): Promise<readonly Refused[]> {
    return delta.from === 0 ? this.#load(delta, signal) : this.#change(delta, signal)
  }

  async audit(signal: AbortSignal): Promise<Drift> {
    if (this.#loaded === null) return { clean: false, detail: 'nothing was loaded yet' }
    const { variant, corners } = this.#loaded
    await this.#destroy(signal)
    for (const corner of corners) {
      const found = await readFound(variant, corner.family, signal)
      if (found === null) return { clean: false, detail: `the ${variant} variant of iptables is gone` }
      const drift = compare(corner, found, this.#reported)
      if (!drift.clean) return drift
    }
    return { clean: true }
  }

  async cleanup(): Promise<void> {
    this.#loaded = null
    await removeIptables()
  }

  async #load(delta: Delta<ServiceRow>, signal: AbortSignal): Promise<readonly Refused[]> {
    this.#loaded = null
    const variant = this.#options.variant ?? (await hostVariant(signal))
    const { rows, refused } = speakable(delta.put)
    const corners: Corner[] = []
    const before: FrontendAddress[] = []
    for (const family of FAMILIES) {
      const own = new Map([...rows].filter(([, row]) => familyOfRow(row) === family))
      const found = await this.#find(variant, family, own.size, signal)
      if (found === null) continue
      before.push(...found.udp)
      const corner = new Corner(family)
      for (const [key, row] of own) corner.replace(key, undefined, row)
      refused.push(...(await this.#commit(variant, corner, own, found, signal)))
      corners.push(corner)
    }
    await this.#forgetSets(corners, signal)
    this.#loaded = { variant, corners }
    for (const other of VARIANTS) if (other !== variant) before.push(...(await removeVariant(other, signal)))
    if (!this.#inherited) await this.#options.inherit?.(before, signal)
    this.#inherited = true
    return refused
  }

  async #change(delta: Delta<ServiceRow>, signal: AbortSignal): Promise<readonly Refused[]> {
    const loaded = this.#loaded
    if (loaded === null) throw new Error('a change before a full load')
    const { rows, refused } = speakable(delta.put)
    try {
      for (const family of FAMILIES) {
        const of = (row: ServiceRow | undefined): boolean => row !== undefined && familyOfRow(row) === family
        const puts = new Map([...rows].filter(([, row]) => of(row)))
        const drops = [...delta.drop, ...refused.map(({ key }) => key)].filter((key) => of(delta.was.get(key)))
        if (puts.size + drops.length === 0) continue
        const corner = loaded.corners.find((each) => each.family === family)
        if (corner === undefined) throw new Error(`IPv${family} was not loaded`)
        for (const key of drops) corner.replace(key, delta.was.get(key), undefined)
        for (const [key, row] of puts) corner.replace(key, delta.was.get(key), row)
        refused.push(...(await this.#commit(loaded.variant, corner, puts, null, signal)))
      }
      await this.#destroy(signal)
      return refused
    } catch (error) {
      this.#loaded = null
      throw error
    }
  }

  /** Makes the kernel hold what the corner says. `rows`: what is new. `found`: a full load, over what is there. */
  async #commit(
    variant: Variant,
    corner: Corner,
    rows: ReadonlyMap<Key, ServiceRow>,
    found: Found | null,
    signal: AbortSignal,
  ): Promise<readonly Refused[]> {
    const write = async (): Promise<RestoreResult> => {
      const changes = corner.pending()
      await this.#needSets(corner, found === null, signal)
      if (changes.size === 0 && found === null) return { kind: 'committed' }
      return this.#writeNat(variant, corner, changes, found, signal)
    }
    // What nat can only mark must be dropped from the first packet on.
    if (found !== null) await this.#writeFilter(variant, corner.family, found, signal)
    let result = await write()
    let refused: readonly Refused[] = []
    if (result.kind === 'refused') {
      const attempt = (text: string): Promise<RestoreResult> => this.#write(variant, corner.family, [text], signal)
      if (found !== null) await attempt(foundations(found))
      const addresses = await findGuiltyAddresses(rows, attempt)
      for (const { key } of addresses) corner.replace(key, rows.get(key), undefined)
      const others = await findGuilty(rows, corner, attempt)
      for (const { key } of others) corner.replace(key, rows.get(key) ?? corner.row(key), undefined)
      refused = [...addresses, ...others]
      if (refused.length > 0) result = await write()
    }
    if (result.kind !== 'committed') throw new Error(`iptables (${variant}, IPv${corner.family}): ${result.reason}`)
    corner.committed()
    const setless = this.#setless
    if (setless === null) return refused
    return refused.map((each) =>
      /\bset\b/i.test(each.reason) ? { ...each, remedy: `session affinity needs ipset: ${setless}; ${SETS}` } : each,
    )
  }

  async #writeNat(
    variant: Variant,
    { family, held }: Corner,
    changes: Changes,
    found: Found | null,
    signal: AbortSignal,
  ): Promise<RestoreResult> {
    try {
      return await this.#write(variant, family, natText(variant, changes, found), signal)
    } catch (error) {
      if (!isTooLong((error as Error).message)) throw error
      const exists = (chain: string): boolean => (found === null ? held.has(chain) : found.chains.nat.has(chain))
      return this.#write(variant, family, natBatches(changes, found, exists), signal)
    }
  }

  async #writeFilter(variant: Variant, family: Family, found: Found, signal: AbortSignal): Promise<void> {
    const result = await this.#write(variant, family, [filterText(family, found)], signal)
    if (result.kind !== 'committed') throw new Error(`iptables (${variant}, IPv${family}): ${result.reason}`)
  }

  async #write(variant: Variant, family: Family, text: Iterable<string>, signal: AbortSignal): Promise<RestoreResult> {
    const done = this.#options.onWrite?.()
    try {
      const result = await restore(variant, family, text, signal)
      if (result.kind === 'failed') throw new Error(`iptables (${variant}, IPv${family}): ${result.reason}`)
      return result
    } finally {
      done?.()
    }
  }

  async #find(variant: Variant, family: Family, rows: number, signal: AbortSignal): Promise<Found | null> {
    try {
      const found = await readFound(variant, family, signal)
      if (found !== null) return found
    } catch (error) {
      // A kernel without IPv6, say, and a cluster without it, too.
      if (rows > 0 || family === 4) throw error
      return null
    }
    throw new Error(`iptables (${variant}, IPv${family}) is missing: install it with: apt-get install iptables`)
  }

  /** Makes the sets that the rules to come look in. Without ipset those rules are refused, and no others. */
  async #needSets(corner: Corner, fresh: boolean, signal: AbortSignal): Promise<void> {
    const lines: string[] = []
    for (const set of corner.takeNewSets()) {
      this.#lingering.delete(set)
      lines.push(`create ${set} hash:ip family inet${corner.family === 6 ? '6' : ''} timeout 0 maxelem ${CLIENTS_MAX}`)
      // Left over from an endpoint that was here before: its clients were sent elsewhere since.
      if (fresh) lines.push(`flush ${set}`)
    }
    if (lines.length > 0) this.#setless = await editSets(lines, signal)
    for (const set of corner.takeOldSets()) this.#lingering.add(set)
  }

  /** After a full load: sets of ours that nothing needs. */
  async #forgetSets(corners: readonly Corner[], signal: AbortSignal): Promise<void> {
    for (const set of (await listSets(signal)) ?? [])
      if (isClients(set) && !corners.some((corner) => corner.sets.has(set))) this.#lingering.add(set)
    await this.#destroy(signal)
  }

  async #destroy(signal?: AbortSignal): Promise<void> {
    if (this.#lingering.size === 0) return
    const failed = await editSets(
      [...this.#lingering].map((set) => `destroy ${set}`),
      signal,
    )
    if (failed === null) return this.#lingering.clear()
    // Some were destroyed before the first that was still held.
    const left = new Set((await listSets(signal)) ?? [])
    for (const set of this.#lingering) if (!left.has(set)) this.#lingering.delete(set)
  }
}

/** Takes away all of ours in every variant, sets too. Twice is a no-op. */
export async function removeIptables(signal?: AbortSignal): Promise<readonly FrontendAddress[]> {
  const before: FrontendAddress[] = []
  for (const variant of VARIANTS) before.push(...(await removeVariant(variant, signal)))
  await destroySets(isClients, signal)
  return before
}

/** The UDP frontends that were there. What cannot be read has nothing of ours. */
async function removeVariant(variant: Variant, signal?: AbortSignal): Promise<readonly FrontendAddress[]> {
  const before: FrontendAddress[] = []
  for (const family of FAMILIES) {
    const found = await readFound(variant, family, signal).catch(() => null)
    if (found === null || found.isEmpty) continue
    before.push(...found.udp)
    let result = await restore(variant, family, removal(found), signal)
    if (result.kind === 'failed' && isTooLong(result.reason))
      result = await restore(variant, family, removalBatches(found), signal)
    if (result.kind !== 'committed')
      throw new Error(`cannot remove our iptables chains (${variant}, IPv${family}): ${result.reason}`)
  }
  return before
}

/** Throws when neither variant works. */
export async function hostVariant(signal?: AbortSignal): Promise<Variant> {
  const found = await findVariant(PREFIX, signal)
  if (found.kind === 'none') throw new Error(`neither variant of iptables works here: ${found.reason}`)
  return found.variant
}

/** Rows come parsed; an address that is none all the same harms itself only. */
function speakable(put: ReadonlyMap<Key, ServiceRow>): { rows: Map<Key, ServiceRow>; refused: Refused[] } {
  const rows = new Map<Key, ServiceRow>()
  const refused: Refused[] = []
  for (const [key, row] of put) {
    const texts = 'cidr' in row ? [row.cidr.replace(/\/\d+$/, '')] : [row.ip]
    if ('at' in row) texts.push(row.at.ip)
    if (texts.every((text) => isIP(text) !== 0)) rows.set(key, row)
    else refused.push({ key, reason: `${texts.join(' or ')} is no address`, remedy: 'correct the address' })
  }
  return { rows, refused }
}

const FAMILIES: readonly Family[] = [4, 6]
const CLIENTS_MAX = 262_144
const SETS = 'install it with: apt-get install ipset, and load: modprobe xt_set ip_set_hash_ip'
