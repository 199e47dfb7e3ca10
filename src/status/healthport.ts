/**
 * Health check node ports: a load balancer asks each node whether it has endpoints of a Service with
 * externalTrafficPolicy Local (kubernetes pkg/proxy/healthcheck/service_health.go). One listener a port, any path.
 */
import type { Delta, Drift, Key, Refused, Target } from '../core/delta.ts'
import { serve, type Answer, type Listening } from './server.ts'

export interface HealthPort {
  /** spec.healthCheckNodePort. */
  readonly port: number
  readonly namespace: string
  readonly name: string
  /** Ready endpoints on this node; those that only terminate do not count. */
  readonly localReadyEndpoints: number
}

export class HealthPorts implements Target<HealthPort> {
  readonly name = 'health-ports'
  readonly #healthy: () => boolean
  readonly #host: string
  readonly #open = new Map<Key, { row: HealthPort; readonly listener: Extract<Listening, { kind: 'listening' }> }>()

  /** `healthy`: is the proxy (Health.healthy). `host`: '' is every address. */
  constructor(healthy: () => boolean, host = '') {
    this.#healthy = healthy
    this.#host = host
  }

  async apply(delta: Delta<HealthPort>): Promise<readonly Refused[]> {
    const gone = delta.from === 0 ? [...this.#open.keys()].filter((key) => !delta.put.has(key)) : [...delta.drop]
    const moved = [...delta.put].filter(([key, row]) => (this.#open.get(key)?.row.port ?? row.port) !== row.port)
    // All closing before any opening: a port may go from one Service to another in one delta.
    await Promise.all([...gone, ...moved.map(([key]) => key)].map((key) => this.#close(key)))
    const refused: Refused[] = []
    for (const [key, row] of delta.put) {
      const open = this.#open.get(key)
      if (open) open.row = row
      else refused.push(...(await this.#listen(key, row)))
    }
    return refused
  }

  /** Sockets of our own cannot be changed by others. */
  audit(): Promise<Drift> {
    return Promise.resolve({ clean: true })
  }

  async cleanup(): Promise<void> {
    await Promise.all([...this.#open.keys()].map((key) => this.#close(key)))
  }

  async #listen(key: Key, row: HealthPort): Promise<readonly Refused[]> {
    const listener = await serve({ host: this.#host, port: row.port }, { '*': () => this.#answer(key) })
    if (listener.kind === 'refused') return [{ key, reason: listener.reason, remedy: listener.remedy }]
    this.#open.set(key, { row, listener })
    return []
  }

  async #close(key: Key): Promise<void> {
    const open = this.#open.get(key)
    this.#open.delete(key)
    await open?.listener.close()
  }

  #answer(key: Key): Answer {
    const row = this.#open.get(key)?.row
    const local = row?.localReadyEndpoints ?? 0
    const healthy = this.#healthy()
    const service = { namespace: row?.namespace ?? '', name: row?.name ?? '' }
    return {
      status: local > 0 && healthy ? 200 : 503,
      type: 'application/json',
      body: JSON.stringify({ service, localEndpoints: local, serviceProxyHealthy: healthy }, null, '\t'),
      headers: { 'x-load-balancing-endpoint-weight': String(local) },
    }
  }
}
