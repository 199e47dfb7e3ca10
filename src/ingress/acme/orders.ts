/** The target of certificates that are wanted: what is here is ordered, by the controller that leads. */
import type { Delta, Drift, Refused, Target } from '../../core/delta.ts'
import { InputTable } from '../../core/table.ts'
import type { Held } from './derive.ts'
import { Issuing } from './issuing.ts'
import type { Shown } from './shown.ts'
import type { Wanted } from './wanted.ts'
import type { World } from './world.ts'

export class Orders implements Target<Held> {
  readonly name = 'certificates'
  readonly #wanted = new InputTable<Wanted>('wanted certificates')
  readonly #issuing: Issuing
  /** What is wanted is known: before that nobody may take away what seems not to be. */
  readonly #known = Promise.withResolvers<void>()
  #ending: AbortController | null = null
  #running: Promise<void> = Promise.resolve()

  constructor(world: World, shown: Shown) {
    this.#issuing = new Issuing(world, this.#wanted, shown)
  }

  async apply({ from, put, drop }: Delta<Held>): Promise<readonly Refused[]> {
    if (from === 0) this.#wanted.replace([...put].map(([key, { wanted }]) => [key, wanted]))
    for (const key of drop) this.#wanted.drop(key)
    for (const [key, { wanted }] of put) {
      this.#wanted.put(key, wanted)
      this.#issuing.look(key)
    }
    this.#known.resolve()
    return []
  }

  async audit(): Promise<Drift> {
    return { clean: true }
  }

  async cleanup(): Promise<void> {
    await this.lead(false)
  }

  /** Resolves once that is so: who leads no more has nothing under way. */
  async lead(isLeader: boolean): Promise<void> {
    this.#ending?.abort()
    this.#ending = null
    if (isLeader) {
      const { signal } = (this.#ending = new AbortController())
      const ended = new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
      this.#running = Promise.all([this.#running, Promise.race([this.#known.promise, ended])]).then(() =>
        signal.aborted ? undefined : this.#issuing.run(signal),
      )
    } else await this.#running
  }
}
