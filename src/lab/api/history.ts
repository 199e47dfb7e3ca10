/** What was committed lately, so that a watch can resume: a ring of bounded size; who asks for older news lists again. */
import type { ApiObject } from './object.ts'
import type { Resource } from './resource.ts'

export interface Change {
  readonly revision: number
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'
  readonly resource: Resource
  /** The object as committed; for DELETED its last state, with the revision of the deletion. */
  readonly object: ApiObject
  /** What it replaced; null for ADDED. */
  readonly previous: ApiObject | null
}

export class History {
  readonly #ring: (Change | undefined)[]
  #count = 0
  #forgotten = 0

  constructor(size: number) {
    this.#ring = new Array<Change | undefined>(size).fill(undefined)
  }

  add(change: Change): void {
    const slot = this.#count++ % this.#ring.length
    this.#forgotten = this.#ring[slot]?.revision ?? this.#forgotten
    this.#ring[slot] = change
  }

  /** Changes after `revision`, oldest first; null when some of them are no longer known (HTTP 410). */
  since(revision: number): Change[] | null {
    if (revision < this.#forgotten) return null
    const changes: Change[] = []
    for (let i = this.#count - 1; i >= Math.max(0, this.#count - this.#ring.length); i--) {
      const change = this.#ring[i % this.#ring.length]!
      if (change.revision <= revision) break
      changes.push(change)
    }
    return changes.reverse()
  }

  /** Forgets everything up to now, as etcd's compaction does. */
  compact(): void {
    const last = this.#count === 0 ? undefined : this.#ring[(this.#count - 1) % this.#ring.length]
    this.#forgotten = last?.revision ?? this.#forgotten
    this.#ring.fill(undefined)
    this.#count = 0
  }
}
