/** Changes of a zone, signed: RFC 2136 with TSIG (RFC 8945), over TCP. */
import { createHmac, randomInt, timingSafeEqual } from 'node:crypto'
import { connect } from 'node:net'
import type { DnsRecord } from './answers.ts'
import type { Solver } from './solver.ts'
import type { Dns } from './wanted.ts'

type UpdateServer = Extract<Dns, { kind: 'update' }>

/** `key`: of the TSIG, decoded. Resolves once the primary server has taken the change: it answers for the zone from then on. */
export function updateSolver(server: UpdateServer, key: Buffer): Solver {
  const change = async (records: readonly DnsRecord[], isAdded: boolean, signal: AbortSignal): Promise<void> => {
    for (const { name } of records)
      if (!isBelow(name, server.zone))
        throw new Error(`${name} is not in the zone ${server.zone} that issuer's DNS settings name`)
    const { message, mac } = signed(updateOf(server.zone, records, isAdded), server, key, Math.floor(Date.now() / 1000))
    const answer = await exchange(server, message, signal)
    check(answer, message.readUInt16BE(0), mac, server, key)
  }
  return {
    present: (records, signal) => change(records, true, signal),
    remove: (records, signal) => change(records, false, signal),
  }
}

/** RFC 2136 2: header, zone section, no prerequisites, one change a record. */
function updateOf(zone: string, records: readonly DnsRecord[], isAdded: boolean): Buffer {
  const header = Buffer.alloc(12)
  header.writeUInt16BE(randomInt(0x1_0000), 0)
  header.writeUInt16BE(UPDATE << 11, 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(records.length, 8)
  const question = Buffer.concat([nameOf(zone), u16(SOA), u16(IN)])
  const changes = records.map(({ name, value }) => {
    const data = Buffer.concat([Buffer.from([value.length]), Buffer.from(value, 'ascii')])
    // Class NONE with TTL 0 deletes this very record (2.5.4).
    return Buffer.concat([
      nameOf(name),
      u16(TXT),
      u16(isAdded ? IN : NONE),
      u32(isAdded ? TTL_S : 0),
      u16(data.length),
      data,
    ])
  })
  return Buffer.concat([header, question, ...changes])
}

/** RFC 8945 4.3, 5.1: a TSIG record at the end, whose MAC is over the message and the variables of the record. */
function signed(message: Buffer, server: UpdateServer, key: Buffer, at: number): { message: Buffer; mac: Buffer } {
  const mac = macOf(server, key, [message, variables(server, at)])
  const data = Buffer.concat([
    ...[nameOf(server.algorithm), u48(at), u16(FUDGE_S), u16(mac.length), mac],
    ...[message.subarray(0, 2), u16(0), u16(0)],
  ])
  const record = Buffer.concat([nameOf(server.keyName), u16(TSIG), u16(ANY), u32(0), u16(data.length), data])
  const whole = Buffer.concat([message, record])
  whole.writeUInt16BE(message.readUInt16BE(10) + 1, 10)
  return { message: whole, mac }
}

function variables(
  server: UpdateServer,
  at: number,
  { fudge, error, other }: Pick<Tsig, 'fudge' | 'error' | 'other'> = {
    fudge: FUDGE_S,
    error: 0,
    other: Buffer.alloc(0),
  },
): Buffer {
  return Buffer.concat([
    ...[nameOf(server.keyName), u16(ANY), u32(0), nameOf(server.algorithm)],
    ...[u48(at), u16(fudge), u16(error), u16(other.length), other],
  ])
}

const macOf = ({ algorithm }: UpdateServer, key: Buffer, parts: readonly Buffer[]): Buffer =>
  createHmac(algorithm.slice('hmac-'.length), key).update(Buffer.concat(parts)).digest()

/** Throws with what the server says, or when the answer is not its own. */
function check(answer: Buffer, id: number, requestMac: Buffer, server: UpdateServer, key: Buffer): void {
  if (answer.length < 12 || answer.readUInt16BE(0) !== id || (answer[2]! & 0xf8) !== (0x80 | (UPDATE << 3)))
    throw new Error(`${server.address} sent something that is no answer to an update`)
  const rcode = answer[3]! & 0x0f
  if (rcode !== 0) {
    const [name, remedy] = RCODES[rcode] ?? [`code ${rcode}`, 'see its log']
    throw new Error(`${server.address} refuses to change the zone ${server.zone} (${name}): ${remedy}`)
  }
  const tsig = tsigOf(answer)
  const expected =
    tsig &&
    macOf(server, key, [...[u16(requestMac.length), requestMac, tsig.unsigned], variables(server, tsig.at, tsig)])
  if (!tsig || tsig.mac.length !== expected!.length || !timingSafeEqual(tsig.mac, expected!))
    throw new Error(`the answer of ${server.address} is not signed with the key ${server.keyName}`)
}

interface Tsig {
  /** The message as it was before it was signed. */
  readonly unsigned: Buffer
  /** Seconds. */
  readonly at: number
  readonly fudge: number
  readonly mac: Buffer
  readonly error: number
  readonly other: Buffer
}

/** The last record of a message; null: it is none, or the message is spoilt. */
function tsigOf(message: Buffer): Tsig | null {
  try {
    const counts = [4, 6, 8, 10].map((at) => message.readUInt16BE(at))
    let at = 12
    for (let i = 0; i < counts[0]!; i++) at = afterName(message, at) + 4
    let start = 0
    for (let left = counts[1]! + counts[2]! + counts[3]!; left > 0; left--) {
      start = at
      const fixed = afterName(message, at)
      at = fixed + 10 + message.readUInt16BE(fixed + 8)
    }
    const fixed = afterName(message, start)
    if (start === 0 || message.readUInt16BE(fixed) !== TSIG || at !== message.length) return null
    const time = afterName(message, fixed + 10)
    const macAt = time + 10
    const macEnd = macAt + message.readUInt16BE(time + 8)
    const unsigned = Buffer.from(message.subarray(0, start))
    unsigned.writeUInt16BE(counts[3]! - 1, 10)
    message.copy(unsigned, 0, macEnd, macEnd + 2) // the original id
    return {
      ...{
        unsigned,
        at: message.readUIntBE(time, 6),
        fudge: message.readUInt16BE(time + 6),
        mac: message.subarray(macAt, macEnd),
      },
      ...{ error: message.readUInt16BE(macEnd + 2), other: message.subarray(macEnd + 6) },
    }
  } catch {
    return null
  }
}

function afterName(message: Buffer, at: number): number {
  for (;;) {
    const length = message.readUInt8(at)
    if (length >= 0xc0) return at + 2
    at += 1 + length
    if (length === 0) return at
  }
}

/** One message each way (RFC 1035 4.2.2). */
function exchange({ address, port }: UpdateServer, message: Buffer, signal: AbortSignal): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: address, port, timeout: TIMEOUT_MS, signal })
    let got = Buffer.alloc(0)
    const fail = (reason: string) => reject(new Error(`no answer of the name server ${address}:${port}: ${reason}`))
    socket.on('connect', () => socket.write(Buffer.concat([u16(message.length), message])))
    socket.on('data', (part: Buffer) => {
      got = Buffer.concat([got, part])
      if (got.length < 2 || got.length < 2 + got.readUInt16BE(0)) return
      resolve(got.subarray(2, 2 + got.readUInt16BE(0)))
      socket.destroy()
    })
    socket.on('timeout', () => socket.destroy(new Error('it is silent')))
    socket.on('error', (error) => fail(error.message))
    socket.on('close', () => fail('it closed the connection'))
  })
}

const isBelow = (name: string, zone: string): boolean => `.${bare(name)}`.endsWith(`.${bare(zone)}`)

/** Canonical: lower case, not compressed. */
function nameOf(name: string): Buffer {
  const labels = bare(name).split('.').filter(Boolean)
  const parts = labels.flatMap((label) => [Buffer.from([label.length]), Buffer.from(label, 'ascii')])
  return Buffer.concat([...parts, Buffer.from([0])])
}

const bare = (name: string): string => name.toLowerCase().replace(/\.$/, '')

function bytes(value: number, length: number): Buffer {
  const buffer = Buffer.alloc(length)
  buffer.writeUIntBE(value, 0, length)
  return buffer
}
const u16 = (value: number) => bytes(value, 2)
const u32 = (value: number) => bytes(value, 4)
const u48 = (value: number) => bytes(value, 6)

const UPDATE = 5
const [SOA, TXT, TSIG] = [6, 16, 250]
const [IN, NONE, ANY] = [1, 254, 255]
const TTL_S = 60
const FUDGE_S = 300
const TIMEOUT_MS = 10_000
const RCODES: Readonly<{ [code in number]?: readonly [name: string, remedy: string] }> = {
  1: ['FORMERR', 'see its log'],
  2: ['SERVFAIL', 'see its log'],
  4: ['NOTIMP', 'let it take dynamic updates'],
  5: ['REFUSED', 'let the key update TXT records of this zone'],
  9: [
    'NOTAUTH',
    'see that it is the primary of this zone, that name, algorithm and value of the key are the same there, and both clocks right',
  ],
  10: ['NOTZONE', 'name the zone that holds the record'],
}
