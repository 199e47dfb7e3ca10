import { readField } from './record.ts'

/** A field of a record's data as the master file writes it. `hex` and `base64` take all the words that are left. */
type Part = 'u8' | 'u16' | 'name' | 'text' | 'raw' | 'hex' | 'base64'

/** Types whose data is turned into octets here: what its RFC says comes one behind the other. */
export const LAYOUTS: ReadonlyMap<string, readonly Part[]> = new Map<string, readonly Part[]>([
  ['HINFO', ['text', 'text']], // RFC 1035
  ['RP', ['name', 'name']], // RFC 1183
  ['AFSDB', ['u16', 'name']],
  ['NAPTR', ['u16', 'u16', 'text', 'text', 'text', 'name']], // RFC 3403
  ['KX', ['u16', 'name']], // RFC 2230
  ['DNAME', ['name']], // RFC 6672
  ['DS', ['u16', 'u8', 'u8', 'hex']], // RFC 4034
  ['CDS', ['u16', 'u8', 'u8', 'hex']],
  ['DNSKEY', ['u16', 'u8', 'u8', 'base64']],
  ['CDNSKEY', ['u16', 'u8', 'u8', 'base64']],
  ['SSHFP', ['u8', 'u8', 'hex']], // RFC 4255
  ['TLSA', ['u8', 'u8', 'u8', 'hex']], // RFC 6698
  ['SMIMEA', ['u8', 'u8', 'u8', 'hex']],
  ['OPENPGPKEY', ['base64']], // RFC 7929
  ['URI', ['u16', 'u16', 'raw']], // RFC 7553
])

/** The data of a record of LAYOUTS in hexadecimal; null: the words are none. */
export function octetsOf(type: string, words: readonly string[], origin: string): string | null {
  const layout = LAYOUTS.get(type) ?? []
  const parts: Buffer[] = []
  for (const [i, part] of layout.entries()) {
    const rest = part === 'hex' || part === 'base64'
    const octets = octetsOfPart(part, rest ? words.slice(i).join('') : words[i], origin)
    if (octets === null) return null
    parts.push(octets)
    if (rest) return Buffer.concat(parts).toString('hex')
  }
  return words.length === layout.length ? Buffer.concat(parts).toString('hex') : null
}

function octetsOfPart(part: Part, text: string | undefined, origin: string): Buffer | null {
  if (text === undefined) return null
  switch (part) {
    case 'u8':
    case 'u16': {
      const number = readField(part, text, origin)
      if (number === null) return null
      return part === 'u8' ? Buffer.from([Number(number)]) : Buffer.from([Number(number) >> 8, Number(number) & 255])
    }
    case 'name': {
      const name = readField('name', text, origin)
      return name === null ? null : wireName(name)
    }
    case 'text': {
      const octets = Buffer.from(text)
      return octets.length > 255 ? null : Buffer.concat([Buffer.from([octets.length]), octets])
    }
    case 'raw':
      return text === '' ? null : Buffer.from(text)
    case 'hex':
      return /^(?:[0-9A-Fa-f]{2})+$/.test(text) ? Buffer.from(text, 'hex') : null
    case 'base64':
      return /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/.test(text) && text !== ''
        ? Buffer.from(text, 'base64')
        : null
    default:
      return part satisfies never
  }
}

/** Of a name in its one form: octets that are no text are `\DDD` there. */
function wireName(name: string): Buffer {
  const labels = name === '.' ? [] : name.slice(0, -1).split('.')
  const parts = labels.map((label) => {
    const octets = label
      .split(/\\([0-9]{3})/)
      .map((text, i) => (i % 2 === 1 ? Buffer.from([Number(text)]) : Buffer.from(text)))
    const all = Buffer.concat(octets)
    return Buffer.concat([Buffer.from([all.length]), all])
  })
  return Buffer.concat([...parts, Buffer.from([0])])
}
