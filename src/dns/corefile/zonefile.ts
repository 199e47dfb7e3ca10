import { isWithin } from '../names.ts'
import type { Source } from './configuration.ts'
import { masterEntries, type Entry } from './master.ts'
import { parseName } from './name.ts'
import { TYPES } from './numbers.ts'
import { nearest, quote, type Problems } from './problem.ts'
import { LAYOUTS, octetsOf } from './rdata.ts'
import { FIELDS, readField, readTtl, record, type FileRecord, type FileRow } from './record.ts'

/** The rows of a master file (RFC 1035 5), read once for each zone that it is for: relative names are below that zone. */
export function zoneRows(text: string, source: Source, problems: Problems, warnings: Problems): readonly FileRow[] {
  const entries = masterEntries(text, source.path, problems)
  return source.zones.flatMap((zone) => new Zone(zone, source, problems, warnings).read(entries))
}

class Zone {
  readonly #zone: string
  readonly #source: Source
  readonly #problems: Problems
  readonly #warnings: Problems
  readonly #names = new Map<string, FileRecord[]>()
  #origin: string
  #owner: string | null = null
  #ttl: number | null = null

  constructor(zone: string, source: Source, problems: Problems, warnings: Problems) {
    this.#zone = zone
    this.#origin = zone
    this.#source = source
    this.#problems = problems
    this.#warnings = warnings
  }

  read(entries: readonly Entry[]): readonly FileRow[] {
    for (const entry of entries) {
      const [first] = entry.words
      if (first?.text.startsWith('$') && !first.quoted) this.#directive(entry)
      else this.#record(entry)
    }
    this.#whole()
    const { set, path } = this.#source
    return [...this.#names].map(([name, records]) => ({ set, name, records, object: path }))
  }

  #directive(entry: Entry): void {
    const [name, value, more] = entry.words.map(({ text }) => text)
    const directive = name!.toUpperCase()
    if (directive === '$ORIGIN') {
      const origin = value === undefined || more !== undefined ? null : parseName(value, this.#origin)
      if (origin === null) this.#problems.report(entry, '$ORIGIN has no name', 'write $ORIGIN NAME')
      else this.#origin = origin
    } else if (directive === '$TTL') {
      const ttl = value === undefined || more !== undefined ? null : readTtl(value)
      if (ttl === null) this.#problems.report(entry, '$TTL has no TTL', 'write $TTL 3600, or $TTL 1h')
      else this.#ttl = ttl
    } else this.#problems.report(entry, `${quote(name!)} is not supported`, 'write out what it stands for')
  }

  /** `[OWNER] [TTL] [CLASS] TYPE DATA...`; without an owner it is the one before. */
  #record(entry: Entry): void {
    const words = [...entry.words]
    if (!entry.indented) {
      const text = words.shift()!.text
      const owner = parseName(text, this.#origin)
      if (owner === null) return void this.#problems.report(entry, `${quote(text)} is no name`, 'mend it')
      this.#owner = owner
    }
    let ttl: number | null = null
    for (; words.length > 0; words.shift()) {
      const { text } = words[0]!
      const seconds: number | null = ttl === null && /^[0-9]/.test(text) ? readTtl(text) : null
      if (seconds !== null) ttl = seconds
      else if (!/^(?:IN|CLASS1)$/i.test(text)) break
    }
    const type = words.shift()?.text.toUpperCase() ?? ''
    const owner = this.#owner
    if (owner === null) return void this.#problems.report(entry, 'the first record has no owner', 'write @, or a name')
    const found = this.#data(type, words, entry)
    if (found === null) return
    if (!isWithin(owner, this.#zone)) {
      this.#warnings.report(entry, `${owner} is not in ${this.#zone} and left out`, 'move it to the file of its zone')
      return
    }
    this.#keep(owner, type, { ...found, ttl: ttl ?? this.#ttl ?? TTL }, entry)
  }

  #data(type: string, words: readonly { readonly text: string }[], entry: Entry): FileRecord | null {
    const code = TYPES.get(type) ?? Number(/^TYPE([0-9]{1,5})$/.exec(type)?.[1] ?? NaN)
    if (words[0]?.text === '\\#') return this.#opaque(code, words.slice(1), entry)
    if (LAYOUTS.has(type)) {
      const texts = words.map(({ text }) => text)
      const data = octetsOf(type, texts, this.#origin)
      if (data !== null) return { type: 'OTHER', code, data }
      return this.#problems.report(
        entry,
        `this is no record of type ${type}`,
        `its data is ${LAYOUTS.get(type)!.join(' ')}`,
      )
    }
    const fields = FIELDS.get(type)
    if (fields === undefined) return this.#unknown(type, code, entry)
    const read = words.map(({ text }, i) => readField(fields[Math.min(i, fields.length - 1)]!, text, this.#origin))
    const count = type === 'TXT' ? words.length > 0 : words.length === fields.length
    if (count && !read.includes(null)) return record(type, read as string[])
    return this.#problems.report(entry, `this is no record of type ${type}`, `its data is ${fields.join(' ')}`)
  }

  /** RFC 3597: `\# LENGTH HEX...` */
  #opaque(code: number, words: readonly { readonly text: string }[], entry: Entry): FileRecord | null {
    const [length, ...digits] = words.map(({ text }) => text)
    const data = digits.join('').toLowerCase()
    const right = /^(?:[0-9a-f]{2})*$/.test(data) && data.length === 2 * Number(length) && data.length <= 131_070
    if (right && code > 0 && code <= 65_535) return { type: 'OTHER', code, data }
    return this.#problems.report(entry, 'this is no opaque record', 'write TYPE65 \\# LENGTH HEX')
  }

  #unknown(type: string, code: number, entry: Entry): null {
    if (code > 0) {
      const remedy = `write it as TYPE${code} \\# LENGTH HEX (RFC 3597)`
      return this.#problems.report(entry, `records of type ${type} are not read`, remedy)
    }
    const meant = nearest(
      type.toLowerCase(),
      [...TYPES.keys()].map((it) => it.toLowerCase()),
    )
    const remedy = meant === null ? 'write [OWNER] [TTL] [IN] TYPE DATA' : `did you mean ${meant.toUpperCase()}?`
    return this.#problems.report(entry, `${quote(type)} is no type of record`, remedy)
  }

  #keep(owner: string, type: string, found: FileRecord, entry: Entry): void {
    const records = this.#names.get(owner) ?? []
    const others = records.filter((it) => it.type === 'CNAME')
    if (records.length > 0 && (type === 'CNAME' || others.length > 0)) {
      this.#problems.report(entry, `${owner} has a CNAME record and another`, 'remove one of them (RFC 1034 3.6.2)')
    } else if (type === 'SOA' && owner !== this.#zone) {
      this.#problems.report(entry, `the SOA record is of ${owner}, not of ${this.#zone}`, 'give it to the zone: @')
    } else if (type === 'SOA' && records.some((it) => it.type === 'SOA')) {
      this.#problems.report(entry, 'there are two SOA records', 'remove one of them')
    } else this.#names.set(owner, [...records, found])
  }

  #whole(): void {
    const apex = this.#names.get(this.#zone) ?? []
    const at = { file: this.#source.path, line: 1, column: 1 }
    if (!apex.some(({ type }) => type === 'SOA'))
      this.#problems.report(at, `${this.#zone} has no SOA record`, 'write @ IN SOA PRIMARY MAILBOX 1 7200 1800 86400 5')
  }
}

/** Of a record where neither it nor $TTL says one, as in CoreDNS. */
const TTL = 3600
