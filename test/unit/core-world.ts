/** Stand-ins for time and for the outside world. */
import type { Clock } from '../../src/core/clock.ts'
import type { Delta, Drift, Key, Refused, Target } from '../../src/core/delta.ts'

/** Time that passes only when told to. */
export class FakeClock implements Clock {
  #now = 1_000_000
  #timers = new Set<{ at: number; ring: () => void }>()

  now(): number {
    return this.#now
  }

  after(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) return resolve()
      const timer = { at: this.#now + ms, ring: () => (this.#timers.delete(timer), resolve()) }
      this.#timers.add(timer)
      signal.addEventListener('abort', timer.ring, { once: true })
    })
  }

  advance(ms: number): void {
    this.#now += ms
    for (const timer of [...this.#timers]) if (timer.at <= this.#now) timer.ring()
  }
}

/** What an apply does instead of doing what it is told. */
export type Mood = 'well' | 'slow' | 'refuse to start' | 'throw at once' | 'half done' | 'hang' | 'answer nonsense'

/** An outside world that a target keeps equal to a table: the rows it holds, and who last said so. Checks what it is given. */
export class World<Row> implements Target<Row> {
  readonly name = 'world'
  /** What is outside. Survives the process. */
  rows: Map<Key, Row>
  readonly moods: Mood[] = []
  readonly applies: { from: number; to: number; epoch: string; put: number; drop: number }[] = []
  audits = 0
  /** A row that the outside refuses, and why. */
  refuses: (key: Key, row: Row) => string | null = () => null
  #committed = new Map<Key, Row>()
  #revision: { epoch: string; number: number } | null = null
  #busy = false
  problem: string | null = null

  constructor(rows: Map<Key, Row> = new Map()) {
    this.rows = rows
  }

  apply(delta: Delta<Row>, signal: AbortSignal): Promise<readonly Refused[]> {
    const mood = this.moods.shift() ?? 'well'
    this.applies.push({
      from: delta.from,
      to: delta.to.number,
      epoch: delta.to.epoch,
      put: delta.put.size,
      drop: delta.drop.size,
    })
    this.#inspect(delta)
    if (mood === 'throw at once') throw new Error('thrown at once')
    return this.#apply(delta, signal, mood)
  }

  async #apply(delta: Delta<Row>, signal: AbortSignal, mood: Mood): Promise<readonly Refused[]> {
    this.#busy = true
    try {
      if (mood === 'refuse to start') throw new Error('refused to start')
      if (mood === 'slow') for (let i = 0; i < 3; i++) await turn()
      if (mood === 'hang') await aborted(signal)
      return await this.#perform(delta, mood)
    } finally {
      this.#busy = false
    }
  }

  async #perform(delta: Delta<Row>, mood: Mood): Promise<readonly Refused[]> {
    const refused: Refused[] = []
    // What it means to hold, not what is there by then: somebody else may write outside meanwhile.
    const committed = new Map(delta.from === 0 ? [] : this.#committed)
    if (delta.from === 0) this.rows.clear()
    for (const key of delta.drop) for (const rows of [this.rows, committed]) rows.delete(key)
    let left = delta.put.size / 2
    for (const [key, row] of delta.put) {
      if (mood === 'slow') await turn()
      if (mood === 'half done' && left-- <= 0) throw new Error('half done')
      const reason = this.refuses(key, row)
      if (reason !== null) refused.push({ key, reason, remedy: 'none' })
      for (const rows of [this.rows, committed]) {
        if (reason === null) rows.set(key, row)
        else rows.delete(key)
      }
    }
    this.#committed = committed
    this.#revision = delta.to
    return mood === 'answer nonsense' ? (undefined as never) : refused
  }

  async audit(): Promise<Drift> {
    this.audits++
    if (this.#busy) this.problem = 'audit during apply'
    await turn()
    const same =
      this.#committed.size === this.rows.size && [...this.rows].every(([k, row]) => this.#committed.get(k) === row)
    return same ? { clean: true } : { clean: false, detail: 'rows differ' }
  }

  async cleanup(): Promise<void> {
    this.rows.clear()
  }

  #inspect(delta: Delta<Row>): void {
    if (this.#busy) this.problem = 'two applies at once'
    if (delta.from === 0) {
      if (delta.drop.size + delta.was.size > 0) this.problem = 'from 0 with drops'
      return
    }
    if (delta.from !== this.#revision?.number || delta.to.epoch !== this.#revision.epoch)
      this.problem = `from ${delta.from}`
    if (delta.put.size + delta.drop.size === 0) this.problem = 'empty delta'
    for (const key of [...delta.put.keys(), ...delta.drop])
      if (delta.was.get(key) !== this.#committed.get(key)) this.problem = `was of ${key}`
  }
}

/** Waits for a condition, with fake time passing if a clock is given. */
export async function until(condition: () => boolean, what: string, clock?: FakeClock, stepMs = 20): Promise<void> {
  for (const end = performance.now() + 60_000; !condition();) {
    if (performance.now() > end) throw new Error(`waited in vain: ${what}`)
    await turn()
    clock?.advance(stepMs)
  }
}

export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason as Error)
    signal.addEventListener('abort', () => reject(signal.reason as Error))
  })
}
