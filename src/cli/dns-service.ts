/** A DNS controller at work: what the Corefile in force says, derived from the cluster and given to the carrier. */
import { isDeepStrictEqual } from 'node:util'
import type { Connection } from '../carrier/connection.ts'
import { CarrierTarget } from '../carrier/target.ts'
import type { ClusterEvent, Posted } from '../cluster/source/kube.ts'
import type { Rejection } from '../cluster/rejection.ts'
import type { Binding } from '../core/binding.ts'
import type { Event } from '../core/progress.ts'
import { systemClock } from '../core/clock.ts'
import { Gate } from '../core/gate.ts'
import { Graph } from '../core/graph.ts'
import { Runner } from '../core/runner.ts'
import { InputTable, type Readable } from '../core/table.ts'
import { union } from '../core/union.ts'
import type { Configuration, Server } from '../dns/corefile/configuration.ts'
import { disk } from '../dns/corefile/disk.ts'
import { deriveNames } from '../dns/derive.ts'
import { FileNames } from '../dns/filenames.ts'
import type { Log } from '../status/log.ts'
import type { Observer } from '../status/observer.ts'
import { ProgrammingLatency } from '../status/programming.ts'
import { DnsCluster, type Ways } from './dns-clusters.ts'
import { lacksNames } from './dns-held.ts'
import { serviceKind, type DnsMetrics } from './dns-metrics.ts'

/** A row of table `names`. */
type Row = { readonly set: string; readonly name: string; readonly object?: string }

export interface DnsParts {
  readonly carrier: Connection
  readonly observer: Observer
  readonly log: Log
  readonly signal: AbortSignal
  /** Of this pod. */
  readonly name: string
  readonly counted: DnsMetrics
  /** Of the Corefile. */
  readonly problems: Readable<Rejection>
  /** The service whose place this one takes. */
  readonly before: DnsService | null
}

/**
 * From one Corefile to the next whose `kubernetes` says something else: then all begins anew, while the carrier answers on.
 * Whatever else a Corefile says is changed in place.
 */
export class DnsService {
  readonly clusters: readonly DnsCluster[]
  readonly graph = new Graph()
  readonly runner: Runner
  readonly names: Readable<Row>
  readonly rejections: Readable<Rejection>
  readonly servers = new InputTable<Server>('servers')
  readonly #files = new FileNames(disk)
  /** Names that the servers in force ask for, and the next ones do not. */
  readonly #leaving = new InputTable<Row>('names on their way out')
  #configuration: Configuration
  readonly #bindings: { readonly names: Binding; readonly servers: Binding }
  readonly #parts: Pick<DnsParts, 'carrier' | 'log' | 'signal'>
  readonly #ending = new AbortController()
  readonly #running: Promise<void>
  /** What was refused last, and was said. */
  #told = ''
  readonly #retrying: NodeJS.Timeout

  constructor(configuration: Configuration, ways: Ways, stateDir: string, parts: DnsParts) {
    const { carrier, problems, before, log, name } = parts
    this.#configuration = configuration
    const signal = AbortSignal.any([parts.signal, this.#ending.signal])
    this.#parts = { carrier, log, signal }
    const onAnswer: DnsMetrics['answered'] = (answer) => parts.counted.answered(answer)
    const at = { component: 'fairlead-dns', host: name, log, signal, onAnswer }
    this.clusters = ways.map((way) => new DnsCluster(way, stateDir, at))
    const derived = this.clusters.map(({ tables, instances }) => deriveNames(this.graph, tables, instances))
    const rejected = this.clusters.map(({ tables }) => tables.rejections)
    this.rejections = union('problems', [
      ...[problems, ...rejected, ...derived.map(({ rejections }) => rejections)],
      this.#files.rejections,
    ])
    const others = [this.graph.input(this.#files.rows), this.graph.input(this.#leaving)]
    const rows = derived.map((names) => names.rows)
    this.names = union<Row>('names', [...(rows.length > 1 ? this.#gates(rows, signal, log) : rows), ...others])
    this.runner = new Runner(this.graph, { signal, onEvent: this.#measured(parts), auditEveryMs: AUDIT_MS })
    this.#bindings = { names: this.#attach(this.names, carrier), servers: this.#attach(this.servers, carrier) }
    this.#leaving.markSynced()
    this.#running = this.runner.run()
    this.#retrying = setInterval(() => this.#retry(), RETRY_MS).unref()
    this.#configure(configuration, before)
  }

  /** False: it asks something else of the cluster, and another service must take the place of this one. */
  follow(configuration: Configuration): boolean {
    if (!isDeepStrictEqual(configuration.kubernetes, this.#configuration.kubernetes)) return false
    this.#configure(configuration)
    return true
  }

  async end(): Promise<void> {
    this.#ending.abort()
    clearInterval(this.#retrying)
    this.#files.close()
    await this.#running
    await Promise.all(this.clusters.map(({ source }) => source.done))
  }

  /** What the carrier is given, and what that follows from. */
  get shown(): readonly Readable<unknown>[] {
    return [...this.clusters.flatMap(({ shown }) => shown), this.names, this.servers]
  }

  /** Where each kind of each cluster stands. */
  sources(): ReturnType<DnsCluster['sources']> {
    return this.clusters.flatMap((cluster) => cluster.sources())
  }

  /** To the cluster of this process; where no `kubernetes` is for that, to the first. */
  post(event: ClusterEvent): Promise<Posted> {
    const to = this.clusters.find(({ own }) => own) ?? this.clusters[0]!
    return to.source.post(event)
  }

  /** Why a name of a cluster does not exist; null: nothing can be said. */
  whyMissing(name: string): string | null {
    return this.clusters.map((cluster) => cluster.whyMissing(name)).find((why) => why !== null) ?? null
  }

  /**
   * A cluster that cannot be reached takes none of the others with it: after a while these are answered without it. Until
   * then the carrier answers what it knew before.
   */
  #gates(rows: readonly Readable<Row>[], signal: AbortSignal, log: Log): readonly Readable<Row>[] {
    const gates = rows.map((each) => new Gate<Row>(this.graph, each))
    const since = performance.now()
    const timer = setInterval(() => {
      const isLate = performance.now() - since > PATIENCE_MS && gates.some(({ open }) => open)
      if (isLate) for (const [i, gate] of gates.entries()) if (!gate.synced) this.#leaveOut(gate, i, log)
      if (gates.every(({ synced }) => synced)) clearInterval(timer)
    }, LOOK_MS).unref()
    signal.addEventListener('abort', () => clearInterval(timer), { once: true })
    return gates
  }

  #leaveOut(gate: Gate<Row>, cluster: number, log: Log): void {
    const { title, source } = this.clusters[cluster]!
    log.warn(
      'a cluster has not told its names: they are answered SERVFAIL until it has, those of the others as they are',
      {
        ...{
          cluster: title === '' ? source.from : title,
          remedy: 'see fairlead_source_state, and what is logged of it',
        },
      },
    )
    gate.pass()
  }

  /** Events go on to the observer; those of names say how long endpoints took. */
  #measured({ observer, counted }: DnsParts): (event: Event) => void {
    const histogram = counted.programming
    const latencies = this.clusters.map(({ tables: { slices, services } }) => {
      const latency = new ProgrammingLatency({ slices, rows: this.names, histogram, label: serviceKind(services) })
      slices.watch(latency)
      return latency
    })
    return (event) => {
      const isTold = event.kind === 'refused' && this.#told === (this.#told = JSON.stringify(event.refused))
      if (!isTold) observer.hear(event)
      if (event.kind !== 'applied' || event.target !== 'carrier names') return
      for (const latency of latencies) latency.committed(event.to.number)
    }
  }

  /** A port that somebody else had may be free by now. */
  #retry(): void {
    const { servers } = this.#bindings
    const { size } = servers.status().refused
    if (size === 0) this.#told = ''
    else servers.recover(`${size} server blocks were refused: they are tried again`)
  }

  #attach<Row>(table: Readable<Row>, carrier: Connection): Binding<Row> {
    // A carrier that was started anew is told again at once.
    const target = new CarrierTarget<Row>(table.name, carrier, () => void binding.audit().catch(() => {}))
    const binding = this.runner.attach(table, target)
    return binding
  }

  /** Of two tables only one changes at a time: names of the old servers stay until the new ones are in force. */
  #configure(configuration: Configuration, before: DnsService | null = this): void {
    const sets = new Set([...configuration.kubernetes, ...configuration.sources].map(({ set }) => set))
    this.#leaving.replace([...(before?.names.entries() ?? [])].filter(([, row]) => !sets.has(row.set)))
    this.#configuration = configuration
    this.#files.follow(configuration)
    void this.#serve(configuration, before).catch(() => {}) // it rejects when we are stopped before
  }

  async #serve(configuration: Configuration, before: DnsService | null): Promise<void> {
    const isCurrent = (): boolean => this.#configuration === configuration // else a newer one came meanwhile
    if (before !== null) await this.#bindings.names.whenApplied(this.names.number)
    else await this.#untilKnown(configuration)
    if (!isCurrent()) return
    this.servers.replace(configuration.servers.map((server, i): [string, Server] => [String(i), server]))
    this.servers.markSynced()
    await this.#bindings.servers.whenApplied(this.servers.number)
    if (isCurrent()) this.#leaving.replace([])
  }

  /**
   * A carrier that already serves as another Corefile says goes on so until it has the names of this one, or these take
   * long. One that serves nothing cannot wait: what is no name of the cluster is answered whether that is known or not.
   */
  async #untilKnown(configuration: Configuration): Promise<void> {
    const { carrier, log, signal } = this.#parts
    if (!(await lacksNames(carrier, configuration, signal))) return
    const late = new AbortController()
    const known = this.#bindings.names.whenApplied(1).finally(() => late.abort())
    const waited = systemClock.after(KNOWN_LIMIT_MS, AbortSignal.any([signal, late.signal])).then(() => {
      if (signal.aborted || late.signal.aborted) return
      log.warn(
        'the Corefile in force asks for names that are not known yet: they are answered SERVFAIL until they are',
        {
          remedy: 'see fairlead_source_state, and what is logged of it',
        },
      )
    })
    await Promise.race([known, waited])
  }
}

const AUDIT_MS = 60_000
/** How long names of all clusters are waited for, once those of one are there. */
const PATIENCE_MS = 10_000
const LOOK_MS = 1_000
const RETRY_MS = 10_000
/** How long servers that ask for other names than those before wait for them. */
const KNOWN_LIMIT_MS = 60_000
