/** Fairlead's own metrics: tables, targets, sources, rejections, conntrack and the process. */
import type { Rejection } from '../cluster/rejection.ts'
import type { KindState } from '../cluster/source/kube/reflector.ts'
import type { Event, Status } from '../core/progress.ts'
import type { Readable } from '../core/table.ts'
import { connectionMetrics, type Connections } from './connections.ts'
import { exponential, type Metrics } from './metrics.ts'
import type { Observer } from './observer.ts'

export interface Observed {
  readonly version: string
  readonly tables: () => readonly Readable<unknown>[]
  readonly bindings: () => Iterable<{ status(): Status }>
  readonly sources: () => Iterable<KindState>
  readonly rejections: Pick<Readable<Rejection>, 'size' | 'entries'>
  readonly faults: () => Iterable<unknown>
  readonly connections: () => Connections | null
}

export function gauges(metrics: Metrics, observer: Observer, observed: Observed): void {
  metrics.gauge('fairlead_build_info', 'Always 1', ['version']).set(1, observed.version)
  deeds(metrics, observer)
  standing(metrics, observed)
  connectionMetrics(metrics, observed.connections)
  processFigures(metrics)
}

/** What targets do, as they do it. */
function deeds(metrics: Metrics, observer: Observer): void {
  const label = ['target']
  const apply = metrics.histogram(
    'fairlead_target_apply_seconds',
    'Time to make the outside world equal to a change of the table (kind change) or to all of it (kind all)',
    exponential(0.0005, 2, 16),
    ['target', 'kind'],
  )
  const size = metrics.histogram(
    'fairlead_target_delta_rows',
    'Rows put and dropped by an apply',
    exponential(1, 4, 10),
    label,
  )
  const failures = metrics.counter('fairlead_target_failures_total', 'Applies that failed as a whole', label)
  const repairs = metrics.counter(
    'fairlead_target_repairs_total',
    "Repairs of somebody else's change, or of drift",
    label,
  )
  const audits = metrics.histogram('fairlead_target_audit_seconds', 'Time of an audit', exponential(0.001, 4, 8), label)
  observer.onEvent((event: Event) => {
    if (event.kind === 'applied') {
      apply.observe(event.ms / 1000, event.target, event.from === 0 ? 'all' : 'change')
      size.observe(event.put + event.drop, event.target)
    } else if (event.kind === 'failed') failures.add(1, event.target)
    else if (event.kind === 'recovering') repairs.add(1, event.target)
    else if (event.kind === 'audited') audits.observe(event.ms / 1000, event.target)
  })
}

/** How things stand, when somebody asks. */
function standing(metrics: Metrics, observed: Observed): void {
  const rows = metrics.gauge('fairlead_table_rows', 'Rows of a table', ['table'])
  const target = (name: string, help: string) => metrics.gauge(`fairlead_target_${name}`, help, ['target'])
  const pending = target('pending_rows', 'Rows that are not delivered yet')
  const refused = target('refused_rows', 'Rows that the outside world would not take')
  const drifted = target('drifted', '1: the last audit found a difference that is not repaired yet')
  const applied = target('last_applied_timestamp_seconds', 'When an apply last succeeded')
  const source = metrics.gauge('fairlead_source_state', '1: in this state', ['kind', 'state'])
  const failures = metrics.gauge('fairlead_source_failures', 'Failures since all was well', ['kind'])
  const faults = metrics.gauge('fairlead_derivation_faults', 'Derivations that threw: bugs; their objects have no rows')
  const rejections = metrics.gauge('fairlead_rejections', 'Things in objects that cannot be used')
  const rejected = metrics.gauge('fairlead_rejected', `1: this cannot be used; the first ${REJECTED_MAX}`, [
    'object',
    'field',
  ])
  metrics.onCollect(() => {
    for (const table of observed.tables()) rows.set(table.size, table.name)
    for (const binding of observed.bindings()) {
      const status = binding.status()
      pending.set(status.pending, status.target)
      refused.set(status.refused.size, status.target)
      drifted.set(status.drift === null ? 0 : 1, status.target)
      if (status.lastAppliedAt !== null) applied.set(status.lastAppliedAt / 1000, status.target)
    }
    source.clear()
    for (const { kind, phase, failures: count } of observed.sources()) {
      source.set(1, kind, phase)
      failures.set(count, kind)
    }
    rejections.set(observed.rejections.size)
    rejected.clear()
    let named = 0
    for (const [, { object, field }] of observed.rejections.entries()) {
      if (named++ >= REJECTED_MAX) break
      rejected.set(1, object, field)
    }
    faults.set([...observed.faults()].length)
  })
}

/** As every Prometheus client names them. */
function processFigures(metrics: Metrics): void {
  const cpu = metrics.counter('process_cpu_seconds_total', 'User and system CPU time')
  const memory = metrics.gauge('process_resident_memory_bytes', 'Resident memory size')
  const started = metrics.gauge('process_start_time_seconds', 'Start time since the epoch')
  started.set(Math.round(Date.now() / 1000 - process.uptime()))
  let counted = 0
  metrics.onCollect(() => {
    const { user, system } = process.cpuUsage()
    const total = (user + system) / 1e6
    cpu.add(total - counted)
    counted = total
    memory.set(process.memoryUsage.rss())
  })
}

/** A label that grows without bound would take the memory of whoever collects. */
const REJECTED_MAX = 100
