/** How full the table of tracked connections is. A full one drops new connections and says nothing (kubernetes issue 18604). */
import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'

export interface Connections {
  readonly entries: number
  /** 0: no limit. */
  readonly max: number
  /** Packets that could not be tracked and were dropped, since the network namespace was made. */
  readonly drops: number
}

/** What to tell a person when the table is nearly full; null when it is not. */
export function nearLimit({ entries, max }: Connections): string | null {
  if (max === 0 || entries < max * NEAR) return null
  const percent = Math.floor((entries * 100) / max)
  return (
    `conntrack is ${percent} % full (${entries} of ${max}): new connections are dropped once it is full; ` +
    `on the node: sysctl -w net.netfilter.nf_conntrack_max=${max * 2}`
  )
}

/** Says it in the log when the table becomes nearly full, no more is, or drops packets: each time once. */
export class ConnectionsWatch {
  readonly #log: Log
  readonly #read: () => Connections | null
  #wasNear = false
  #drops: number | null = null

  constructor(log: Log, read: () => Connections | null) {
    this.#log = log
    this.#read = read
  }

  look(): void {
    const now = this.#read()
    if (now === null) return
    const near = nearLimit(now)
    if (near !== null && !this.#wasNear) this.#log.warn('conntrack is nearly full', { problem: near })
    if (near === null && this.#wasNear) this.#log.info('conntrack has room again', { ...now })
    this.#wasNear = near !== null
    const dropped = now.drops - (this.#drops ?? now.drops)
    if (dropped > 0) this.#log.warn('packets were dropped that conntrack had no room for', { dropped, ...now })
    this.#drops = now.drops
  }
}

/** NaN where the kernel does not tell. */
export function connectionMetrics(metrics: Metrics, read: () => Connections | null): void {
  const entries = metrics.gauge('fairlead_conntrack_entries', 'Connections the kernel tracks')
  const max = metrics.gauge(
    'fairlead_conntrack_max',
    'Connections the kernel can track (0: no limit); beyond it new ones are dropped',
  )
  const drops = metrics.counter(
    'fairlead_conntrack_drops_total',
    'Packets dropped because they could not be tracked, since the agent started',
  )
  let counted: number | null = null
  metrics.onCollect(() => {
    const now = read()
    entries.set(now?.entries ?? NaN)
    max.set(now?.max ?? NaN)
    if (now === null) return
    drops.add(Math.max(0, now.drops - (counted ?? now.drops)))
    counted = now.drops
  })
}

const NEAR = 0.9
