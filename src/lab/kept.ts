/** A process that is started again when it ends, until the lab ends. */
import { start } from '../kernel/exec.ts'
import type { BoundedLog } from './log.ts'

export class Kept {
  readonly #command: readonly [string, ...string[]]
  readonly #env: NodeJS.ProcessEnv
  readonly #log: BoundedLog
  readonly #onEnd: (how: string) => void
  #pauseMs = PAUSE_MIN_MS
  /** 0 while it is not running. */
  pid = 0
  restarts = 0

  constructor(
    command: readonly [string, ...string[]],
    env: NodeJS.ProcessEnv,
    log: BoundedLog,
    onEnd: (how: string) => void,
  ) {
    this.#command = command
    this.#env = env
    this.#log = log
    this.#onEnd = onEnd
    this.#start()
  }

  #start(): void {
    const startedMs = performance.now()
    const child = start(this.#command, { stdio: ['ignore', 'pipe', 'pipe'], env: this.#env })
    this.pid = child.pid ?? 0
    child.stdout?.on('data', (chunk: Buffer) => this.#log.write(chunk))
    child.stderr?.on('data', (chunk: Buffer) => this.#log.write(chunk))
    child.once('error', (error) => this.#ended(error.message, startedMs))
    child.once('exit', (code, signal) =>
      this.#ended(signal === null ? `exit code ${code}` : `killed by ${signal}`, startedMs),
    )
  }

  #ended(how: string, startedMs: number): void {
    this.pid = 0
    this.restarts++
    this.#onEnd(how)
    const ranMs = performance.now() - startedMs
    this.#pauseMs = ranMs > RAN_WELL_MS ? PAUSE_MIN_MS : Math.min(this.#pauseMs * 2, PAUSE_MAX_MS)
    setTimeout(() => this.#start(), this.#pauseMs)
  }
}

const PAUSE_MIN_MS = 50
const PAUSE_MAX_MS = 10_000
const RAN_WELL_MS = 10_000
