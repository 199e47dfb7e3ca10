/**
 * Is the proxy healthy: kube-proxy's rules, so that load balancers and probes need not know the difference
 * (kubernetes pkg/proxy/healthcheck/proxy_health.go). A change that waits longer than the timeout makes it unhealthy;
 * /healthz also says no when the node is going away, /livez does not look at the node.
 */
import type { Node } from '../cluster/node.ts'
import { json, type Answer, type Routes } from './server.ts'
import type { Counter } from './metrics.ts'

/** Where the service rules stand (a core Status has both). Milliseconds since 1970; null: nothing waits; never applied. */
export interface Progress {
  readonly pendingSince: number | null
  readonly lastAppliedAt: number | null
}

export interface HealthOptions {
  readonly progress: () => Progress
  /** How long a change may wait. kube-proxy: twice the sync period of 30 s. */
  readonly timeoutMs?: number
  /** Milliseconds since 1970. */
  readonly clock?: () => number
}

export class Health {
  readonly #progress: () => Progress
  readonly #timeoutMs: number
  readonly #clock: () => number
  // Eligible until the node says otherwise: the proxy is healthy while it starts.
  #eligible = true

  constructor(options: HealthOptions) {
    this.#progress = options.progress
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS
    this.#clock = options.clock ?? Date.now
  }

  /** What the API server says of our node; null: it has no such node (any more). */
  node(node: Pick<Node, 'deleting' | 'taints'> | null): void {
    this.#eligible = node !== null && !node.deleting && !node.taints.includes(TO_BE_DELETED)
  }

  get nodeEligible(): boolean {
    return this.#eligible
  }

  /** Ignores the node, as livez and the health check node ports do. Before the first apply it is starting, which is healthy. */
  get healthy(): boolean {
    const { pendingSince, lastAppliedAt } = this.#progress()
    return lastAppliedAt === null || pendingSince === null || this.#clock() - pendingSince < this.#timeoutMs
  }

  /** `/healthz` and `/livez`. `answered` counts answers by code. */
  routes(answered?: { readonly healthz: Counter; readonly livez: Counter }): Routes {
    return {
      '/healthz': () => this.#answer({ nodeEligible: this.#eligible }, answered?.healthz),
      '/livez': () => this.#answer({}, answered?.livez),
    }
  }

  #answer(node: { readonly nodeEligible?: boolean }, answered: Counter | undefined): Answer {
    const { lastAppliedAt } = this.#progress()
    const healthy = this.healthy
    const good = healthy && node.nodeEligible !== false
    const currentTime = rfc3339(this.#clock())
    const applied = lastAppliedAt === null ? NEVER : rfc3339(lastAppliedAt)
    // kube-proxy has a proxier for each family; here one target programs both.
    const family = { lastUpdated: applied, healthy }
    const status = lastAppliedAt === null ? {} : { status: { IPv4: family, IPv6: family } }
    // While it is healthy lastUpdated is now, also when nothing had to be done: older readers take it for a heartbeat.
    const lastUpdated = good ? currentTime : applied
    const answer = json(good ? 200 : 503, { lastUpdated, currentTime, ...node, healthy, ...status })
    answered?.add(1, String(answer.status))
    return answer
  }
}

const rfc3339 = (ms: number) => new Date(ms).toISOString()

const NEVER = '0001-01-01T00:00:00Z' // Go's zero time
const TIMEOUT_MS = 60_000
// Set by the cluster autoscaler before it deletes a node (autoscaler utils/taints).
const TO_BE_DELETED = 'ToBeDeletedByClusterAutoscaler'
