/** The side of the ingress controller that only reads: healthz, readyz, metrics, statusz, Events. */
import { readConnections } from '../kernel/conntrack.ts'
import { problemEvents, tellProblems, type RefusedRow } from '../status/events.ts'
import { gauges } from '../status/gauges.ts'
import type { Log } from '../status/log.ts'
import type { Metrics } from '../status/metrics.ts'
import type { Observer } from '../status/observer.ts'
import type { Answer } from '../status/server.ts'
import { statusz } from '../status/statusz.ts'
import type { CertificateNews } from './ingress-certificates.ts'
import type { IngressService } from './ingress-service.ts'
import { listen, metricsAnswer } from './listen.ts'
import { version } from './version.ts'

export interface IngressStatusParts {
  readonly options: { readonly name: string; readonly statusBindAddress: string; readonly statusSocket?: string }
  readonly service: IngressService
  readonly observer: Observer
  readonly log: Log
  readonly metrics: Metrics
  readonly certificates: CertificateNews
}

export async function serveIngressStatus({
  options,
  service,
  observer,
  log,
  metrics,
  certificates,
}: IngressStatusParts): Promise<{ close(): Promise<void> }> {
  const { rejections, runner } = service
  const shown = {
    ...{ version, observer, rejections, connections: readConnections },
    tables: () => service.shown,
    sources: () => [...service.source.states(), ...(service.followed?.states() ?? [])],
    faults: () => service.graph.faults(),
  }
  gauges(metrics, observer, { ...shown, bindings: () => runner.bindings })
  const status = statusz({
    ...shown,
    node: options.name,
    healthy: () => service.isReady,
    kernel: () => [],
    ...(service.isOrdering && { certificates: () => certificates.reports() }),
    bindings: () => {
      const sizes = new Map(service.shown.map(({ name, size }) => [name, size]))
      return runner.bindings.map((binding) => {
        const state = binding.status()
        return { rows: sizes.get(state.table) ?? 0, status: state }
      })
    },
    sources: () => shown.sources().map((state) => ({ state, objects: service.objectsOf(state.kind) })),
  })
  const routes = {
    '/healthz': () => OK,
    '/readyz': () => (service.isReady ? OK : NOT_READY),
    '/metrics': () => metricsAnswer(metrics),
    '/statusz': status,
  }
  const servers = [
    await listen(options.statusBindAddress, routes, log),
    ...(options.statusSocket ? [await listen(options.statusSocket, routes, log)] : []),
  ]
  const events = problemEvents(options.name, service.source.post)
  const timer = tellProblems(events, () => ({ rejections, refused: refusedOf(service) }))
  return {
    async close() {
      clearInterval(timer)
      await Promise.all(servers.flatMap((server) => (server.kind === 'listening' ? [server.close()] : [])))
    },
  }
}

/** Said of the Ingress that a refused row came from. */
const refusedOf = ({ runner, proxying }: IngressService): RefusedRow[] =>
  runner.bindings.flatMap((binding) => {
    const { target, refused } = binding.status()
    return [...refused.values()].map((row) => {
      const from = proxying.rows.get(row.key)
      if (from?.kind !== 'route' || from.labels['ingress'] === undefined) return { target, refused: row }
      return {
        target,
        refused: { ...row, key: `Ingress ${from.labels['namespace']}/${from.labels['ingress']} ${row.key}` },
      }
    })
  })

const OK: Answer = { status: 200, type: 'text/plain', body: 'ok\n' }
const NOT_READY: Answer = { status: 503, type: 'text/plain', body: 'the carrier does not have the whole table yet\n' }
