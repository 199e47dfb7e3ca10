/** Puts together what an agent says of itself: the body of /statusz. Only reads. */
import type { Rejection } from '../cluster/rejection.ts'
import type { KindState } from '../cluster/source/kube/reflector.ts'
import type { Status } from '../core/progress.ts'
import type { Readable } from '../core/table.ts'
import type { Connections } from './connections.ts'
import type { Observer } from './observer.ts'
import {
  REPORTED_MAX,
  type CertificateReport,
  type KernelFeature,
  type Report,
  type SourceReport,
  type TargetReport,
} from './report.ts'
import { json, type Answer } from './server.ts'

/** As Graph.faults gives them. */
export interface Fault {
  readonly table: string
  readonly key: string
  readonly error: Error
}

export interface Parts {
  readonly node: string
  readonly version: string
  readonly healthy: () => boolean
  readonly observer: Observer
  /** The table of each binding, for its size, and where it stands. */
  readonly bindings: () => Iterable<{ readonly rows: number; readonly status: Status }>
  /** The state of each kind, and the table it fills. */
  readonly sources: () => Iterable<{ readonly state: KindState; readonly objects: number }>
  readonly rejections: Pick<Readable<Rejection>, 'size' | 'entries'>
  readonly faults: () => Iterable<Fault>
  readonly kernel: () => readonly KernelFeature[]
  readonly connections: () => Connections | null
  readonly certificates?: () => Iterable<CertificateReport>
}

/** A route for `/statusz`. */
export function statusz(parts: Parts): () => Answer {
  const startedAt = new Date(Date.now() - process.uptime() * 1000).toISOString()
  return () => {
    const report: Report = {
      node: parts.node,
      version: parts.version,
      startedAt,
      healthy: parts.healthy(),
      sources: [...parts.sources()].map(sourceReport),
      targets: [...parts.bindings()].map(({ rows, status }) => targetReport(rows, status, parts.observer)),
      faults: faultsOf(parts.faults()),
      rejections: { count: parts.rejections.size, first: firstOf(parts.rejections.entries()) },
      kernel: parts.kernel(),
      connections: parts.connections(),
      memoryBytes: process.memoryUsage.rss(),
      ...(parts.certificates && { certificates: certificatesOf([...parts.certificates()]) }),
    }
    return json(200, report)
  }
}

const certificatesOf = (all: readonly CertificateReport[]): NonNullable<Report['certificates']> => ({
  count: all.length,
  first: all.slice(0, REPORTED_MAX),
})

function faultsOf(all: Iterable<Fault>): Report['faults'] {
  const faults = [...all]
  const first = faults.slice(0, REPORTED_MAX).map(({ table, key, error }) => `${table} of ${key}: ${error.message}`)
  return { count: faults.length, first }
}

function sourceReport({ state, objects }: { state: KindState; objects: number }): SourceReport {
  return {
    kind: state.kind,
    state: state.stale ? 'stale' : state.phase === 'stopped' ? 'retrying' : state.phase,
    since: new Date(state.since).toISOString(),
    objects,
    error: state.problem === null ? null : [state.problem.message, state.problem.remedy].filter(Boolean).join(': '),
  }
}

function targetReport(rows: number, status: Status, observer: Observer): TargetReport {
  const { last, drift, repairs } = observer.deeds(status.target)
  return {
    name: status.target,
    rows,
    pending: status.pending,
    appliedAt: status.lastAppliedAt === null ? null : new Date(status.lastAppliedAt).toISOString(),
    last,
    drift,
    repairs,
    error: status.lastError?.message ?? null,
    refused: { count: status.refused.size, first: firstOf(status.refused.entries()) },
  }
}

function firstOf<Row>(entries: Iterable<readonly [string, Row]>): Row[] {
  const rows: Row[] = []
  for (const [, row] of entries) {
    if (rows.length >= REPORTED_MAX) break
    rows.push(row)
  }
  return rows
}
