/**
 * Is the proxy healthy: kube-proxy's rules, so that load balancers and probes need not know the difference
 * (kubernetes pkg/proxy/healthcheck/proxy_health.go). An update that waits longer than the timeout makes it unhealthy;
 * /healthz also says no when the node is going away, /livez does not look at the node.
 */
import type { Family } from '../cluster/protocol.ts'
import type { Node } from '../cluster/node.ts'
import { json, type Answer, type Routes } from './server.ts'
import type { Counter } from './metrics.ts'

export interface HealthOptions {
  /** How long an update may wait. kube-proxy: twice the sync period of 30 s. */
  readonly timeoutMs?: number
  /** Milliseconds since 1970. */
  readonly clock?: () => number
}

export interface HealthReport {
  /** RFC 3339. The last time rules were brought up to date; "0001-01-01T00:00:00Z": never. */
  readonly lastUpdated: string
  readonly currentTime: string
  readonly nodeEligible?: boolean
  readonly healthy: boolean
  readonly status: Readonly<Record<string, { readonly lastUpdated: string; readonly healthy: boolean }>>
}

export class Health {
  readonly #timeoutMs: number
  readonly #clock: () => number
  readonly #updated = new Map<Family, number>()
  /** Since when the oldest update waits. */
  readonly #pending = new Map<Family, number>()
  // Eligible until the node says otherwise: the proxy is healthy while it starts.
  #eligible = true

  constructor(options: HealthOptions = {}) {
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS
    this.#clock = options.clock ?? Date.now
  }

  /** Something changed that is not yet in the kernel. */
  queued(...families: readonly Family[]): void {
    const now = this.#clock()
    for (const family of families.length > 0 ? families : BOTH) {
      if (!this.#pending.has(family)) this.#pending.set(family, now)
    }
  }

  /** All that was queued is in the kernel. */
  updated(...families: readonly Family[]): void {
    const now = this.#clock()
    for (const family of families.length > 0 ? families : BOTH) {
      this.#pending.delete(family)
      this.#updated.set(family, now)
    }
  }

  /** What the API server says of our node; null: it has no such node (any more). */
  node(node: Pick<Node, 'deleting' | 'taints'> | null): void {
    this.#eligible = node !== null && !node.deleting && !node.taints.includes(TO_BE_DELETED)
  }

  get nodeEligible(): boolean {
    return this.#eligible
  }

  /** Ignores the node, as livez and the health check node ports do. */
  get healthy(): boolean {
    return BOTH.every((family) => this.#familyHealthy(family, this.#clock()))
  }

  report(): HealthReport {
    const now = this.#clock()
    const healthy = BOTH.every((family) => this.#familyHealthy(family, now))
    const status: Record<string, { lastUpdated: string; healthy: boolean }> = {}
    for (const [family, at] of this.#updated) {
      status[family === 4 ? 'IPv4' : 'IPv6'] = { lastUpdated: rfc3339(at), healthy: this.#familyHealthy(family, now) }
    }
    const last = Math.max(...this.#updated.values())
    return { lastUpdated: rfc3339(last), currentTime: rfc3339(now), healthy, status }
  }

  /** `/healthz` and `/livez`. `answered` counts answers by path and code. */
  routes(answered?: { readonly healthz: Counter; readonly livez: Counter }): Routes {
    return {
      '/healthz': () => {
        const answer = this.#answer(this.#eligible, { nodeEligible: this.#eligible })
        answered?.healthz.add(1, String(answer.status))
        return answer
      },
      '/livez': () => {
        const answer = this.#answer(true, {})
        answered?.livez.add(1, String(answer.status))
        return answer
      },
    }
  }

  #answer(eligible: boolean, extra: { nodeEligible?: boolean }): Answer {
    const { lastUpdated, currentTime, healthy, status } = this.report()
    const good = healthy && eligible
    // While it is healthy lastUpdated is now, also when nothing had to be done: older readers take it for a heartbeat.
    return json(good ? 200 : 503, {
      lastUpdated: good ? currentTime : lastUpdated,
      currentTime,
      ...extra,
      healthy,
      status,
    })
  }

  /** A family that was never programmed is starting, which is healthy. */
  #familyHealthy(family: Family, now: number): boolean {
    const since = this.#pending.get(family)
    return !this.#updated.has(family) || since === undefined || now - since < this.#timeoutMs
  }
}

const rfc3339 = (ms: number) => (Number.isFinite(ms) ? new Date(ms).toISOString() : '0001-01-01T00:00:00Z')

const BOTH: readonly Family[] = [4, 6]
const TIMEOUT_MS = 60_000
// Set by the cluster autoscaler before it deletes a node (autoscaler utils/taints).
const TO_BE_DELETED = 'ToBeDeletedByClusterAutoscaler'
