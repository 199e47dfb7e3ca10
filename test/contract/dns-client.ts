/** Asks a DNS server over UDP: enough of RFC 1035 to see an answer. */
import { createSocket } from 'node:dgram'

export interface DnsAnswer {
  readonly rcode: number
  /** Of the answer section, in the order of the packet; only A records. */
  readonly addresses: readonly string[]
}

/** Asks again every 300 ms, as a resolver does, until an answer comes; rejects after `limitMs`. */
export async function ask(port: number, name: string, limitMs = 20_000): Promise<DnsAnswer> {
  const socket = createSocket('udp4')
  const id = Math.floor(Math.random() * 65_536)
  const answered = Promise.withResolvers<DnsAnswer>()
  socket.on('message', (packet) => {
    if (packet.length >= 12 && packet.readUInt16BE(0) === id) answered.resolve(read(packet))
  })
  socket.on('error', () => {}) // nobody listens yet
  const send = (): void => socket.send(question(id, name), port, '127.0.0.1')
  const again = setInterval(send, 300)
  const limit = setTimeout(() => answered.reject(new Error(`no answer for ${name} within ${limitMs} ms`)), limitMs)
  try {
    send()
    return await answered.promise
  } finally {
    clearInterval(again)
    clearTimeout(limit)
    socket.close()
  }
}

function question(id: number, name: string): Buffer {
  const labels = name.split('.').filter((label) => label !== '')
  const parts = labels.flatMap((label) => [Buffer.from([label.length]), Buffer.from(label)])
  const head = Buffer.from([id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0])
  return Buffer.concat([head, ...parts, Buffer.from([0, 0, 1, 0, 1])])
}

function read(packet: Buffer): DnsAnswer {
  let at = skipName(packet, 12) + 4
  const addresses: string[] = []
  for (let left = packet.readUInt16BE(6); left > 0; left--) {
    at = skipName(packet, at)
    const length = packet.readUInt16BE(at + 8)
    const data = packet.subarray(at + 10, at + 10 + length)
    if (packet.readUInt16BE(at) === 1) addresses.push(data.join('.'))
    at += 10 + length
  }
  return { rcode: packet[3]! & 15, addresses }
}

function skipName(packet: Buffer, at: number): number {
  while (packet[at] !== 0) {
    if (packet[at]! >= 0xc0) return at + 2
    at += 1 + packet[at]!
  }
  return at + 1
}
