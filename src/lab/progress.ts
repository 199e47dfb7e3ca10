/** What the lab says while it works, like a dev server: what happens, and how long each step took. */

export class Progress {
  readonly #out: NodeJS.WriteStream
  readonly #colours: boolean
  readonly #startedMs: number
  #transient = false
  #stood = ''

  /** `startedMs`: since when total times count, in ms since 1970. Colours only on a terminal (and without NO_COLOR). */
  constructor(out: NodeJS.WriteStream, startedMs: number) {
    this.#out = out
    this.#colours = out.isTTY && !process.env['NO_COLOR']
    this.#startedMs = startedMs
  }

  get elapsedMs(): number {
    return Date.now() - this.#startedMs
  }

  line(text = ''): void {
    this.#clear()
    this.#out.write(`${text}\n`)
  }

  /** Runs a step of the start and tells what it was and how long it took. */
  async step<T>(what: string | ((result: T) => string), work: () => Promise<T>): Promise<T> {
    const startMs = performance.now()
    const result = await work()
    this.done(typeof what === 'string' ? what : what(result), performance.now() - startMs)
    return result
  }

  done(what: string, ms: number): void {
    this.line(`  ${this.#paint(GREEN, 'ok')}  ${what.padEnd(WIDTH)} ${this.#paint(DIM, seconds(ms))}`)
  }

  warn(what: string): void {
    this.line(`  ${this.#paint(YELLOW, '!!')}  ${what}`)
  }

  /** Something that happened in the running lab, with the time of day. */
  news(what: string): void {
    this.line(`${this.#paint(DIM, new Date().toTimeString().slice(0, 8))}  ${what}`)
  }

  /** Where a step of more than a second stands: one line that changes on a terminal, lines elsewhere. */
  standing(what: string): void {
    if (!this.#out.isTTY) {
      if (what !== this.#stood) this.#out.write(`      ${what}\n`)
      this.#stood = what
      return
    }
    this.#clear()
    this.#out.write(`  ..  ${what}`.slice(0, (this.#out.columns ?? 80) - 1))
    this.#transient = true
  }

  bold(text: string): string {
    return this.#paint(BOLD, text)
  }

  #clear(): void {
    if (this.#transient) this.#out.write('\r\x1b[K')
    this.#transient = false
  }

  #paint(code: number, text: string): string {
    return this.#colours ? `\x1b[${code}m${text}\x1b[0m` : text
  }
}

export function seconds(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`
}

const WIDTH = 56
const BOLD = 1
const DIM = 2
const GREEN = 32
const YELLOW = 33
