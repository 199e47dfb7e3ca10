/** Queries without pause, each sent once, and what becomes of every one. */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { until } from '../netns/waiting.ts'
import { decode, encode, labelsOf, TYPES } from './dns-message.ts'

/** A name that is asked for, A; what it is answered may change while it is. */
export class Probe {
  readonly name: string
  /** One of them is right: the last one once it was seen. Empty: the name does not exist. */
  #right: readonly string[]

  constructor(name: string, address: string | null) {
    this.name = name
    this.#right = address === null ? [] : [address]
  }

  get right(): readonly string[] {
    return this.#right
  }

  /** From now on it may be answered so, too. */
  changes(address: string): void {
    this.#right = [...this.#right, address]
  }

  /** Whether an answer may be; `asked`: what was right when the query was sent. */
  isRight(asked: readonly string[], rcode: number, answer: readonly string[]): boolean {
    if (this.#right.length === 0) return rcode === 3 && answer.length === 0
    const start = `${this.name} 30 A `
    const [record] = answer
    if (rcode !== 0 || answer.length !== 1 || !record!.startsWith(start)) return false
    const address = record!.slice(start.length)
    // Who was told the new one is not told the old one again.
    if (address === this.#right.at(-1)) this.#right = [address]
    return this.#right.includes(address) || asked.includes(address)
  }
}

interface Sent {
  readonly number: number
  readonly probe: Probe
  /** What was, when it was sent. */
  readonly right: readonly string[]
}

export class Load {
  /** In words, at most ten. */
  readonly wrong: string[] = []
  /** So many queries were sent; the last one has this number. */
  sent = 0
  answered = 0
  /** The highest number of a query that was answered. */
  newest = 0
  readonly #socket: Socket = createSocket('udp4')
  readonly #probes: readonly Probe[]
  readonly #waiting = new Map<number, Sent>()
  /** No longer waited for; they may still come. */
  readonly #late = new Map<number, Sent>()
  #ending = false
  #id = 0

  private constructor(probes: readonly Probe[]) {
    this.#probes = probes
  }

  static async start(port: number, probes: readonly Probe[]): Promise<Load> {
    const load = new Load(probes)
    load.#socket.on('message', (packet) => load.#hear(packet)).on('error', () => {}) // nobody listens for a moment
    load.#socket.connect(port, '127.0.0.1')
    await once(load.#socket, 'connect')
    load.#fill()
    return load
  }

  /** Those that have no answer yet make room for others. */
  writeOff(): void {
    for (const [id, sent] of this.#waiting) this.#late.set(id, sent)
    this.#waiting.clear()
    this.#fill()
  }

  /** Numbers of queries that were written off and have no answer. */
  get lost(): readonly number[] {
    return [...this.#late.values()].map(({ number }) => number)
  }

  /** Asks nothing more. Ends when all that is waited for has an answer, else throws; see `lost` for the rest. */
  async end(): Promise<void> {
    this.#ending = true
    await until('each query that is waited for has an answer', () => this.#waiting.size === 0)
  }

  close(): void {
    this.#ending = true
    this.#socket.close()
  }

  #fill(): void {
    while (!this.#ending && this.#waiting.size < OUTSTANDING) {
      do this.#id = (this.#id + 1) & 0xffff
      while (this.#waiting.has(this.#id) || this.#late.has(this.#id))
      const probe = this.#probes[this.sent % this.#probes.length]!
      const packet = encode(this.#id, { labels: labelsOf(probe.name), type: TYPES.A })
      this.#waiting.set(this.#id, { number: ++this.sent, probe, right: probe.right })
      this.#socket.send(packet, () => {})
    }
  }

  #hear(packet: Buffer): void {
    const id = packet.readUInt16BE(0)
    const sent = this.#waiting.get(id) ?? this.#late.get(id)
    if (sent === undefined) return this.#complain(`nobody asked: ${packet.toString('hex')}`)
    if (!this.#waiting.delete(id)) this.#late.delete(id)
    this.answered++
    this.newest = Math.max(this.newest, sent.number)
    const { probe, right } = sent
    try {
      const { question, rcode, answer } = decode(packet)
      if (question !== probe.name || !probe.isRight(right, rcode, answer))
        this.#complain(`${probe.name}: ${question} ${rcode} ${answer.join()}, not ${right.join(' or ')}`)
    } catch (error) {
      this.#complain(`${probe.name}: ${(error as Error).message}: ${packet.toString('hex')}`)
    }
    this.#fill()
  }

  #complain(wrong: string): void {
    if (this.wrong.length < 10) this.wrong.push(wrong)
  }
}

/** Far fewer than a socket's buffer holds, on either side: the kernel loses none. */
const OUTSTANDING = 64
