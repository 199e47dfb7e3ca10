/** DNS messages (RFC 1035, RFC 6891) as octets, and in words that can be compared. */

export interface Question {
  /** Labels, which may hold any octets: latin1. `['web', 'shop']` */
  readonly labels: readonly string[]
  readonly type: number
  /** 1, IN, unless given. */
  readonly class?: number
  /** UDP size of an OPT record; absent: none is sent. */
  readonly edns?: number
}

/** Records as `name TTL type data`, names in lower case; sections as sorted sets. */
export interface Message {
  readonly id: number
  readonly rcode: number
  /** AA and TC. */
  readonly authoritative: boolean
  readonly truncated: boolean
  /** As it came, case and all. */
  readonly question: string
  readonly answer: readonly string[]
  readonly authority: readonly string[]
  readonly additional: readonly string[]
  /** An OPT record came. */
  readonly edns: boolean
}

export const TYPES = {
  ...{ A: 1, NS: 2, CNAME: 5, SOA: 6, PTR: 12, HINFO: 13, MX: 15, TXT: 16, AAAA: 28, SRV: 33, OPT: 41, HTTPS: 65 },
  ...{ IXFR: 251, AXFR: 252, ANY: 255 },
} as const

export const labelsOf = (name: string): string[] => name.split('.').filter((label) => label !== '')

/** With RD. */
export function encode(id: number, { labels, type, class: of = 1, edns }: Question): Buffer {
  const name = labels.flatMap((label) => [Buffer.from([label.length]), Buffer.from(label, 'latin1')])
  const head = Buffer.from([id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, edns === undefined ? 0 : 1])
  const tail = Buffer.from([0, type >> 8, type & 255, of >> 8, of & 255])
  const opt = edns === undefined ? [] : [Buffer.from([0, 0, TYPES.OPT, edns >> 8, edns & 255, 0, 0, 0, 0, 0, 0])]
  return Buffer.concat([head, ...name, tail, ...opt])
}

/** Throws a RangeError when it is none. */
export function decode(packet: Buffer): Message {
  const cursor = { packet, at: 12 }
  const question = packet.readUInt16BE(4) === 0 ? '' : readName(cursor)
  if (packet.readUInt16BE(4) !== 0) cursor.at += 4
  let extended = 0
  let edns = false
  const section = (count: number): string[] => {
    const found = new Set<string>()
    for (let left = packet.readUInt16BE(count); left > 0; left--) {
      const record = readRecord(cursor)
      if (record.type !== TYPES.OPT) found.add(record.text)
      else {
        extended = record.ttl >>> 24
        edns = true
      }
    }
    return [...found].sort()
  }
  const [answer, authority, additional] = [section(6), section(8), section(10)]
  if (cursor.at !== packet.length) throw new RangeError('octets behind the last record')
  return {
    id: packet.readUInt16BE(0),
    rcode: (packet[3]! & 15) | (extended << 4),
    ...{ authoritative: (packet[2]! & 4) !== 0, truncated: (packet[2]! & 2) !== 0 },
    ...{ question, answer, authority, additional, edns },
  }
}

interface Cursor {
  readonly packet: Buffer
  at: number
}

function readRecord(cursor: Cursor): { type: number; ttl: number; text: string } {
  const { packet } = cursor
  const owner = readName(cursor).toLowerCase()
  const start = cursor.at
  const [type, ttl, length] = [
    packet.readUInt16BE(start),
    packet.readUInt32BE(start + 4),
    packet.readUInt16BE(start + 8),
  ]
  const data = { packet, at: start + 10 }
  cursor.at = data.at + length
  if (cursor.at > packet.length) throw new RangeError('a record ends behind the packet')
  const name = (): string => readName(data).toLowerCase()
  const number = (): number => packet.readUInt16BE((data.at += 2) - 2)
  const raw = packet.subarray(data.at, cursor.at)
  const show = (): string => {
    switch (type) {
      case TYPES.A:
        return `A ${raw.join('.')}`
      case TYPES.AAAA:
        return `AAAA ${raw.toString('hex')}`
      case TYPES.NS:
        return `NS ${name()}`
      case TYPES.CNAME:
        return `CNAME ${name()}`
      case TYPES.PTR:
        return `PTR ${name()}`
      case TYPES.SRV:
        return `SRV ${number()} ${number()} ${number()} ${name()}`
      case TYPES.SOA: {
        // The serial is when something changed, as each server saw it.
        const names = `${name()} ${name()}`
        const times = [4, 8, 12, 16].map((at) => packet.readUInt32BE(data.at + at))
        return `SOA ${names} SERIAL ${times.join(' ')}`
      }
      default:
        return `TYPE${type} ${raw.toString('latin1')}`
    }
  }
  return { type, ttl, text: `${owner} ${ttl} ${show()}` }
}

function readName(cursor: Cursor): string {
  const { packet } = cursor
  let text = ''
  let end: number | null = null
  for (let length = packet.readUInt8(cursor.at); length !== 0; length = packet.readUInt8(cursor.at)) {
    if (length >= 0xc0) {
      const to = packet.readUInt16BE(cursor.at) & 0x3fff
      if (to >= cursor.at) throw new RangeError('a pointer leads ahead')
      end ??= cursor.at + 2
      cursor.at = to
      continue
    }
    text += `${packet.toString('latin1', cursor.at + 1, cursor.at + 1 + length)}.`
    cursor.at += 1 + length
  }
  cursor.at = end ?? cursor.at + 1
  return text === '' ? '.' : text
}
