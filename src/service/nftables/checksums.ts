import type { Drift } from '../../core/delta.ts'

/**
 * A number of fixed size for each map that stands for its elements, whatever their order: the sum of their hashes. Kept up
 * with each commit, and made again from a listing that is read as a stream, so an audit of 400,000 elements holds none.
 */
export class Checksums {
  readonly #sums = new Map<string, Sum>()

  add(map: string, key: string, data: string): void {
    this.#sum(map).add(key, data, 1)
  }

  remove(map: string, key: string, data: string): void {
    this.#sum(map).add(key, data, -1)
  }

  /** Compares with sums made from a listing. */
  compare(found: Checksums): Drift {
    for (const map of new Set([...this.#sums.keys(), ...found.#sums.keys()])) {
      const ours = this.#sum(map)
      const theirs = found.#sum(map)
      if (ours.count !== theirs.count)
        return { clean: false, detail: `map ${map} has ${theirs.count} elements instead of ${ours.count}` }
      if (ours.low !== theirs.low || ours.high !== theirs.high)
        return { clean: false, detail: `map ${map} has elements that are not ours` }
    }
    return { clean: true }
  }

  #sum(map: string): Sum {
    let sum = this.#sums.get(map)
    if (sum === undefined) this.#sums.set(map, (sum = new Sum()))
    return sum
  }
}

class Sum {
  count = 0
  low = 0
  high = 0

  add(key: string, data: string, sign: 1 | -1): void {
    const text = data === '' ? key : `${key} : ${data}`
    this.count += sign
    this.low = (this.low + sign * fnv1a(text, 0x811c9dc5)) | 0
    this.high = (this.high + sign * fnv1a(text, 0x2f0b4c47)) | 0
  }
}

/** FNV-1a, 32 bits. */
function fnv1a(text: string, seed: number): number {
  let hash = seed
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  return hash
}
