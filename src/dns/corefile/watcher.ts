import type { Clock } from '../../core/clock.ts'
import { remedyOf, type Access } from './access.ts'
import type { Configuration, Reload } from './configuration.ts'
import { parseCorefile } from './corefile.ts'
import { sentence, type Problem } from './problem.ts'

/** A Corefile that can be used, or what is wrong with it: then what was in force before stays. */
export type Reading = { readonly configuration: Configuration } | { readonly problems: readonly Problem[] }

/**
 * A Corefile and what it imports, read again as `reload` says: every 30 s, give or take up to 15 s by chance, without it never. A
 * file that was wrong from the start is read again until it is right. News only: what is as it was is not said twice.
 */
export class CorefileWatcher {
  readonly #path: string
  readonly #access: Access
  readonly #clock: Clock
  readonly #random: () => number
  #digest: string | null = null
  #wrong: string | null = null
  #reload: Reload | null = DEFAULT

  /** `random` gives 0..1. */
  constructor(path: string, access: Access, clock: Clock, random: () => number) {
    this.#path = path
    this.#access = access
    this.#clock = clock
    this.#random = random
  }

  /** Reads it now; null: as it was. */
  read(): Reading | null {
    const reading = this.#parse()
    if ('problems' in reading) {
      const wrong = reading.problems.map(sentence).join('\n')
      if (wrong === this.#wrong) return null
      this.#wrong = wrong
      return reading
    }
    const { digest, reload } = reading.configuration
    const mended = this.#wrong !== null
    this.#wrong = null
    // Back to what is in force: nothing to do, but somebody waits to hear that it is right again.
    if (digest === this.#digest && !mended) return null
    this.#digest = digest
    this.#reload = reload
    return reading
  }

  /** What was read last cannot be used for a reason that is not in the Corefile: the next reading is news, whatever it says. */
  again(): void {
    this.#digest = null
  }

  /** Ends with the signal, or when a Corefile without `reload` is in force. */
  async *readings(signal: AbortSignal): AsyncGenerator<Reading> {
    while (!signal.aborted) {
      const reading = this.read()
      if (reading !== null) yield reading
      if (this.#reload === null) return
      const { intervalMs, jitterMs } = this.#reload
      await this.#clock.after(Math.round(intervalMs + (2 * this.#random() - 1) * jitterMs), signal)
    }
  }

  #parse(): Reading {
    const content = this.#access.read(this.#path)
    if (!('text' in content)) {
      const [problem, remedy] = remedyOf(content, this.#path)
      return { problems: [{ file: this.#path, line: 1, column: 1, problem, remedy }] }
    }
    const parsed = parseCorefile(content.text, this.#path, this.#access)
    return 'problems' in parsed ? parsed : { configuration: parsed }
  }
}

const DEFAULT: Reload = { intervalMs: 30_000, jitterMs: 15_000 }
