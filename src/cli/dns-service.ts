/** A DNS controller at work: what the Corefile in force says, derived from the cluster and given to the carrier. */
import { isDeepStrictEqual } from 'node:util'
import type { Connection } from '../carrier/connection.ts'
import { CarrierTarget } from '../carrier/target.ts'
import type { Rejection } from '../cluster/rejection.ts'
import { createInlets, createTables, type Tables } from '../cluster/tables.ts'
import type { Binding } from '../core/binding.ts'
import type { Event } from '../core/progress.ts'
import { Graph } from '../core/graph.ts'
import { Runner } from '../core/runner.ts'
import { InputTable, type Readable } from '../core/table.ts'
import { union } from '../core/union.ts'
import type { Configuration, Server } from '../dns/corefile/configuration.ts'
import { disk } from '../dns/corefile/disk.ts'
import { deriveNames } from '../dns/derive.ts'
import { FileNames } from '../dns/filenames.ts'
import { zonesOf } from '../dns/names.ts'
import type { NameOptions } from '../dns/options.ts'
import type { Log } from '../status/log.ts'
import type { Observer } from '../status/observer.ts'
import { ProgrammingLatency } from '../status/programming.ts'
import type { DnsMetrics } from './dns-metrics.ts'
import { startSource, type Source, type SourceOptions } from './source.ts'

/** A row of table `names`. */
type Row = { readonly set: string }

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
  readonly tables: Tables
  readonly graph = new Graph()
  readonly runner: Runner
  readonly names: Readable<Row>
  readonly rejections: Readable<Rejection>
  readonly source: Source
  readonly #servers = new InputTable<Server>('servers')
  readonly #files = new FileNames(disk)
  /** Names that the servers in force ask for, and the next ones do not. */
  readonly #leaving = new InputTable<Row>('names on their way out')
  #configuration: Configuration
  readonly #bindings: { readonly names: Binding; readonly servers: Binding }
  readonly #ending: AbortController
  readonly #running: Promise<void>

  /** Throws when there is no way to the cluster. */
  static async start(configuration: Configuration, options: SourceOptions, parts: DnsParts): Promise<DnsService> {
    const ending = new AbortController()
    const signal = AbortSignal.any([parts.signal, ending.signal])
    const tables = createTables()
    const instances = configuration.kubernetes.map((set): NameOptions => ({ set: set.set, ...set.options }))
    const source = await startSource(options, {
      inlets: neededFor(instances, tables),
      rejections: tables.rejections,
      ...{ component: 'fairlead-dns', host: parts.name, log: parts.log, signal },
    })
    const made = { tables, instances, source, ending, signal }
    return new DnsService(configuration, made, parts)
  }

  private constructor(configuration: Configuration, made: Made, parts: DnsParts) {
    const { carrier, problems, before } = parts
    const { tables, source, signal } = made
    this.tables = tables
    this.source = source
    this.#configuration = configuration
    this.#ending = made.ending
    const names = deriveNames(this.graph, tables, made.instances)
    this.rejections = union('problems', [problems, tables.rejections, names.rejections, this.#files.rejections])
    const others = [this.graph.input(this.#files.rows), this.graph.input(this.#leaving)]
    this.names = union<Row>('names', [names.rows, ...others])
    this.runner = new Runner(this.graph, { signal, onEvent: this.#measured(parts), auditEveryMs: AUDIT_MS })
    this.#bindings = { names: this.#attach(this.names, carrier), servers: this.#attach(this.#servers, carrier) }
    this.#leaving.markSynced()
    this.#running = this.runner.run()
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
    this.#files.close()
    await this.#running
    await this.source.done
  }

  /** What the carrier is given, and what that follows from. */
  get shown(): readonly Readable<unknown>[] {
    const { services, slices, namespaces, pods, serviceImports } = this.tables
    return [services, slices, namespaces, pods, serviceImports, this.names, this.#servers]
  }

  /** Of names of this cluster: absolute, lower case. */
  get zones(): readonly string[] {
    return this.#configuration.kubernetes.flatMap(({ options }) => zonesOf(options).own)
  }

  /** How many there are of a kind that is followed. */
  objectsOf(kind: string): number {
    const { services, slices, namespaces, pods, serviceImports } = this.tables
    const tables: Readonly<Record<string, Readable<unknown>>> = {
      ...{ Service: services, EndpointSlice: slices, Namespace: namespaces, Pod: pods, ServiceImport: serviceImports },
    }
    return tables[kind]?.size ?? 0
  }

  /** Events go on to the observer; those of names say how long endpoints took. */
  #measured({ observer, counted }: DnsParts): (event: Event) => void {
    const { slices } = this.tables
    const latency = new ProgrammingLatency({ slices, rows: this.names, histogram: counted.programming })
    slices.watch(latency)
    return (event) => {
      observer.hear(event)
      if (event.kind === 'applied' && event.target === 'carrier names') latency.committed(event.to.number)
    }
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
    // The carrier's first servers cannot wait: what is no name of the cluster is answered whether that is known or not.
    if (before !== null) await this.#bindings.names.whenApplied(this.names.number)
    if (!isCurrent()) return
    this.#servers.replace(configuration.servers.map((server, i): [string, Server] => [String(i), server]))
    this.#servers.markSynced()
    await this.#bindings.servers.whenApplied(this.#servers.number)
    if (isCurrent()) this.#leaving.replace([])
  }
}

interface Made {
  readonly tables: Tables
  readonly instances: readonly NameOptions[]
  readonly source: Source
  readonly ending: AbortController
  readonly signal: AbortSignal
}

/** Kinds that nobody reads are not followed, and count as known. */
function neededFor(instances: readonly NameOptions[], tables: Tables): Parameters<typeof startSource>[1]['inlets'] {
  const inlets = createInlets(tables, { podNames: instances.some(({ endpointPodNames }) => endpointPodNames) })
  const some = (wants: (options: NameOptions) => boolean): boolean => instances.some(wants)
  const needed = [
    [inlets.services, tables.services, some(() => true)],
    [inlets.namespaces, tables.namespaces, some(() => true)],
    [inlets.slices, tables.slices, some(({ noEndpoints }) => !noEndpoints)],
    [inlets.pods, tables.pods, some(({ pods }) => pods === 'verified')],
    [inlets.serviceImports, tables.serviceImports, some(({ multicluster }) => multicluster.length > 0)],
  ] as const
  for (const [, table, isNeeded] of needed) if (!isNeeded) table.markSynced()
  return needed.flatMap(([inlet, , isNeeded]) => (isNeeded ? [inlet] : []))
}

const AUDIT_MS = 60_000
