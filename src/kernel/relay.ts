import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { carrier } from './carrier.ts'
import { start } from './exec.ts'

/** Sockets that lead to other addresses, carried by a process of their own. */
export interface Relay {
  /** Opens `listen` (`tcp:127.0.0.1:30080`), or leads it somewhere else. null: done; else why not. Rejects when the relay has ended. */
  open(listen: string, to: readonly string[]): Promise<Unopened | null>
  /** The port is free once this resolves. TCP connections that stand go on. */
  close(listen: string): Promise<void>
  /** Closes all; ends by itself when the last TCP connection does. `onEnd` is not called any more. */
  end(): void
}

export interface Unopened {
  /** `taken`: another process has it. */
  readonly kind: 'taken' | 'other'
  readonly reason: string
}

/** `onEnd` is told, once, why the process ended that should not. */
export type StartRelay = (onEnd: (why: string) => void) => Relay

/**
 * Runs `fairlead-carrier relay`. It outlives a killed agent for as long as TCP connections stand, but lets nobody in: its
 * ports are free for the next agent at once.
 */
export const startRelay: StartRelay = (onEnd) => new RelayProcess(onEnd)

class RelayProcess implements Relay {
  readonly #child: ChildProcess
  /** Orders that were not answered yet, in their order. */
  readonly #asked: PromiseWithResolvers<Answer>[] = []
  #ended: Error | null = null

  constructor(onEnd: (why: string) => void) {
    this.#child = start([carrier, 'relay', '--drain'], { stdio: ['pipe', 'pipe', 'pipe'] })
    const ended = (why: string): void => {
      if (this.#ended !== null) return
      this.#fail(new Error(`the relay of localhost ended: ${why}`))
      onEnd(why)
    }
    // Out of descriptors there are no streams: `error` says so.
    const { stdin, stdout, stderr } = this.#child
    let last = ''
    stderr?.on('data', (chunk: Buffer) => (last = (last + chunk.toString()).slice(-500)))
    stdin?.on('error', () => {}) // its end is told by `close`
    if (stdout)
      createInterface({ input: stdout }).on('line', (line) => this.#asked.shift()?.resolve(JSON.parse(line) as Answer))
    this.#child.once('error', (error) => ended(`${carrier}: ${error.message}`))
    this.#child.once('close', (code, killedBy) => ended(`${killedBy ?? `exit code ${code}`} ${last.trim()}`))
  }

  async open(listen: string, to: readonly string[]): Promise<Unopened | null> {
    const { error, code } = await this.#order({ listen, to })
    if (error === undefined) return null
    return { kind: code === 'EADDRINUSE' ? 'taken' : 'other', reason: error }
  }

  async close(listen: string): Promise<void> {
    await this.#order({ close: listen })
  }

  end(): void {
    if (this.#ended === null) this.#fail(new Error('the relay was told to end'))
    this.#child.stdin?.end()
    // Nobody needs to wait for those who are still talking.
    this.#child.unref()
    for (const stream of [this.#child.stdout, this.#child.stderr]) stream?.destroy()
  }

  #order(order: object): Promise<Answer> {
    if (this.#ended !== null) return Promise.reject(this.#ended)
    const asked = Promise.withResolvers<Answer>()
    this.#asked.push(asked)
    this.#child.stdin?.write(`${JSON.stringify(order)}\n`)
    return asked.promise
  }

  #fail(why: Error): void {
    this.#ended = why
    for (const asked of this.#asked.splice(0)) asked.reject(why)
  }
}

interface Answer {
  readonly listen: string
  readonly error?: string
  readonly code?: string | null
}
