/**
 * A client of DNS servers in a namespace, as a process of its own: it asks for `who.test A`. JSON lines on stdin and stdout.
 */
import type { ChildProcess } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { start } from '../../src/kernel/exec.ts'
import { within } from './world.ts'

export interface Question {
  readonly server: string
  readonly how: 'udp' | 'tcp'
  /** How long no answer means silence. */
  readonly waitMs: number
}

/** How often each address (or `silent` ...) was the answer. */
export type Counts = Readonly<Record<string, number>>

/** The test's end of it. */
export class DnsClient {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>()
  #next = 1

  constructor(namespace: string) {
    const main = [process.execPath, '--disable-warning=ExperimentalWarning', import.meta.filename, 'serve']
    const command = [...within(namespace), ...main] as [string, ...string[]]
    this.#child = start(command, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#child.stdin!.on('error', () => {}) // `close` tells
    this.#child.once('close', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the client of the DNS ended'))
    })
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      const { id, result } = JSON.parse(line) as { id: number; result: unknown }
      this.#waiting.get(id)?.resolve(result)
      this.#waiting.delete(id)
    })
  }

  /** The address in the answer; `refused` or `silent`. */
  ask(server: string, how: 'udp' | 'tcp' = 'udp', waitMs = 2_000): Promise<string> {
    return this.#tell({ ask: { server, how, waitMs } satisfies Question }) as Promise<string>
  }

  /** Asks every 5 ms, each time once, from a port of its own, until what is returned is called. */
  async steady(server: string, how: 'udp' | 'tcp' = 'udp'): Promise<() => Promise<Counts>> {
    const id = (await this.#tell({ begin: { server, how, waitMs: 20_000 } satisfies Question })) as number
    return () => this.#tell({ end: id }) as Promise<Counts>
  }

  close(): void {
    this.#child.kill('SIGKILL')
  }

  #tell(message: object): Promise<unknown> {
    const id = this.#next++
    const waiter = Promise.withResolvers<unknown>()
    this.#waiting.set(id, waiter)
    this.#child.stdin!.write(JSON.stringify({ id, ...message }) + '\n')
    return waiter.promise
  }
}

const QUERY = Buffer.from([0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, ...Buffer.from('who'), 4, ...Buffer.from('test'), 0, 0, 1, 0, 1]) // prettier-ignore

/** The last four octets are the address of the only record. */
const read = (answer: Buffer): string =>
  answer.readUInt16BE(6) === 1 ? [...answer.subarray(-4)].join('.') : `rcode ${answer[3]! & 15}`

function overUdp({ server, waitMs }: Question): Promise<string> {
  const socket = createSocket(server.includes(':') ? 'udp6' : 'udp4')
  return new Promise<string>((resolve) => {
    const timer = setTimeout(() => resolve('silent'), waitMs)
    const end = (said: string): void => (clearTimeout(timer), resolve(said))
    socket.once('message', (answer) => end(read(answer)))
    socket.once('error', (error) => end(/REFUSED/.test(error.message) ? 'refused' : error.message))
    socket.connect(53, server, () => socket.send(QUERY))
  }).finally(() => socket.close())
}

function overTcp({ server, waitMs }: Question): Promise<string> {
  const socket = connect({ host: server, port: 53 })
  const chunks: Buffer[] = []
  return new Promise<string>((resolve) => {
    socket.setTimeout(waitMs, () => resolve('silent'))
    socket.once('error', () => resolve('refused'))
    socket.once('close', () => resolve('closed'))
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      const all = Buffer.concat(chunks)
      if (all.length > 2 && all.length >= 2 + all.readUInt16BE(0)) resolve(read(all.subarray(2)))
    })
    socket.write(Buffer.concat([Buffer.from([0, QUERY.length]), QUERY]))
  }).finally(() => socket.destroy())
}

const send = (question: Question): Promise<string> => (question.how === 'tcp' ? overTcp : overUdp)(question)

/** Answered once its first question is. */
class Load {
  readonly #counts: Record<string, number> = {}
  readonly #asked: Promise<void>[] = []
  readonly #all: Promise<void>
  #isOver = false

  constructor(question: Question, begun: () => void) {
    this.#all = this.#run(question, begun)
  }

  async #run(question: Question, begun: () => void): Promise<void> {
    while (!this.#isOver) {
      this.#asked.push(this.#one(question))
      if (this.#asked.length === 1) await this.#asked[0]!.then(begun)
      await pause(5)
    }
    await Promise.all(this.#asked)
  }

  async #one(question: Question): Promise<void> {
    const said = await send(question)
    this.#counts[said] = (this.#counts[said] ?? 0) + 1
  }

  async end(): Promise<Counts> {
    this.#isOver = true
    await this.#all
    return this.#counts
  }
}

function serve(): void {
  const loads = new Map<number, Load>()
  process.stdout.on('error', () => process.exit(0))
  createInterface({ input: process.stdin })
    .on('close', () => process.exit(0))
    .on('line', (line) => {
      const { id, ask, begin, end } = JSON.parse(line) as { id: number; ask?: Question; begin?: Question; end?: number }
      const tell = (result: unknown): void => console.log(JSON.stringify({ id, result }))
      if (ask !== undefined) void send(ask).then(tell)
      else if (begin !== undefined) loads.set(id, new Load(begin, () => tell(id)))
      else void loads.get(end!)!.end().then(tell)
    })
}

if (process.argv[2] === 'serve' && process.argv[1] === import.meta.filename) serve()
