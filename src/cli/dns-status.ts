/** The side of the DNS controller that only reads: metrics, statusz, Events. /health and /ready are the carrier's. */
import type { Connection } from '../carrier/connection.ts'
import type { Rejection } from '../cluster/rejection.ts'
import type { Readable } from '../core/table.ts'
import { readConnections } from '../kernel/conntrack.ts'
import { problemEvents, tellProblems } from '../status/events.ts'
import { gauges } from '../status/gauges.ts'
import type { Log } from '../status/log.ts'
import type { Metrics } from '../status/metrics.ts'
import type { Observer } from '../status/observer.ts'
import { json, type Questions } from '../status/server.ts'
import { carrierReport, type CorefileReport, type DnsReport } from '../status/dnsreport.ts'
import type { Report } from '../status/report.ts'
import { statusz } from '../status/statusz.ts'
import { lookUp } from './dns-lookup.ts'
import { refusedOf } from './dns-refused.ts'
import { countFor } from './dns-top.ts'
import type { DnsService } from './dns-service.ts'
import { listen, metricsAnswer } from './listen.ts'
import { version } from './version.ts'

export interface DnsStatusParts {
  readonly options: { readonly name: string; readonly metricsBindAddress: string; readonly statusSocket?: string }
  /** null: no Corefile could be used yet. */
  readonly service: () => DnsService | null
  readonly carrier: Connection
  readonly metrics: Metrics
  /** Of the Corefile. */
  readonly problems: Readable<Rejection>
  readonly corefile: () => CorefileReport
  readonly observer: Observer
  readonly log: Log
}

export async function serveDnsStatus(parts: DnsStatusParts): Promise<{ close(): Promise<void> }> {
  const { options, service, carrier, metrics, observer, log } = parts
  const bindings = () => service()?.runner.bindings ?? []
  const tables = () => service()?.shown ?? []
  const shown = {
    ...{ version, tables, observer, connections: readConnections },
    sources: () => (service()?.sources() ?? []).map(({ state }) => state),
    faults: () => service()?.graph.faults() ?? [],
  }
  gauges(metrics, observer, { ...shown, bindings, rejections: rejectionsOf(parts) })
  const status = statusz({
    ...shown,
    node: options.name,
    healthy: () => service() !== null,
    rejections: rejectionsOf(parts),
    kernel: () => [],
    bindings: () => {
      const sizes = new Map(tables().map(({ name, size }) => [name, size]))
      return bindings().map((binding) => {
        const status = binding.status()
        return { rows: sizes.get(status.table) ?? 0, status }
      })
    },
    sources: () => service()?.sources() ?? [],
  })
  const questions: Questions = {
    '/dns/query': (query) => lookUp(query, carrier, service()),
    '/dns/top': (query) => countFor(query, carrier, service()),
    '/dns/status': async () => json(200, await whole(parts, JSON.parse(status().body) as Report)),
  }
  const routes = { '/metrics': () => metricsAnswer(metrics), '/statusz': status }
  const servers = [
    await listen(options.metricsBindAddress, routes, log, questions),
    ...(options.statusSocket ? [await listen(options.statusSocket, routes, log, questions)] : []),
  ]
  const events = problemEvents(options.name, async (event) => service()?.post(event) ?? { kind: 'too many' })
  const timer = tellProblems(events, () => ({
    rejections: rejectionsOf(parts),
    refused: refusedOf(service(), options.name),
  }))
  const figures = setInterval(() => carrier.figures(metrics.render()), FIGURES_MS)
  return {
    async close() {
      clearInterval(timer)
      clearInterval(figures)
      await Promise.all(servers.flatMap((server) => (server.kind === 'listening' ? [server.close()] : [])))
    },
  }
}

/** With what the carrier says of itself. Never rejects. */
async function whole({ carrier, corefile }: DnsStatusParts, controller: Report): Promise<DnsReport> {
  const said = { controller, corefile: corefile() }
  try {
    const stats = await carrier.ask('stats', AbortSignal.timeout(CARRIER_LIMIT_MS))
    return { ...said, carrier: carrierReport(stats), why: '' }
  } catch (error) {
    return { ...said, carrier: null, why: (error as Error).message }
  }
}

const CARRIER_LIMIT_MS = 5_000
/** Prometheus asks every 15 s or so. */
const FIGURES_MS = 2_000

/** Of the Corefile, and of all else once there is a service. */
const rejectionsOf = ({ service, problems }: DnsStatusParts) => ({
  get size() {
    return (service()?.rejections ?? problems).size
  },
  entries: () => (service()?.rejections ?? problems).entries(),
})
