/** One connection to a carrier: lines out with back-pressure, messages in. Once it has failed it stays so. */
import { connect, type Socket } from 'node:net'
import { Lines } from '../core/lines.ts'
import { LINE_MAX_BYTES } from './lines.ts'

export class Link {
  /** Ends, with the reason, when the connection has. Never rejects. */
  readonly closed: Promise<string>
  readonly #socket: Socket
  readonly #end = Promise.withResolvers<string>()
  #drained: PromiseWithResolvers<void> | null = null
  #open = true

  /** `hear` is told each line, and says why the link must end, or null. */
  constructor(path: string, hear: (line: string) => string | null) {
    const lines = new Lines(LINE_MAX_BYTES)
    const socket = (this.#socket = connect({ path }))
    this.closed = this.#end.promise
    socket.on('data', (chunk: Buffer) => {
      try {
        lines.push(chunk, (line) => {
          const problem = this.#open ? hear(line) : null
          if (problem !== null) this.close(problem)
        })
      } catch (error) {
        this.close(`the carrier says what it must not: ${(error as Error).message}`)
      }
    })
    socket.on('drain', () => this.#drain())
    socket.on('error', (error: NodeJS.ErrnoException) => this.close(describe(path, error)))
    socket.on('close', () => this.close('the carrier closed the connection'))
  }

  get open(): boolean {
    return this.#open
  }

  /** Resolves when there is room for more, or the link has ended. */
  send(line: string): Promise<void> | void {
    if (!this.#open || this.#socket.write(`${line}\n`)) return
    this.#drained ??= Promise.withResolvers()
    return this.#drained.promise
  }

  close(reason: string): void {
    if (!this.#open) return
    this.#open = false
    this.#socket.destroy()
    this.#drain()
    this.#end.resolve(reason)
  }

  #drain(): void {
    this.#drained?.resolve()
    this.#drained = null
  }
}

function describe(path: string, error: NodeJS.ErrnoException): string {
  const hint = HINTS[error.code ?? '']
  return `cannot talk with the carrier at ${path}: ${error.message}${hint ? ` (${hint})` : ''}`
}

const HINTS: Readonly<Record<string, string>> = {
  ENOENT: 'nothing is there: does the carrier run, with this --socket?',
  ECONNREFUSED: 'nobody listens: does the carrier run?',
  EACCES: 'run as the user the carrier runs as',
}
