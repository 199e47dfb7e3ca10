/** One `fairlead-carrier probe` per node, in the node's network namespace: asked and answering in JSON lines. */
import { createInterface } from 'node:readline'
import { start } from '../kernel/exec.ts'

type Process = ReturnType<typeof start>

export interface ProbeRequest {
  readonly type: 'http' | 'tcp' | 'grpc'
  readonly host: string
  readonly port: number
  readonly path?: string
  readonly scheme?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly service?: string
  readonly timeoutMs: number
}

export interface ProbeAnswer {
  readonly ok: boolean
  readonly detail: string
}

export class Prober {
  readonly #command: readonly [string, ...string[]]
  readonly #asked = new Map<number, (answer: ProbeAnswer) => void>()
  #child: Process | null = null
  #lastId = 0

  constructor(command: readonly [string, ...string[]]) {
    this.#command = command
  }

  /** Never rejects: a prober that died is a failed probe, and the next one starts another. */
  ask(request: ProbeRequest): Promise<ProbeAnswer> {
    const child = (this.#child ??= this.#start())
    const id = ++this.#lastId
    return new Promise((resolve) => {
      this.#asked.set(id, resolve)
      child.stdin!.write(JSON.stringify({ id, ...request }) + '\n')
    })
  }

  #start(): Process {
    const child = start(this.#command, { stdio: ['pipe', 'pipe', 'inherit'] })
    child.stdin!.on('error', () => {}) // EPIPE: 'close' follows
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const { id, ok, detail } = JSON.parse(line) as ProbeAnswer & { id: number }
      this.#asked.get(id)?.({ ok, detail: detail ?? '' })
      this.#asked.delete(id)
    })
    const ended = (detail: string): void => {
      if (this.#child === child) this.#child = null
      for (const answer of this.#asked.values()) answer({ ok: false, detail })
      this.#asked.clear()
    }
    child.once('error', (error) => ended(error.message))
    child.once('close', () => ended('the prober ended'))
    return child
  }
}
