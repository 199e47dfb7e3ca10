import type { Key } from './delta.ts'
import { Ints, NOBODY } from './ints.ts'

/**
 * Who may have a part in a key: pairs of key and holder, of which only a hash of the key is kept. So it may name one who has
 * none (by chance, once in 2^32 pairs), never leaves out one who has. 20 bytes a pair, and what a holder's name takes.
 */
export class Holders {
  /** First pair of each chain; a power of two of them, at least as many as pairs. */
  #chains = new Int32Array(16).fill(NOBODY)
  readonly #hash = new Ints()
  readonly #holder = new Ints()
  readonly #next = new Ints()
  /** Free pairs, a list through #next. */
  #free = NOBODY
  #made = 0
  #pairs = 0
  readonly #numbers = new Map<Key, number>()
  readonly #names: Key[] = []
  /** Pairs of each holder; who has none left is forgotten. */
  readonly #counts = new Ints()
  readonly #freeNumbers: number[] = []

  get pairs(): number {
    return this.#pairs
  }

  /** Each pair once. */
  add(key: Key, holder: Key): void {
    if (this.#pairs >= this.#chains.length) this.#grow()
    const number = this.#numbers.get(holder) ?? this.#enrol(holder)
    const pair = this.#free === NOBODY ? this.#made++ : this.#free
    if (pair === this.#free) this.#free = this.#next.get(pair)
    const hash = hashOf(key)
    const chain = hash & (this.#chains.length - 1)
    this.#hash.set(pair, hash)
    this.#holder.set(pair, number)
    this.#next.set(pair, this.#chains[chain]!)
    this.#chains[chain] = pair
    this.#counts.set(number, this.#counts.get(number) + 1)
    this.#pairs++
  }

  /** A pair that was added. */
  remove(key: Key, holder: Key): void {
    const number = this.#numbers.get(holder)
    const hash = hashOf(key)
    const chain = hash & (this.#chains.length - 1)
    let previous = NOBODY
    let pair = this.#chains[chain]!
    while (pair !== NOBODY && !(this.#hash.get(pair) === hash && this.#holder.get(pair) === number)) {
      previous = pair
      pair = this.#next.get(pair)
    }
    if (pair === NOBODY || number === undefined) throw new Error(`${holder} has no part in ${key}`)
    if (previous === NOBODY) this.#chains[chain] = this.#next.get(pair)
    else this.#next.set(previous, this.#next.get(pair))
    this.#next.set(pair, this.#free)
    this.#free = pair
    this.#pairs--
    this.#leave(holder, number)
  }

  /** Sorted, each once. */
  of(key: Key): readonly Key[] {
    const found: Key[] = []
    for (let pair = this.#seek(key, null); pair !== NOBODY; pair = this.#seek(key, pair))
      found.push(this.#names[this.#holder.get(pair)]!)
    return found.length < 2 ? found : found.sort().filter((name, i) => name !== found[i - 1])
  }

  /** False: at most one has a part in it. */
  isShared(key: Key): boolean {
    const first = this.#seek(key, null)
    return first !== NOBODY && this.#seek(key, first) !== NOBODY
  }

  /** The next pair of the key's hash. */
  #seek(key: Key, after: number | null): number {
    const hash = after === null ? hashOf(key) : this.#hash.get(after)
    let pair = after === null ? this.#chains[hash & (this.#chains.length - 1)]! : this.#next.get(after)
    while (pair !== NOBODY && this.#hash.get(pair) !== hash) pair = this.#next.get(pair)
    return pair
  }

  #enrol(holder: Key): number {
    const number = this.#freeNumbers.pop() ?? this.#names.length
    this.#numbers.set(holder, number)
    this.#names[number] = holder
    this.#counts.set(number, 0)
    return number
  }

  #leave(holder: Key, number: number): void {
    const left = this.#counts.get(number) - 1
    this.#counts.set(number, left)
    if (left > 0) return
    this.#numbers.delete(holder)
    this.#names[number] = ''
    this.#freeNumbers.push(number)
  }

  #grow(): void {
    const old = this.#chains
    this.#chains = new Int32Array(old.length * 2).fill(NOBODY)
    for (const first of old) {
      for (let pair = first; pair !== NOBODY;) {
        const next = this.#next.get(pair)
        const chain = this.#hash.get(pair) & (this.#chains.length - 1)
        this.#next.set(pair, this.#chains[chain]!)
        this.#chains[chain] = pair
        pair = next
      }
    }
  }
}

/** FNV-1a over UTF-16 code units, with the last mixing of MurmurHash3: FNV's low bits alone fall into few chains. */
function hashOf(key: Key): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  return hash ^ (hash >>> 13)
}
