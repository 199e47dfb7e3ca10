import { getHeapStatistics } from 'node:v8'
import type { Observer } from '../status/observer.ts'

/**
 * Node collects no garbage while it does nothing, and a first list leaves behind more than an agent then holds: with 10,000
 * Services the process stays at 250 MB for ever instead of 140. So it is collected once there is much of it and all has been
 * quiet for a while. Takes 0.1 to 0.2 s with so many Services. Does nothing unless Node was started with --expose-gc, as
 * bin/fairlead does.
 */
export function collectWhenQuiet(observer: Observer, signal: AbortSignal): void {
  const collect = globalThis.gc
  if (collect === undefined) return
  let busy = true
  let least = 0
  observer.onEvent(() => (busy = true))
  const look = (): void => {
    const quiet = !busy
    busy = false
    if (!quiet || used() < least + GARBAGE_MIN_BYTES) return
    // `last-resort` also compacts, and gives freed pages back to the kernel at once.
    collect({ type: 'major', execution: 'sync', flavor: 'last-resort' })
    least = used()
  }
  const timer = setInterval(look, QUIET_MS).unref()
  signal.addEventListener('abort', () => clearInterval(timer), { once: true })
}

const used = (): number => getHeapStatistics().used_heap_size

/** Nothing was programmed, refused or looked through in this time. */
const QUIET_MS = 2_000
const GARBAGE_MIN_BYTES = 24 * 2 ** 20
