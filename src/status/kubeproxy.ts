/**
 * kube-proxy's metrics under their own names and buckets (kubernetes pkg/proxy/metrics/metrics.go), where they mean the
 * same here, so that existing dashboards and alerts keep working. One target programs both families: both labels get its figures.
 */
import type { Event } from '../core/progress.ts'
import type { Readable } from '../core/table.ts'
import type { ServiceRow } from '../service/rows.ts'
import { exponential, linear, type Counter, type Histogram, type Metrics } from './metrics.ts'

export interface KubeProxyMetrics {
  readonly healthz: Counter
  readonly livez: Counter
  /** Seconds from the change's trigger time to its being programmed; label ip_family. */
  readonly networkProgramming: Histogram
  /** Entries deleted from conntrack; label ip_family. */
  readonly conntrackDeleted: Counter
  /** Seconds; label ip_family. */
  readonly conntrackSeconds: Histogram
  /** What the target of the service rows does. */
  hear(event: Event): void
}

export interface ServiceSide {
  /** Changes seen so far, and waiting, by kind. */
  readonly changes: () => { readonly services: number; readonly endpoints: number }
  readonly pending: () => { readonly services: number; readonly endpoints: number }
  /** Since when the oldest change waits, ms since 1970. */
  readonly queuedAt: () => number | null
  readonly rows: Readable<ServiceRow>
}

export function kubeProxyMetrics(metrics: Metrics, side: ServiceSide): KubeProxyMetrics {
  const seconds = exponential(0.001, 2, 15)
  const rules = (name: string, help: string) => metrics.histogram(`${P}sync_${name}`, help, seconds, FAMILY)
  const all = rules('proxy_rules_duration_seconds', 'SyncProxyRules latency in seconds')
  const full = rules('full_proxy_rules_duration_seconds', 'SyncProxyRules latency in seconds for full resyncs')
  const partial = rules('partial_proxy_rules_duration_seconds', 'SyncProxyRules latency in seconds for partial resyncs')
  const last = metrics.gauge(`${R}last_timestamp_seconds`, 'The last time proxy rules were successfully synced', FAMILY)
  const failures = metrics.counter(
    `${R}nftables_sync_failures_total`,
    'Cumulative proxy nftables sync failures',
    FAMILY,
  )
  collected(metrics, side)
  const conntrack = conntrackMetrics(metrics, seconds)
  const code = (name: string) =>
    metrics.counter(`${P}proxy_${name}_total`, `Cumulative proxy ${name} HTTP status`, ['code'])
  return {
    healthz: code('healthz'),
    livez: code('livez'),
    networkProgramming: metrics.histogram(
      `${P}network_programming_duration_seconds`,
      'In Cluster Network Programming Latency in seconds',
      [...linear(0.25, 0.25, 2), ...linear(1, 1, 59), ...linear(60, 5, 12), ...linear(120, 30, 7)],
      FAMILY,
    ),
    ...conntrack,
    hear(event) {
      for (const family of FAMILIES) {
        if (event.kind === 'failed') failures.add(1, family)
        if (event.kind !== 'applied') continue
        all.observe(event.ms / 1000, family)
        ;(event.from === 0 ? full : partial).observe(event.ms / 1000, family)
        last.set(Date.now() / 1000, family)
      }
    },
  }
}

/** What its conntrack reconciler counts: entries deleted, and how long a look through the table took, deletions included. */
function conntrackMetrics(metrics: Metrics, seconds: readonly number[]) {
  const conntrackDeleted = metrics.counter(
    `${P}conntrack_reconciler_deleted_entries_total`,
    'Cumulative conntrack flows deleted by conntrack reconciler',
    FAMILY,
  )
  for (const family of FAMILIES) conntrackDeleted.add(0, family)
  const conntrackSeconds = metrics.histogram(
    `${P}conntrack_reconciler_sync_duration_seconds`,
    'ReconcileConntrackFlowsLatency latency in seconds',
    seconds,
    FAMILY,
  )
  return { conntrackDeleted, conntrackSeconds }
}

/** What is read when somebody asks. */
function collected(metrics: Metrics, side: ServiceSide): void {
  const services = metrics.counter(`${R}service_changes_total`, 'Cumulative proxy rules Service changes')
  const endpoints = metrics.counter(`${R}endpoint_changes_total`, 'Cumulative proxy rules Endpoint changes')
  const servicesPending = metrics.gauge(`${R}service_changes_pending`, 'Pending proxy rules Service changes')
  const endpointsPending = metrics.gauge(`${R}endpoint_changes_pending`, 'Pending proxy rules Endpoint changes')
  const queued = metrics.gauge(
    `${R}last_queued_timestamp_seconds`,
    'The last time a sync of proxy rules was queued',
    FAMILY,
  )
  const noLocal = metrics.gauge(
    `${R}no_local_endpoints_total`,
    'Number of services with a Local traffic policy and no endpoints',
    ['ip_family', 'traffic_policy'],
  )
  let seen = { services: 0, endpoints: 0 }
  metrics.onCollect(() => {
    const now = side.changes()
    services.add(Math.max(0, now.services - seen.services))
    endpoints.add(Math.max(0, now.endpoints - seen.endpoints))
    seen = now
    const pending = side.pending()
    servicesPending.set(pending.services)
    endpointsPending.set(pending.endpoints)
    const queuedAt = side.queuedAt()
    if (queuedAt !== null) for (const family of FAMILIES) queued.set(queuedAt / 1000, family)
    for (const [key, count] of withoutLocal(side.rows)) {
      const [family, policy] = key.split(' ')
      noLocal.set(count, family!, policy!)
    }
  })
}

/** ServicePorts with a Local policy and nothing here to serve it, by `family policy`. */
function withoutLocal(rows: Readable<ServiceRow>): ReadonlyMap<string, number> {
  const found = new Map(
    FAMILIES.flatMap((family) => POLICIES.map((policy) => [`${family} ${policy}`, new Set<string>()])),
  )
  for (const [, row] of rows.entries()) {
    if (row.kind !== 'frontend') continue
    const family = row.ip.includes(':') ? 'IPv6' : 'IPv4'
    if (row.local === 0 && row.localEmpty === 'drop') found.get(`${family} external`)!.add(row.service)
    if (row.scope === 'cluster' && row.slots === 0 && row.mainEmpty === 'drop')
      found.get(`${family} internal`)!.add(row.service)
  }
  return new Map([...found].map(([key, services]) => [key, services.size]))
}

const P = 'kubeproxy_'
const R = 'kubeproxy_sync_proxy_rules_'
const FAMILY = ['ip_family']
const FAMILIES = ['IPv4', 'IPv6']
const POLICIES = ['internal', 'external']
