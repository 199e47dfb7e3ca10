import { parseAddress, parseCidr, familyOf } from '../cluster/address.ts'
import { show, type Rejection } from '../cluster/rejection.ts'

/** What becomes of one annotation or key. */
export interface Verdict {
  readonly name: string
  readonly verdict: 'honoured' | 'changed' | 'refused'
  /** '' where there is nothing to say. */
  readonly reason: string
}

/** Where the words stand: annotations of an Ingress, or the data of a ConfigMap. */
export interface Place {
  /** `Ingress shop/web`. */
  readonly object: string
  readonly field: (name: string) => string
}

/**
 * Reads words strictly. What is wrong is told, counts as absent and, where leaving it out would open what was meant to be
 * closed, closes: nothing that the object says is then served.
 */
export class Reader {
  readonly rejections: Rejection[] = []
  closed = false
  readonly #values: ReadonlyMap<string, string>
  readonly #place: Place
  readonly #verdicts = new Map<string, Verdict>()

  constructor(values: ReadonlyMap<string, string>, place: Place) {
    this.#values = values
    this.#place = place
  }

  get object(): string {
    return this.#place.object
  }

  /** As it stands; null: absent or empty. The names after the first mean the same. */
  text(name: string, ...others: readonly string[]): string | null {
    for (const each of [name, ...others]) {
      const value = this.#values.get(each)
      if (value === undefined) continue
      if (!this.#verdicts.has(each)) this.#verdicts.set(each, { name: each, verdict: 'honoured', reason: '' })
      if (value.trim() !== '') return value.trim()
    }
    return null
  }

  /** With the white space around it, for what has lines. */
  lines(name: string): string | null {
    return this.text(name) === null ? null : this.#values.get(name)!
  }

  flag(name: string, otherwise: boolean): boolean {
    const value = this.text(name)
    if (value === null) return otherwise
    const flag = FLAGS.get(value)
    if (flag === undefined) this.refuse(name, `is ${show(value)}; taken as ${otherwise}`, 'use "true" or "false"')
    return flag ?? otherwise
  }

  integer<T>(name: string, [min, max]: readonly [number, number], otherwise: T): number | T {
    const value = this.text(name)
    if (value === null) return otherwise
    const number = /^-?\d{1,15}$/.test(value) ? Number(value) : NaN
    if (number >= min && number <= max) return number
    this.refuse(
      name,
      `is ${show(value)}, not a whole number from ${min} to ${max}; not used`,
      `use a number from ${min} to ${max}`,
    )
    return otherwise
  }

  oneOf<T extends string, U>(name: string, words: readonly T[], otherwise: U): T | U {
    const value = this.text(name)
    if (value === null) return otherwise
    if ((words as readonly string[]).includes(value)) return value as T
    this.refuse(name, `is ${show(value)}; not used`, `use one of ${words.join(', ')}`)
    return otherwise
  }

  /** Octets, as nginx writes sizes: 1000, 8k, 1m, 1g. */
  size<T>(name: string, otherwise: T): number | T {
    const value = this.text(name)
    if (value === null) return otherwise
    const match = /^(\d{1,12})([bkmg]?)$/i.exec(value)
    const bytes = match === null ? NaN : Number(match[1]) * UNITS[match[2]!.toLowerCase()]!
    if (bytes <= Number.MAX_SAFE_INTEGER) return bytes
    this.refuse(name, `is ${show(value)}, not a size; not used`, 'write it like 1024, 8k or 1m')
    return otherwise
  }

  /** Milliseconds, of seconds. */
  seconds(name: string, otherwiseMs: number): number {
    const value = this.text(name)
    if (value === null) return otherwiseMs
    const ms = durationMs(value)
    if (ms !== null && ms <= MS_MAX) return ms
    this.refuse(name, `is ${show(value)}, not a time in seconds; not used`, 'write it like 60')
    return otherwiseMs
  }

  /** Separated by commas (`between`: or what else), trimmed, without empty ones; null: absent. */
  list(name: string, between: RegExp = /,/): readonly string[] | null {
    const value = this.text(name)
    if (value === null) return null
    const items = value
      .split(between)
      .map((item) => item.trim())
      .filter((item) => item !== '')
    if (items.length <= ITEMS_MAX) return items
    this.refuse(name, `has ${items.length} items; only the first ${ITEMS_MAX} are used`, `use at most ${ITEMS_MAX}`)
    return items.slice(0, ITEMS_MAX)
  }

  /** Canonical networks; null: absent. One that is wrong closes where `closing`. */
  networks(name: string, closing: boolean, ...others: readonly string[]): readonly string[] | null {
    const present = [name, ...others].find((each) => this.text(each) !== null)
    if (present === undefined) return null
    const found = new Set<string>()
    for (const item of this.list(present) ?? []) {
      const network = networkOf(item)
      if (network !== null) found.add(network)
      else
        this.refuse(
          present,
          `has ${show(item)}, not an address or network`,
          'write it like 10.0.0.0/8 or 192.0.2.1',
          closing,
        )
    }
    return [...found]
  }

  /** Names of header fields; null: absent. */
  headers(name: string): readonly string[] | null {
    const all = this.list(name)
    return all === null
      ? null
      : all.filter((header) => {
          if (HEADER.test(header)) return true
          this.refuse(
            name,
            `has ${show(header)}, not the name of a header field; left out`,
            "use letters, digits, '-' and '_'",
          )
          return false
        })
  }

  /** `closing`: nothing of the object is served while it is so. */
  refuse(name: string, problem: string, remedy: string, closing = false): void {
    const said = closing ? `${problem}; all its routes answer 503 until it is mended` : problem
    this.rejections.push({ object: this.#place.object, field: this.#place.field(name), problem: said, remedy })
    if (closing) this.closed = true
    this.#verdicts.set(name, { name, verdict: 'refused', reason: `${said}: ${remedy}` })
  }

  /** It is done, but not as ingress-nginx does it. No fault of the object's. */
  changed(name: string, reason: string): void {
    if (this.#values.has(name)) this.#verdicts.set(name, { name, verdict: 'changed', reason })
  }

  /** What nobody asked for is refused, too. */
  finish(): readonly Verdict[] {
    for (const name of this.#values.keys()) {
      if (!this.#verdicts.has(name)) this.refuse(name, 'is not known; not done', 'correct the name, or remove it')
    }
    return [...this.#verdicts.values()].sort((a, b) => (a.name < b.name ? -1 : 1))
  }
}

/** `10.0.0.0/8`, or an address alone; null: neither. */
export function networkOf(text: string): string | null {
  const address = parseAddress(text)
  if (address !== null) return `${address}/${familyOf(address) === 4 ? 32 : 128}`
  return parseCidr(text)?.cidr ?? null
}

/** nginx's times: `60`, `60s`, `1m`, `500ms`, `1h 30m`. */
export function durationMs(text: string): number | null {
  const parts = text.trim().split(/\s+/)
  let ms = 0
  for (const part of parts) {
    const match = /^(\d{1,10})(ms|s|m|h|d|w|M|y)?$/.exec(part)
    if (match === null) return null
    ms += Number(match[1]) * TIMES[match[2] ?? 's']!
  }
  return ms
}

/** RFC 9110 5.1, without what no field name in use has. */
export const HEADER = /^[A-Za-z0-9][A-Za-z0-9_-]{0,199}$/

/** As Go's strconv.ParseBool, which ingress-nginx reads them with. */
const FLAGS = new Map([
  ...['1', 't', 'T', 'TRUE', 'true', 'True'].map((word): [string, boolean] => [word, true]),
  ...['0', 'f', 'F', 'FALSE', 'false', 'False'].map((word): [string, boolean] => [word, false]),
])
const UNITS: Readonly<Record<string, number>> = { '': 1, b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 }
const TIMES: Readonly<Record<string, number>> = {
  ...{ ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 7 * 86_400_000 },
  ...{ M: 30 * 86_400_000, y: 365 * 86_400_000 },
}
/** What 32 bits hold. */
const MS_MAX = 4_294_967_295
const ITEMS_MAX = 1_000
