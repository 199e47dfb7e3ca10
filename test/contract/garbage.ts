/** Datagrams that are no queries, or only look like some, and good queries behind them. */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { decode, encode, labelsOf, TYPES } from './dns-message.ts'

/** The same datagrams each time. */
export class Garbage {
  readonly #socket: Socket = createSocket('udp4')
  readonly #query: Buffer
  #answered: ((answer: readonly string[]) => void) | null = null
  #random = 0x9e3779b9

  /** `name`: what good queries are for. */
  static async make(port: number, name: string): Promise<Garbage> {
    const garbage = new Garbage(name)
    garbage.#socket.connect(port, '127.0.0.1')
    await once(garbage.#socket, 'connect')
    return garbage
  }

  private constructor(name: string) {
    this.#query = encode(GOOD_ID, { labels: labelsOf(name), type: TYPES.A })
    this.#socket.on('error', () => {})
    this.#socket.on('message', (packet) => {
      if (packet.readUInt16BE(0) === GOOD_ID) this.#answered?.(decode(packet).answer)
    })
  }

  /** So many, and a good query behind them, from the same socket: what answers that one has seen the others. Its answer. */
  send(count: number): Promise<readonly string[]> {
    for (let i = 0; i < count; i++) this.#socket.send(this.#make())
    this.#socket.send(this.#query)
    return new Promise((resolve, reject) => {
      const limit = setTimeout(() => reject(new Error('no answer to a good query')), LIMIT_MS)
      this.#answered = (answer) => (clearTimeout(limit), resolve(answer))
    })
  }

  close(): void {
    this.#socket.close()
  }

  /** Half of them noise, half of them the query with octets that are wrong; some are cut short. */
  #make(): Buffer {
    const packet = this.#below(2) === 0 ? this.#noise() : this.#bent()
    packet.fill(packet.readUInt8(0) & 0x7f, 0, 1) // never the id of a good one
    return this.#below(8) === 0 ? packet.subarray(0, this.#below(packet.length + 1)) : packet
  }

  #noise(): Buffer {
    return Buffer.from(Array.from({ length: 1 + this.#below(120) }, () => this.#below(256)))
  }

  #bent(): Buffer {
    const packet = Buffer.from(this.#query)
    for (let left = this.#below(5); left > 0; left--) packet[this.#below(packet.length)] = this.#below(256)
    return packet
  }

  #below(bound: number): number {
    return Math.floor((this.#next() / 2 ** 32) * bound)
  }

  /** xorshift32 (Marsaglia 2003). */
  #next(): number {
    let x = this.#random
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    return (this.#random = x >>> 0)
  }
}

const GOOD_ID = 0xf00d
const LIMIT_MS = 60_000
