/** A carrier of tests: speaks the protocol of native/wire over a Unix socket, strictly, and misbehaves when told to. */
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Lines } from '../../src/core/lines.ts'
import { PROTOCOL, type RefusedRow, type Revision, type ToCarrier } from '../../src/carrier/wire.ts'

interface Table {
  revision: Revision
  rows: Map<string, unknown>
}

export class FakeCarrier {
  readonly dir = mkdtempSync(join(tmpdir(), 'fairlead-carrier-'))
  readonly path = join(this.dir, 'socket')
  /** What it holds. Survives connections, as on a disk. */
  readonly tables = new Map<string, Table>()
  /** Every line that came, of all connections. */
  readonly lines: string[] = []
  /** Where it was spoken to as no controller may. */
  problem: string | null = null
  connections = 0
  /** Before each line: 'die' ends the connection instead. */
  onLine: (line: string) => 'go on' | 'die' = () => 'go on'
  /** Instead of the answer to a commit, when not null. */
  answer: (table: string, revision: Revision) => string | null = () => null
  hello: (() => string) | null = null
  /** In the answer to `stats`, beside the tables. */
  stats: Readonly<Record<string, unknown>> = {}
  refuses: (key: string, row: unknown) => RefusedRow | null = () => null
  reads = true
  #server: Server | null = null
  readonly #sockets = new Set<Socket>()

  async listen(): Promise<this> {
    rmSync(this.path, { force: true })
    this.#server = createServer((socket) => this.#serve(socket)).listen(this.path)
    await new Promise((done) => this.#server!.once('listening', done))
    return this
  }

  /** As if it were killed. */
  async stop(): Promise<void> {
    const closed = new Promise((done) => this.#server!.close(done)) // nobody comes any more
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  async end(): Promise<void> {
    await this.stop()
    rmSync(this.dir, { recursive: true })
  }

  say(text: string): void {
    for (const socket of this.#sockets) socket.write(text)
  }

  #serve(socket: Socket): void {
    this.connections++
    for (const old of this.#sockets) old.destroy()
    this.#sockets.clear()
    this.#sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => this.#sockets.delete(socket))
    const tables = Object.fromEntries([...this.tables].map(([table, { revision }]) => [table, revision]))
    socket.write(this.hello?.() ?? `${JSON.stringify({ hello: { version: 'fake', protocol: PROTOCOL, tables } })}\n`)
    if (!this.reads) {
      socket.pause()
      return
    }
    const lines = new Lines(1024 * 1024)
    const delta: { current: Begun | null } = { current: null }
    socket.on('data', (chunk: Buffer) => {
      try {
        lines.push(chunk, (line) => this.#follow(socket, line, delta))
      } catch (error) {
        this.problem ??= String(error)
        socket.destroy()
      }
    })
  }

  #follow(socket: Socket, line: string, delta: { current: Begun | null }): void {
    if (socket.destroyed) return
    this.lines.push(line)
    if (this.onLine(line) === 'die') {
      socket.destroy()
      return
    }
    const say = (message: object): void => void socket.write(`${JSON.stringify(message)}\n`)
    const message = JSON.parse(line) as ToCarrier
    if ('ask' in message) {
      const tables = Object.fromEntries([...this.tables].map(([table, { revision }]) => [table, { revision }]))
      if (message.ask.what === 'stats') say({ answer: { id: message.ask.id, value: { tables, ...this.stats } } })
      else say({ answer: { id: message.ask.id, error: `no ${JSON.stringify(message.ask.what)} here` } })
    } else if ('begin' in message) {
      if (delta.current !== null) this.problem ??= 'begin within a delta'
      const { table, epoch, from, to } = message.begin
      const held = this.tables.get(table)
      const fits = from === 0 || (held?.revision.epoch === epoch && held.revision.number === from)
      if (!fits) say({ failed: { table, reason: `${from} of ${epoch} is not held` } })
      const rows = new Map(from === 0 ? [] : held?.rows)
      delta.current = { table, revision: { epoch, number: to }, rows, refused: [], dead: !fits }
    } else this.#change(message, delta, say)
  }

  #change(
    message: Exclude<ToCarrier, { ask: unknown } | { begin: unknown }>,
    delta: { current: Begun | null },
    say: (message: object) => void,
  ): void {
    const begun = delta.current
    if (begun === null) this.problem ??= `${Object.keys(message)[0]} without a begin`
    else if ('put' in message)
      for (const [key, row] of message.put) {
        const refused = this.refuses(key, row)
        if (refused === null) begun.rows.set(key, row)
        else (begun.refused.push(refused), begun.rows.delete(key))
      }
    else if ('drop' in message) for (const key of message.drop) begun.rows.delete(key)
    else {
      delta.current = null
      if (begun.dead) return
      const { table, revision, rows, refused } = begun
      const instead = this.answer(table, revision)
      if (instead !== null) {
        for (const socket of this.#sockets) socket.write(instead)
        return
      }
      this.tables.set(table, { revision, rows })
      if (refused.length === 0) say({ acknowledged: { table, ...revision } })
      for (const [i, row] of refused.entries())
        say({ refused: { table, ...revision, rows: [row], ...(i < refused.length - 1 && { more: true }) } })
    }
  }
}

interface Begun extends Table {
  table: string
  refused: RefusedRow[]
  dead: boolean
}

/** Waits until it is true; fails after 60 s. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 60_000
  while (!condition()) {
    if (performance.now() > deadline) throw new Error(`did not come true within 60 s: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
