import type { Observer } from '../status/observer.ts'

/**
 * Node collects no garbage while it does nothing, and a first list leaves behind more than an agent then holds: with 10,000
 * Services the process stays at 250 MB for ever instead of 140. So it is collected once there is much of it and all has been
 * quiet for a while. Takes 0.1 to 0.2 s with so many Services. Does nothing unless Node was started with --expose-gc, as
 * bin/fairlead does.
 */
export function collectWhenQuiet(observer: Observer, signal: AbortSignal): void {
  const gc = globalThis.gc
  if (gc === undefined) return
  const tidy = new Tidy({
    // All of the process: what streams leave behind is outside of the heap.
    usedBytes: () => process.memoryUsage.rss(),
    // `last-resort` also compacts, and gives freed pages back to the kernel at once.
    collect: () => gc({ type: 'major', execution: 'sync', flavor: 'last-resort' }),
  })
  observer.onEvent(() => tidy.heard())
  const timer = setInterval(() => tidy.look(), QUIET_MS).unref()
  signal.addEventListener('abort', () => clearInterval(timer), { once: true })
}

interface Heap {
  readonly usedBytes: () => number
  readonly collect: () => void
}

/** Decides when to collect: called in even intervals, one of which must pass in which nothing was heard. */
export class Tidy {
  readonly #heap: Heap
  #busy = true
  #leastBytes = 0

  constructor(heap: Heap) {
    this.#heap = heap
  }

  /** Something was programmed, refused or looked through. */
  heard(): void {
    this.#busy = true
  }

  look(): void {
    const isQuiet = !this.#busy
    this.#busy = false
    if (!isQuiet || this.#heap.usedBytes() < this.#leastBytes + GARBAGE_MIN_BYTES) return
    this.#heap.collect()
    this.#leastBytes = this.#heap.usedBytes()
  }
}

const QUIET_MS = 2_000
const GARBAGE_MIN_BYTES = 8 * 2 ** 20
