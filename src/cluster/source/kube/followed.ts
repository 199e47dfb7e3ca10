/**
 * Single objects, followed by name: each has a list and a watch of its own, with the field selector metadata.name. An
 * account needs no more than `list` and `watch` on these names (RBAC resourceNames), and nothing of any other Secret ever
 * reaches this process: listing a namespace would bring all of them. Nothing of it is written to the copies on disk.
 */
import type { Delta, Drift, Key, Refused, Target } from '../../../core/delta.ts'
import type { Inlet } from '../../inlet.ts'
import { Backoff } from './backoff.ts'
import type { Connection } from './connection.ts'
import { Reflector, type Filled, type KindState } from './reflector.ts'

export interface Reference {
  readonly kind: string
  readonly namespace: string
  readonly name: string
}

export interface FollowedOptions {
  /** Of its own: hundreds of watches must not stand before anything else. */
  readonly connection: Connection
  /** Of the kinds that are referred to. */
  readonly inlets: readonly Inlet<any>[]
  /** Ends all watches. */
  readonly signal: AbortSignal
  /** Applies wait so long for objects that came later; for the first ones until all are known. */
  readonly patienceMs?: number
  readonly random?: () => number
}

/** Follows the objects that rows refer to. Applied once each of them was found, is known to be absent, or may not be read. */
export class Followed implements Target<Reference> {
  readonly name = 'referenced objects'
  readonly #options: FollowedOptions
  readonly #watches = new Map<Key, Watch>()
  #first = true

  constructor(options: FollowedOptions) {
    this.#options = options
  }

  async apply(delta: Delta<Reference>, signal: AbortSignal): Promise<readonly Refused[]> {
    for (const key of this.#watches.keys()) {
      if (delta.from === 0 ? !delta.put.has(key) : delta.drop.has(key)) this.#end(key)
    }
    const refused: Refused[] = []
    for (const [key, reference] of delta.put) {
      if (this.#watches.has(key)) continue
      if (this.#watches.size >= WATCHES_MAX)
        refused.push({ key, reason: `is not read: ${WATCHES_MAX} objects are already`, remedy: 'use fewer Secrets' })
      else this.#watches.set(key, this.#begin(reference))
    }
    await this.#known([...delta.put.keys()], signal)
    this.#first = false
    return [...refused, ...[...delta.put.keys()].flatMap((key) => this.#refusal(key))]
  }

  async audit(): Promise<Drift> {
    return { clean: true }
  }

  async cleanup(): Promise<void> {
    for (const key of [...this.#watches.keys()]) this.#end(key)
  }

  /** Of each kind the worst. */
  states(): readonly KindState[] {
    const worst = new Map<string, KindState>()
    for (const { reflector } of this.#watches.values()) {
      const { state } = reflector
      const known = worst.get(state.kind)
      if (known === undefined || (known.problem === null && state.problem !== null)) worst.set(state.kind, state)
    }
    return [...worst.values()]
  }

  /** Resolves when all watches have ended: after the signal aborted. */
  async done(): Promise<void> {
    await Promise.all([...this.#watches.values()].map(({ running }) => running))
  }

  #begin(reference: Reference): Watch {
    const { connection, inlets, random } = this.#options
    const inlet = inlets.find(({ kind }) => kind.kind === reference.kind)
    if (inlet === undefined) throw new Error(`nothing takes a ${reference.kind}`)
    const ending = new AbortController()
    const answered = Promise.withResolvers<void>()
    const reflector = new Reflector({
      connection,
      inlet: only(inlet, reference),
      selector: { fieldSelector: `metadata.name=${reference.name}` },
      limit: 0,
      signal: AbortSignal.any([this.#options.signal, ending.signal]),
      backoff: new Backoff({ ...(random && { random }) }),
      onState: (state) => {
        if (isAnswered(state)) answered.resolve()
      },
    })
    const running = reflector.run()
    return { reference, inlet, reflector, running, answered: answered.promise, end: () => ending.abort() }
  }

  #end(key: Key): void {
    const watch = this.#watches.get(key)
    if (watch === undefined) return
    watch.end()
    this.#watches.delete(key)
    watch.inlet.drop(objectOf(watch.reference))
  }

  async #known(keys: readonly Key[], signal: AbortSignal): Promise<void> {
    const all = Promise.all(keys.flatMap((key) => this.#watches.get(key)?.answered ?? []))
    const over = Promise.withResolvers<void>()
    const stop = (): void => over.resolve()
    signal.addEventListener('abort', stop, { once: true })
    const timer = this.#first ? undefined : setTimeout(stop, this.#options.patienceMs ?? PATIENCE_MS)
    await Promise.race([all, over.promise])
    clearTimeout(timer)
    signal.removeEventListener('abort', stop)
    signal.throwIfAborted()
  }

  #refusal(key: Key): Refused[] {
    const problem = this.#watches.get(key)?.reflector.state.problem
    return problem && this.#watches.get(key)!.reflector.state.lists === 0
      ? [{ key, reason: problem.message, remedy: problem.remedy }]
      : []
  }
}

interface Watch {
  readonly reference: Reference
  readonly inlet: Inlet<any>
  readonly reflector: Reflector
  readonly running: Promise<void>
  /** It is there, or is not, or may not be read. */
  readonly answered: Promise<void>
  end(): void
}

/** An answer that says no is one; that nobody answers is none. */
const isAnswered = ({ lists, problem }: KindState): boolean =>
  lists > 0 ||
  (problem?.status !== undefined && problem.status !== null && problem.status >= 400 && problem.status < 500)

const objectOf = ({ namespace, name }: Reference) => ({ metadata: { namespace, name } })

/** What a list of one object fills: that object in the inlet, and none of the others. */
function only(inlet: Inlet<any>, reference: Reference): Filled {
  const absent = objectOf(reference)
  return {
    kind: { ...inlet.kind, plural: `namespaces/${encodeURIComponent(reference.namespace)}/${inlet.kind.plural}` },
    begin: () => {
      let found: unknown = absent
      return {
        add: (object) => (found = object),
        commit: () => (found === absent ? inlet.drop(absent) : inlet.put(found)),
      }
    },
    put: (object) => inlet.put(object),
    drop: (object) => inlet.drop(object),
    replace: () => inlet.drop(absent),
    synced: () => {},
  }
}

const PATIENCE_MS = 5_000
/** Streams of 20 connections of HTTP/2, as an API server allows by default. */
const WATCHES_MAX = 5_000
