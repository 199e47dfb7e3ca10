/** DNS messages (RFC 1035) as a client needs them: a question as octets, and an answer in words, as dig shows it. */

export interface Message {
  readonly id: number
  /** `NXDOMAIN`; `RCODE23` for those without a name. */
  readonly code: string
  /** Of `aa tc rd ra ad cd`, those that are set. */
  readonly flags: readonly string[]
  readonly answer: readonly MessageRecord[]
  readonly authority: readonly MessageRecord[]
  /** Without OPT. */
  readonly additional: readonly MessageRecord[]
}

/** Names are absolute, with `\DDD` for octets that have no other form. */
export interface MessageRecord {
  readonly name: string
  /** Seconds. */
  readonly ttl: number
  readonly type: string
  /** In presentation form; `\# 4 0a000001` where that is not known (RFC 3597). */
  readonly data: string
}

/** A type by its name or as TYPE65; null: there is none of that name. */
export function typeNumber(text: string): number | null {
  const upper = text.toUpperCase()
  const found = Object.entries(TYPES).find(([, name]) => name === upper)
  if (found) return Number(found[0])
  const number = Number(/^TYPE(\d{1,5})$/.exec(upper)?.[1] ?? NaN)
  return number >= 1 && number <= 65_535 ? number : null
}

/** With recursion desired, and EDNS. null: it is no name (RFC 1035 3.1: labels of 1 to 63 octets, 255 in all). */
export function questionOf(id: number, name: string, type: number): Buffer | null {
  const labels = name === '.' ? [] : name.replace(/\.$/, '').split('.')
  const parts = labels.map((label) => Buffer.from(label))
  if (parts.some(({ length }) => length < 1 || length > LABEL_MAX)) return null
  const wire = Buffer.concat([...parts.flatMap((part) => [Buffer.from([part.length]), part]), Buffer.from([0])])
  if (wire.length > NAME_MAX) return null
  const head = Buffer.from([id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1])
  const opt = Buffer.from([0, 0, OPT, EDNS_BYTES >> 8, EDNS_BYTES & 255, 0, 0, 0, 0, 0, 0])
  return Buffer.concat([head, wire, Buffer.from([type >> 8, type & 255, 0, 1]), opt])
}

/** Throws a RangeError when it is cut short, or no message. */
export function readAnswer(packet: Buffer): Message {
  const word = (at: number): number => packet.readUInt16BE(at)
  let at = HEADER_BYTES
  let high = 0
  for (let left = word(4); left > 0; left--) at = nameAt(packet, at)[1] + 4
  const section = (count: number): MessageRecord[] => {
    const records: MessageRecord[] = []
    for (let left = count; left > 0; left--) {
      const [name, fixed] = nameAt(packet, at)
      const [type, ttl, length] = [word(fixed), packet.readUInt32BE(fixed + 4), word(fixed + 8)]
      at = fixed + 10 + length
      if (at > packet.length) throw new RangeError('the message is cut short')
      if (type === OPT) high = (ttl >>> 24) << 4
      else records.push({ name, ttl, type: typeName(type), data: dataOf(packet, type, at - length, at) })
    }
    return records
  }
  const [answer, authority, additional] = [section(word(6)), section(word(8)), section(word(10))]
  const code = (word(2) & 15) | high
  const flags = FLAGS.flatMap(([bit, name]) => ((word(2) >> bit) & 1 ? [name] : []))
  return { id: word(0), code: CODES[code] ?? `RCODE${code}`, flags, answer, authority, additional }
}

/** As people write it: `NXDOMAIN`. */
export const codeName = (code: number): string => CODES[code] ?? `RCODE${code}`

const typeName = (type: number): string => TYPES[type] ?? `TYPE${type}`

function dataOf(packet: Buffer, type: number, start: number, end: number): string {
  const word = (at: number): number => packet.readUInt16BE(at)
  const name = (at: number): string => nameAt(packet, at)[0]
  const data = packet.subarray(start, end)
  switch (typeName(type)) {
    case 'A':
      if (data.length === 4) return data.join('.')
      break
    case 'AAAA':
      if (data.length === 16) return ipv6(data)
      break
    case 'NS':
    case 'CNAME':
    case 'PTR':
      return name(start)
    case 'MX':
      return `${word(start)} ${name(start + 2)}`
    case 'SRV':
      return `${word(start)} ${word(start + 2)} ${word(start + 4)} ${name(start + 6)}`
    case 'TXT':
      return texts(data)
    case 'SOA': {
      const [primary, at] = nameAt(packet, start)
      const [mailbox, numbers] = nameAt(packet, at)
      return [primary, mailbox, ...[0, 4, 8, 12, 16].map((n) => packet.readUInt32BE(numbers + n))].join(' ')
    }
  }
  return `\\# ${data.length}${data.length > 0 ? ` ${data.toString('hex')}` : ''}`
}

/** The name at an offset, and what comes behind it. Pointers lead backwards only, so that it ends. */
function nameAt(packet: Buffer, start: number): [name: string, end: number] {
  let text = ''
  let end = -1
  let limit = start
  for (let at = start; ;) {
    const length = packet.readUInt8(at)
    if (length >= 0xc0) {
      if (end < 0) end = at + 2
      at = packet.readUInt16BE(at) & 0x3fff
      if (at >= limit) throw new RangeError('a pointer of a name leads forward')
      limit = at
      continue
    }
    if (length > LABEL_MAX || text.length > 4 * NAME_MAX) throw new RangeError('what is there is no name')
    if (length === 0) return [text === '' ? '.' : text, end < 0 ? at + 1 : end]
    if (at + 1 + length > packet.length) throw new RangeError('the message is cut short')
    text += `${escaped(packet.subarray(at + 1, at + 1 + length), LABEL_SPECIAL)}.`
    at += 1 + length
  }
}

function texts(data: Buffer): string {
  const all: string[] = []
  for (let at = 0; at < data.length; at += 1 + data[at]!)
    all.push(`"${escaped(data.subarray(at + 1, at + 1 + data[at]!), TEXT_SPECIAL)}"`)
  return all.join(' ')
}

function escaped(octets: Buffer, special: string): string {
  let text = ''
  for (const octet of octets) {
    const char = String.fromCharCode(octet)
    if (octet < 0x20 || octet > 0x7e || (char === ' ' && special === LABEL_SPECIAL))
      text += `\\${String(octet).padStart(3, '0')}`
    else text += special.includes(char) ? `\\${char}` : char
  }
  return text
}

/** RFC 5952, by the rules of URLs. */
function ipv6(data: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, i) => data.readUInt16BE(2 * i).toString(16)).join(':')
  return new URL(`http://[${groups}]`).hostname.slice(1, -1)
}

const HEADER_BYTES = 12
const LABEL_MAX = 63
const NAME_MAX = 255
const EDNS_BYTES = 1232
const OPT = 41
const LABEL_SPECIAL = '.\\"()@$;'
const TEXT_SPECIAL = '\\"'
const FLAGS = [
  [10, 'aa'],
  [9, 'tc'],
  [8, 'rd'],
  [7, 'ra'],
  [5, 'ad'],
  [4, 'cd'],
] as const
/** IANA, DNS RCODEs. */
const CODES: Readonly<Record<number, string>> = {
  ...{ 0: 'NOERROR', 1: 'FORMERR', 2: 'SERVFAIL', 3: 'NXDOMAIN', 4: 'NOTIMP', 5: 'REFUSED' },
  ...{ 6: 'YXDOMAIN', 7: 'YXRRSET', 8: 'NXRRSET', 9: 'NOTAUTH', 10: 'NOTZONE', 16: 'BADVERS' },
}
/** IANA, resource record types. */
const TYPES: Readonly<Record<number, string>> = {
  ...{ 1: 'A', 2: 'NS', 5: 'CNAME', 6: 'SOA', 12: 'PTR', 13: 'HINFO', 15: 'MX', 16: 'TXT', 28: 'AAAA', 33: 'SRV' },
  ...{ 35: 'NAPTR', 43: 'DS', 46: 'RRSIG', 47: 'NSEC', 48: 'DNSKEY', 50: 'NSEC3', 52: 'TLSA', 64: 'SVCB' },
  ...{ 65: 'HTTPS', 255: 'ANY', 257: 'CAA' },
}
