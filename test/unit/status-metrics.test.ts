import t from 'tap'
import { InputTable } from '../../src/core/table.ts'
import type { Event, Status } from '../../src/core/progress.ts'
import type { Rejection } from '../../src/cluster/rejection.ts'
import type { ServiceRow } from '../../src/service/rows.ts'
import type { Connections } from '../../src/status/connections.ts'
import { gauges } from '../../src/status/gauges.ts'
import { kubeProxyMetrics } from '../../src/status/kubeproxy.ts'
import { silent } from '../../src/status/log.ts'
import { exponential, linear, Metrics } from '../../src/status/metrics.ts'
import { Observer } from '../../src/status/observer.ts'

t.test('the text format', (t) => {
  const metrics = new Metrics()
  metrics.counter('b_total', 'Counts.\nTwice', ['code']).add(2, 'a"b\\c\nd')
  metrics.gauge('a', 'A gauge').set(-1.5)
  metrics.counter('c_total', 'Nothing yet')
  metrics.gauge('d', 'No series yet', ['x'])
  const histogram = metrics.histogram('h_seconds', 'H', [0.1, 1], ['t'])
  for (const value of [0.05, 0.1, 0.5, 7]) histogram.observe(value, 'x')
  t.equal(
    metrics.render(),
    `# HELP a A gauge
# TYPE a gauge
a -1.5
# HELP b_total Counts.\\nTwice
# TYPE b_total counter
b_total{code="a\\"b\\\\c\\nd"} 2
# HELP c_total Nothing yet
# TYPE c_total counter
c_total 0
# HELP h_seconds H
# TYPE h_seconds histogram
h_seconds_bucket{t="x",le="0.1"} 2
h_seconds_bucket{t="x",le="1"} 3
h_seconds_bucket{t="x",le="+Inf"} 4
h_seconds_sum{t="x"} 7.65
h_seconds_count{t="x"} 4
`,
  )
  t.end()
})

t.test('misuse is a bug', (t) => {
  const metrics = new Metrics()
  const counter = metrics.counter('a_total', 'x', ['l'])
  t.throws(() => counter.add(-1, 'v'), /cannot add -1/)
  t.throws(() => counter.add(1), /labels are l/)
  t.throws(() => metrics.gauge('a_total', 'x'), /defined twice/)
  t.throws(() => metrics.gauge('not a name', 'x'), /not a metric name/)
  t.end()
})

t.test('a label without bound does not take the memory with it', (t) => {
  const metrics = new Metrics()
  const gauge = metrics.gauge('g', 'x', ['l'])
  for (let i = 0; i < 120_000; i++) gauge.set(i, `v${i}`)
  t.equal(metrics.render().split('\n').length, 100_000 + 3)
  gauge.clear()
  t.equal(metrics.render(), '')
  t.end()
})

t.test("buckets are client_golang's", (t) => {
  t.strictSame(exponential(0.001, 2, 4), [0.001, 0.002, 0.004, 0.008])
  t.strictSame(linear(0.25, 0.25, 2), [0.25, 0.5])
  t.end()
})

const applied = (from: number): Event => ({
  ...{ kind: 'applied', target: 'services', from, to: { epoch: 'e', number: 7 }, put: 3, drop: 1, ms: 12 },
})

t.test("kube-proxy's names", (t) => {
  const metrics = new Metrics()
  const rows = new InputTable<ServiceRow>('services')
  const frontend = {
    kind: 'frontend',
    protocol: 'tcp',
    port: 80,
    affinity: 0,
    pool: 1,
    filtered: false,
    localEmpty: 'drop',
  } as const
  const row = (ip: string, more: object): void =>
    rows.put(ip, {
      ...frontend,
      ip,
      scope: 'cluster',
      slots: 1,
      local: null,
      mainEmpty: 'reject',
      service: 'a/b:',
      ...more,
    })
  row('10.0.0.1', { service: 'a/ok:' })
  row('10.0.0.2', { slots: 0, mainEmpty: 'drop', service: 'a/internal:' })
  row('10.0.0.3', { scope: 'external', local: 0, service: 'a/external:' })
  row('10.0.0.5', { scope: 'external', slots: 0, mainEmpty: 'drop', service: 'a/from-outside:' })
  row('fd00::3', { scope: 'external', local: 0, service: 'a/external:' })
  row('10.0.0.4', { scope: 'external', local: 0, service: 'a/external:' })
  let changes = { services: 2, endpoints: 5 }
  const side = { changes: () => changes, pending: () => ({ services: 0, endpoints: 1 }), queuedAt: () => 5000, rows }
  const proxy = kubeProxyMetrics(metrics, side)
  proxy.hear(applied(0))
  proxy.hear(applied(6))
  proxy.hear({ kind: 'failed', target: 'services', error: new Error('x'), retries: 1, retryInMs: 1 })
  proxy.healthz.add(1, '503')
  proxy.conntrackDeleted.add(3, 'IPv4')
  proxy.conntrackSeconds.observe(0.003, 'IPv4')
  metrics.render()
  changes = { services: 2, endpoints: 9 }
  const text = metrics.render()
  for (const line of [
    'kubeproxy_sync_proxy_rules_duration_seconds_bucket{ip_family="IPv4",le="0.008"} 0',
    'kubeproxy_sync_proxy_rules_duration_seconds_bucket{ip_family="IPv4",le="0.016"} 2',
    'kubeproxy_sync_full_proxy_rules_duration_seconds_count{ip_family="IPv6"} 1',
    'kubeproxy_sync_partial_proxy_rules_duration_seconds_count{ip_family="IPv6"} 1',
    'kubeproxy_sync_proxy_rules_nftables_sync_failures_total{ip_family="IPv4"} 1',
    'kubeproxy_sync_proxy_rules_endpoint_changes_total 9',
    'kubeproxy_sync_proxy_rules_service_changes_total 2',
    'kubeproxy_sync_proxy_rules_endpoint_changes_pending 1',
    'kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds{ip_family="IPv4"} 5',
    'kubeproxy_sync_proxy_rules_no_local_endpoints_total{ip_family="IPv4",traffic_policy="internal"} 1',
    'kubeproxy_sync_proxy_rules_no_local_endpoints_total{ip_family="IPv4",traffic_policy="external"} 1',
    'kubeproxy_sync_proxy_rules_no_local_endpoints_total{ip_family="IPv6",traffic_policy="external"} 1',
    'kubeproxy_sync_proxy_rules_no_local_endpoints_total{ip_family="IPv6",traffic_policy="internal"} 0',
    'kubeproxy_proxy_healthz_total{code="503"} 1',
    'kubeproxy_conntrack_reconciler_deleted_entries_total{ip_family="IPv4"} 3',
    'kubeproxy_conntrack_reconciler_deleted_entries_total{ip_family="IPv6"} 0',
    'kubeproxy_conntrack_reconciler_sync_duration_seconds_bucket{ip_family="IPv4",le="0.004"} 1',
  ])
    t.ok(text.includes(`\n${line}\n`), line)
  t.match(text, /kubeproxy_sync_proxy_rules_last_timestamp_seconds\{ip_family="IPv4"\} \d{10}/)
  t.end()
})

t.test('names of our own', (t) => {
  const metrics = new Metrics()
  const observer = new Observer(silent)
  const services = new InputTable<object>('services')
  services.put('a', {})
  const rejections = new InputTable<Rejection>('rejections')
  const status: Status = {
    ...{ target: 'nftables', table: 'services', applied: null, pending: 4, pendingSince: null },
    ...{ refused: new Map(), lastError: null, lastAppliedAt: 9000, retries: 0, drift: 'x' },
  }
  let connections: Connections | null = { entries: 7, max: 100, drops: 40 }
  const states = [{ kind: 'Pod', phase: 'watching', since: 0, problem: null, failures: 2 }]
  gauges(metrics, observer, {
    version: '1.2.3',
    tables: () => [services],
    bindings: () => [{ status: () => status }],
    sources: () => states as never,
    rejections,
    faults: () => ['one'],
    connections: () => connections,
  })
  observer.hear({ ...applied(0), target: 'nftables' })
  observer.hear({ kind: 'recovering', target: 'nftables', reason: 'flushed' })
  metrics.render()
  states[0]!.phase = 'retrying'
  connections = { entries: 8, max: 100, drops: 43 }
  const text = metrics.render()
  for (const line of [
    'fairlead_build_info{version="1.2.3"} 1',
    'fairlead_table_rows{table="services"} 1',
    'fairlead_target_pending_rows{target="nftables"} 4',
    'fairlead_target_drifted{target="nftables"} 1',
    'fairlead_target_last_applied_timestamp_seconds{target="nftables"} 9',
    'fairlead_target_apply_seconds_count{target="nftables",kind="all"} 1',
    'fairlead_target_delta_rows_sum{target="nftables"} 4',
    'fairlead_target_repairs_total{target="nftables"} 1',
    'fairlead_source_state{kind="Pod",state="retrying"} 1',
    'fairlead_source_failures{kind="Pod"} 2',
    'fairlead_rejections 0',
    'fairlead_conntrack_entries 8',
    'fairlead_conntrack_max 100',
    'fairlead_conntrack_drops_total 3',
  ])
    t.ok(text.includes(`\n${line}\n`) || text.startsWith(`${line}\n`), line)
  t.notMatch(text, 'state="watching"', 'a state that was left is gone')
  t.match(text, /process_resident_memory_bytes \d{7,}/)
  connections = null
  t.match(metrics.render(), '\nfairlead_conntrack_entries NaN\n', 'not 0, which would be a figure')
  t.end()
})
