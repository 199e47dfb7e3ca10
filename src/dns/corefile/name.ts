/**
 * Domain names as a Corefile and its files write them, to one form: absolute, lower case, octets that mean something else in
 * presentation form, or are not printable ASCII, as `\DDD` (RFC 4343 2.1).
 */

/** Without its final dot a name is below `origin`; `@` is the origin. Null: no name (labels of 1 to 63 octets, 255 in all). */
export function parseName(text: string, origin = '.'): string | null {
  if (text === '.') return '.'
  if (text === '@') return origin
  if (text === '' || text.length > TEXT_MAX) return null
  const found: string[] = []
  let label = ''
  let octets = 0
  let total = 1
  let absolute = false
  const units = octetsOf(text)
  if (units === null) return null
  for (const [i, octet] of units.entries()) {
    if (octet !== DOT) {
      octets++
      label += write(octet)
      continue
    }
    if (octets === 0 || octets > LABEL_MAX) return null
    total += octets + 1
    found.push(label)
    ;[label, octets, absolute] = ['', 0, i === units.length - 1]
  }
  if (octets > LABEL_MAX) return null
  if (!absolute) {
    total += octets + 1
    found.push(label)
  }
  const name = absolute ? `${found.join('.')}.` : below(found.join('.'), origin)
  return total + (absolute || origin === '.' ? 0 : wireLength(origin) - 1) > NAME_MAX ? null : name
}

/** Lower case, with a dot at the end: what CoreDNS makes of the texts that `rewrite` compares names with. */
export const dotted = (text: string): string => {
  const lower = text.toLowerCase()
  return /(?:^|[^\\])(?:\\\\)*\.$/.test(lower) ? lower : `${lower}.`
}

/** The zones that hold the PTR records of a network, at most 128: one where it ends with an octet (IPv6: half an octet). */
export function reverseZones(octets: readonly number[], bits: number): readonly string[] {
  const digits = octets.length === 4 ? octets : nibbles(octets)
  const [size, suffix] = octets.length === 4 ? [8, 'in-addr.arpa.'] : [4, 'ip6.arpa.']
  const whole = Math.ceil(bits / size)
  const count = 2 ** (whole * size - bits)
  const zone = (last: number): string => {
    const kept = digits.slice(0, whole).map((digit, i) => (i === whole - 1 ? last : Number(digit)))
    const shown = kept.map((digit) => (size === 8 ? String(digit) : digit.toString(16)))
    return [...shown.reverse(), suffix].join('.')
  }
  if (whole === 0) return [suffix]
  const first = Math.floor(Number(digits[whole - 1]) / count) * count
  return Array.from({ length: count }, (_, i) => zone(first + i))
}

const nibbles = (octets: readonly number[]): readonly number[] => octets.flatMap((octet) => [octet >> 4, octet & 15])

const below = (relative: string, origin: string): string => (origin === '.' ? `${relative}.` : `${relative}.${origin}`)

/** -1 stands for a dot between labels, so that an escaped one is an octet like any other. */
function octetsOf(text: string): number[] | null {
  const octets: number[] = []
  for (let i = 0; i < text.length; i++) {
    const char = text[i]!
    if (char === '.') octets.push(DOT)
    else if (char !== '\\') {
      const point = text.codePointAt(i)!
      if (point > 0xffff) i++
      if (point < 0x80) octets.push(lower(point))
      else octets.push(...Buffer.from(String.fromCodePoint(point)))
    } else {
      const decimal = /^[0-9]{3}/.exec(text.slice(i + 1, i + 4))?.[0]
      const next = text.charCodeAt(i + 1)
      if (decimal === undefined ? !(next < 0x80) || isDigit(next) : Number(decimal) > 255) return null
      octets.push(lower(decimal === undefined ? next : Number(decimal)))
      i += decimal === undefined ? 1 : 3
    }
  }
  return octets
}

const write = (octet: number): string =>
  octet > 0x20 && octet < 0x7f && !SPECIAL.has(octet)
    ? String.fromCharCode(octet)
    : `\\${String(octet).padStart(3, '0')}`

/** Of a canonical name, as on the wire. */
const wireLength = (name: string): number => (name === '.' ? 1 : name.replaceAll(/\\[0-9]{3}/g, 'x').length + 1)

const lower = (octet: number): number => (octet >= 65 && octet <= 90 ? octet + 32 : octet)
const isDigit = (code: number): boolean => code >= 48 && code <= 57

const SPECIAL = new Set([...'."\\();@$'].map((char) => char.charCodeAt(0)))
const DOT = -1
const LABEL_MAX = 63
const NAME_MAX = 255
const TEXT_MAX = 1024
