/** Asks a DNS server over UDP, as a resolver does: again until an answer comes. */
import { createSocket, type Socket } from 'node:dgram'
import { connect } from 'node:net'
import { decode, encode, labelsOf, TYPES, type Message, type Question } from './dns-message.ts'

export interface DnsAnswer {
  readonly rcode: number
  /** Of the answer section; only A records. */
  readonly addresses: readonly string[]
}

/** Asks again every 300 ms, until an answer comes; rejects after `limitMs`. */
export async function ask(port: number, name: string, limitMs = LIMIT_MS): Promise<DnsAnswer> {
  const client = new UdpClient(port)
  try {
    const { rcode, answer } = await client.ask({ labels: labelsOf(name), type: TYPES.A }, limitMs)
    return { rcode, addresses: answer.flatMap((record) => / A (\S+)$/.exec(record)?.[1] ?? []) }
  } finally {
    client.close()
  }
}

/** Many questions at a time, from one socket. */
export class UdpClient {
  readonly #socket: Socket = createSocket('udp4')
  readonly #waiting = new Waiting()
  readonly #port: number

  constructor(port: number) {
    this.#port = port
    this.#socket.on('message', (packet) => this.#waiting.answer(packet))
    this.#socket.on('error', () => {}) // nobody listens yet
  }

  async ask(question: Question, limitMs = LIMIT_MS): Promise<Message> {
    const { id, answered } = this.#waiting.ask()
    const packet = encode(id, question)
    const send = (): void => this.#socket.send(packet, this.#port, '127.0.0.1')
    const again = setInterval(send, 300)
    const limit = setTimeout(() => this.#waiting.fail(id, new Error(`no answer within ${limitMs} ms`)), limitMs)
    try {
      send()
      return await answered
    } finally {
      clearInterval(again)
      clearTimeout(limit)
    }
  }

  close(): void {
    this.#socket.close()
  }
}

/** One question over a connection of its own. */
export async function askTcp(port: number, question: Question, limitMs = LIMIT_MS): Promise<Message> {
  const waiting = new Waiting()
  const { id, answered } = waiting.ask()
  const packet = encode(id, question)
  const socket = connect({ port, host: '127.0.0.1' })
  let got = Buffer.alloc(0)
  socket.on('data', (data: Buffer) => {
    got = Buffer.concat([got, data])
    if (got.length >= 2 && got.length >= 2 + got.readUInt16BE(0))
      waiting.answer(got.subarray(2, 2 + got.readUInt16BE(0)))
  })
  socket.on('error', (error) => waiting.fail(id, error))
  socket.on('close', () => waiting.fail(id, new Error('closed without an answer')))
  const limit = setTimeout(() => waiting.fail(id, new Error(`no answer within ${limitMs} ms`)), limitMs)
  try {
    socket.write(Buffer.concat([Buffer.from([packet.length >> 8, packet.length & 255]), packet]))
    return await answered
  } finally {
    clearTimeout(limit)
    socket.destroy()
  }
}

/** Questions that have no answer yet, by id. */
class Waiting {
  readonly #asked = new Map<number, PromiseWithResolvers<Message>>()
  #next = Math.floor(Math.random() * 65_536)

  ask(): { readonly id: number; readonly answered: Promise<Message> } {
    const id = (this.#next = (this.#next + 1) & 0xffff)
    const waiter = Promise.withResolvers<Message>()
    this.#asked.set(id, waiter)
    return { id, answered: waiter.promise }
  }

  answer(packet: Buffer): void {
    if (packet.length < 12) return
    const waiter = this.#take(packet.readUInt16BE(0))
    try {
      waiter?.resolve(decode(packet))
    } catch (error) {
      waiter?.reject(new Error(`no DNS message: ${packet.toString('hex')}`, { cause: error }))
    }
  }

  fail(id: number, error: Error): void {
    this.#take(id)?.reject(error)
  }

  #take(id: number): PromiseWithResolvers<Message> | undefined {
    const waiter = this.#asked.get(id)
    this.#asked.delete(id)
    return waiter
  }
}

/** Only a machine at its limit gets near. */
const LIMIT_MS = 60_000
