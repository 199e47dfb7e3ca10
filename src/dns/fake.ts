import { parseAddress } from '../cluster/address.ts'
import type { Delta, Key } from '../core/delta.ts'
import { addressRecord, isWithin } from './names.ts'
import { nameKey, type NameRecord, type NameRow, type Pointer } from './rows.ts'

/** A record, and the name it is answered under. */
export interface Answered {
  readonly name: string
  readonly record: NameRecord
}

export interface Answer {
  /** Of the rows; what no table can say (SERVFAIL, REFUSED) is the carrier's. */
  readonly code: 'NOERROR' | 'NXDOMAIN'
  readonly answers: readonly Answered[]
  /** Addresses of what SRV and NS records point to. */
  readonly additional: readonly Answered[]
}

/**
 * Answers from rows, as the carrier does: what a row means. Of one set; SOA records, rotation and what lies outside of the
 * set's zones are not its business.
 */
export class Fake {
  readonly rows = new Map<Key, NameRow>()
  readonly #set: string
  readonly zones: readonly string[]

  constructor(set: string, zones: readonly string[]) {
    this.#set = set
    this.zones = zones
  }

  apply(delta: Delta<NameRow>): void {
    if (delta.from === 0) this.rows.clear()
    for (const key of delta.drop) this.rows.delete(key)
    for (const [key, row] of delta.put) this.rows.set(key, row)
  }

  /** `name`: absolute, in any case. `type`: as records have it. */
  ask(name: string, type: string): Answer {
    const answers: Answered[] = []
    let at = name.toLowerCase()
    const chain = new Set<string>()
    // What leads back to itself ends there.
    while (!chain.has(at) && chain.size < LINKS_MAX) {
      chain.add(at)
      const records = this.#records(at)
      // A chain that leaves the zones is the forwarder's; one that ends nowhere in them ends in NXDOMAIN (RFC 6604).
      if (records === null) return { code: this.#isOurs(at) ? 'NXDOMAIN' : 'NOERROR', answers, additional: [] }
      const found = records.filter((record) => record.type === type)
      answers.push(...found.map((record) => ({ name: at, record })))
      const alias = records.find(isAlias)
      if (alias === undefined || (type !== 'A' && type !== 'AAAA')) break
      answers.push({ name: at, record: alias })
      at = alias.target
    }
    return { code: 'NOERROR', answers, additional: this.#glue(answers) }
  }

  /** null: the name does not exist. */
  #records(name: string): readonly NameRecord[] | null {
    const row = this.rows.get(nameKey(this.#set, name))
    if (row !== undefined) return row.records
    const dot = name.indexOf('.') + 1
    const parent = this.rows.get(nameKey(this.#set, name.slice(dot)))
    const ip = parent?.dashed ? undash(name.slice(0, dot - 1)) : null
    if (ip !== null) return [addressRecord(ip)]
    // Nothing itself, but something is below it (RFC 8020).
    for (const each of this.rows.values()) if (each.set === this.#set && each.name.endsWith(`.${name}`)) return []
    return null
  }

  #isOurs(name: string): boolean {
    return this.zones.some((zone) => isWithin(name, zone))
  }

  #glue(answers: readonly Answered[]): readonly Answered[] {
    const targets = answers.flatMap(({ record }) =>
      record.type === 'SRV' || record.type === 'NS' ? [record.target] : [],
    )
    return [...new Set(targets)].flatMap((name) => {
      const records = this.rows.get(nameKey(this.#set, name))?.records ?? []
      return records.filter(({ type }) => type === 'A' || type === 'AAAA').map((record) => ({ name, record }))
    })
  }
}

/** The address that a label stands for, canonical; null: none. */
function undash(label: string): string | null {
  const v4 = label.split('-')
  if (v4.length === 4 && v4.every((part) => /^(0|[1-9][0-9]{0,2})$/.test(part))) return parseAddress(v4.join('.'))
  return parseAddress(label.replaceAll('-', ':'))
}

const isAlias = (record: NameRecord): record is Pointer => record.type === 'CNAME'

const LINKS_MAX = 10
