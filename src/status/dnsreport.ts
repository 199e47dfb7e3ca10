/** What `fairlead dns` says on /dns/status of itself and of the carrier beside it: JSON, a part of `fairlead status`. */
import type { Report } from './report.ts'

export interface DnsReport {
  /** Its name is that of its pod. */
  readonly controller: Report
  readonly corefile: CorefileReport
  /** null: it does not answer. */
  readonly carrier: CarrierReport | null
  /** Why there is no carrier; '' when there is one. */
  readonly why: string
}

export interface CorefileReport {
  /** SHA-512 of what is in force; null: nothing yet. */
  readonly digest: string | null
  /** Why the last one that was read is not in force; null: it is. */
  readonly error: string | null
}

export interface CarrierReport {
  readonly version: string
  readonly upSeconds: number
  /** The first whole table of names has come: from a controller, or from the disk. */
  readonly synced: boolean
  /** Connections of controllers since it began; one is there, for it told us this. */
  readonly connections: number
  readonly tables: readonly CarrierTable[]
  /** Rows refused since it began. */
  readonly refused: number
  readonly worker: {
    /** null: none serves at the moment. */
    readonly pid: number | null
    readonly starts: number
  }
  /** Servers that are asked, each once. */
  readonly upstreams: readonly { readonly address: string; readonly down: boolean }[]
  /** Of those who read answers; null: nobody may. */
  readonly readers: number | null
  /** Where it cannot listen, and why. */
  readonly closed: readonly string[]
}

export interface CarrierTable {
  readonly name: string
  /** What is held; null: nothing. */
  readonly revision: { readonly epoch: string; readonly number: number } | null
  readonly rows: number
  /** Of its log. */
  readonly octets: number
  readonly on: 'disk' | 'memory'
}

/** Of the carrier's answer to `stats`. Throws when it is not what a carrier says. */
export function carrierReport(stats: unknown): CarrierReport {
  const { version, upSeconds, tables, worker, controller, missing, pagesMissing } = stats as Stats
  const { says } = worker
  return {
    ...{ version, upSeconds, refused: controller.refused, connections: controller.connections },
    synced: says.synced ?? false,
    tables: Object.entries(tables).map(([name, { rows, ...table }]) => ({ name, rows: rows ?? 0, ...table })),
    worker: { pid: worker.pid, starts: worker.starts },
    upstreams: says.upstreams ?? [],
    readers: says.readers ?? null,
    closed: [
      ...missing.map(({ place: { transport, address }, why }) => `${transport}://${address}: ${why}`),
      ...pagesMissing,
    ],
  }
}

/** As native/supervisor (figures.rs) and native/dns (worker.rs) write it; `says` is that of a worker, while there is one. */
interface Stats {
  readonly version: string
  readonly upSeconds: number
  readonly tables: Readonly<Record<string, Omit<CarrierTable, 'name' | 'rows'> & { readonly rows: number | null }>>
  readonly missing: readonly {
    readonly place: { readonly transport: string; readonly address: string }
    readonly why: string
  }[]
  readonly pagesMissing: readonly string[]
  readonly controller: { readonly connections: number; readonly refused: number }
  readonly worker: {
    readonly pid: number | null
    readonly starts: number
    readonly says: Partial<Pick<CarrierReport, 'synced' | 'upstreams' | 'readers'>>
  }
}
