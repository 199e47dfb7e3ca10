/** The side of an agent that only reads: healthz, livez, metrics, statusz, Events. */
import type { KindState, PostEvent } from '../cluster/source/kube.ts'
import type { Rejection } from '../cluster/rejection.ts'
import type { Tables } from '../cluster/tables.ts'
import type { Binding } from '../core/binding.ts'
import type { Readable } from '../core/table.ts'
import { readConnections } from '../kernel/conntrack.ts'
import { probeFeatures, type Feature } from '../kernel/features.ts'
import type { ServiceTables } from '../service/derive.ts'
import { ConnectionsWatch } from '../status/connections.ts'
import { problemEvents, tellProblems, type RefusedRow } from '../status/events.ts'
import { gauges } from '../status/gauges.ts'
import { Health } from '../status/health.ts'
import { kubeProxyMetrics, type KubeProxyMetrics } from '../status/kubeproxy.ts'
import type { Log } from '../status/log.ts'
import { Metrics } from '../status/metrics.ts'
import type { Observer } from '../status/observer.ts'
import { ProgrammingLatency } from '../status/programming.ts'
import type { Routes } from '../status/server.ts'
import { statusz, type Fault } from '../status/statusz.ts'
import type { Mode } from './agent-mode.ts'
import { listen, metricsAnswer } from './listen.ts'
import { version } from './version.ts'

export interface StatusAddresses {
  readonly healthzBindAddress: string
  readonly metricsBindAddress: string
  readonly statusSocket?: string
}

export interface StatusParts {
  readonly options: StatusAddresses & { readonly node: string; readonly mode?: Mode }
  readonly signal: AbortSignal
  readonly log: Log
  readonly observer: Observer
  readonly tables: Tables
  readonly services: ServiceTables
  /** Tables of what targets follow, besides those of services. */
  readonly more: readonly Readable<unknown>[]
  readonly rejections: Readable<Rejection>
  readonly faults: () => Iterable<Fault>
  /** More figures. */
  readonly measure: (metrics: Metrics) => void
  /** What options made of the kernel. */
  readonly set: () => readonly Feature[]
  /** The binding of the service rows. */
  readonly rows: Binding
  readonly bindings: () => readonly Binding[]
  readonly sources: () => Iterable<KindState>
  readonly post: PostEvent
}

export interface StatusSide {
  readonly health: Health
  readonly counters: KubeProxyMetrics
  close(): Promise<void>
}

export async function serveStatus(parts: StatusParts): Promise<StatusSide> {
  const { options, tables, log } = parts
  const health = new Health({ progress: () => parts.rows.status() })
  const metrics = new Metrics()
  const counters = measure(parts, metrics)
  const answers = health.routes(counters)
  // The node is looked at when somebody asks: nothing needs to follow it.
  const withNode = (answer: NonNullable<Routes[string]>): NonNullable<Routes[string]> => {
    return () => {
      if (tables.nodes.synced) health.node(tables.nodes.get(options.node) ?? null)
      return answer()
    }
  }
  const kernel = await probeFeatures(options.mode ?? 'nftables')
  for (const { name, present, remedy } of kernel) if (!present) log.info('kernel feature absent', { name, remedy })
  const status = statusz({
    node: options.node,
    version,
    healthy: () => health.healthy,
    observer: parts.observer,
    bindings: () =>
      parts.bindings().map((binding) => {
        const status = binding.status()
        return { rows: rowsOf(parts, status.table), status }
      }),
    sources: () => [...parts.sources()].map((state) => ({ state, objects: objectsOf(tables, state.kind) })),
    rejections: parts.rejections,
    faults: parts.faults,
    kernel: () => [...kernel, ...parts.set()],
    connections: readConnections,
  })
  const probes: Routes = { '/healthz': withNode(answers['/healthz']!), '/livez': withNode(answers['/livez']!) }
  const inner: Routes = { ...probes, '/metrics': () => metricsAnswer(metrics), '/statusz': status }
  const servers = [
    await listen(options.healthzBindAddress, probes, log),
    await listen(options.metricsBindAddress, inner, log),
    ...(options.statusSocket ? [await listen(options.statusSocket, inner, log)] : []),
  ]
  const watch = new ConnectionsWatch(log, readConnections)
  const events = problemEvents(options.node, parts.post)
  const problems = () => ({ rejections: parts.rejections, refused: refusedOf(parts) })
  const timers = [tellProblems(events, problems), setInterval(() => watch.look(), LOOK_EVERY_MS).unref()]
  return {
    health,
    counters,
    async close() {
      timers.forEach((timer) => clearInterval(timer))
      await Promise.all(servers.flatMap((server) => (server.kind === 'listening' ? [server.close()] : [])))
    },
  }
}

function* refusedOf({ bindings }: StatusParts): Iterable<RefusedRow> {
  for (const binding of bindings()) {
    const { target, refused } = binding.status()
    for (const row of refused.values()) yield { target, refused: row }
  }
}

function measure(parts: StatusParts, metrics: Metrics): KubeProxyMetrics {
  const { tables, services, rows } = parts
  parts.measure(metrics)
  gauges(metrics, parts.observer, {
    version,
    tables: () => [tables.services, tables.slices, tables.nodes, tables.serviceCIDRs, services.rows, ...parts.more],
    bindings: parts.bindings,
    sources: parts.sources,
    rejections: parts.rejections,
    faults: parts.faults,
    connections: readConnections,
  })
  const counters = kubeProxyMetrics(metrics, {
    changes: () => ({ services: tables.services.number, endpoints: tables.slices.number }),
    pending: () => ({ services: 0, endpoints: rows.status().pending }),
    queuedAt: () => rows.status().pendingSince ?? rows.status().lastAppliedAt,
    rows: services.rows,
  })
  const latency = new ProgrammingLatency({
    slices: tables.slices,
    rows: services.rows,
    histogram: counters.networkProgramming,
  })
  tables.slices.watch(latency)
  parts.observer.onEvent((event) => {
    if (event.target !== rows.status().target) return
    counters.hear(event)
    if (event.kind === 'applied') latency.committed(event.to.number)
  })
  return counters
}

function objectsOf(tables: Tables, kind: string): number {
  const table = {
    Service: tables.services,
    EndpointSlice: tables.slices,
    Node: tables.nodes,
    ServiceCIDR: tables.serviceCIDRs,
  }[kind]
  return table?.size ?? 0
}

const rowsOf = ({ services, more }: StatusParts, table: string): number =>
  [services.rows, services.health, ...more].find(({ name }) => name === table)?.size ?? 0

const LOOK_EVERY_MS = 5_000
