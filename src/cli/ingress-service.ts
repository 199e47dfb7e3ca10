/** An ingress controller at work: cluster -> tables -> the carrier; and by the leader, the status of Ingresses. */
import type { Connection as Carrier } from '../carrier/connection.ts'
import { CarrierTarget } from '../carrier/target.ts'
import type { Rejection } from '../cluster/rejection.ts'
import { Followed, type Reference } from '../cluster/source/kube.ts'
import { createInlets, createTables, type Inlets, type Tables } from '../cluster/tables.ts'
import { After } from '../core/after.ts'
import type { Binding } from '../core/binding.ts'
import { Graph } from '../core/graph.ts'
import { Runner } from '../core/runner.ts'
import { InputTable, type Readable } from '../core/table.ts'
import { union } from '../core/union.ts'
import { deriveProxying, type Proxying } from '../ingress/derive.ts'
import type { IngressOptions } from '../ingress/options.ts'
import { referencesOf } from '../ingress/references.ts'
import type { SecretRow } from '../ingress/rows.ts'
import { spareCertificate } from '../ingress/selfsigned.ts'
import { deriveDuties, type Duty } from '../ingress/status/duties.ts'
import { deriveUnresolved } from '../ingress/unresolved.ts'
import type { Log } from '../status/log.ts'
import type { Observer } from '../status/observer.ts'
import { NameNews } from './ingress-names.ts'
import { startSource, type Source, type SourceOptions } from './source.ts'

export interface IngressParts {
  readonly carrier: Carrier
  /** Of the carrier. */
  readonly problems: Readable<Rejection>
  readonly observer: Observer
  readonly log: Log
  readonly signal: AbortSignal
  /** Of this pod. */
  readonly name: string
}

export class IngressService {
  readonly tables: Tables
  readonly graph = new Graph()
  readonly runner: Runner
  readonly proxying: Proxying
  readonly source: Source
  readonly followed: Followed | null
  /** Certificates are ordered here, by whoever leads. */
  readonly isOrdering: boolean
  /** Where the ingress is, while it is ours to say: see deriveDuties. */
  readonly post = new InputTable<readonly string[]>('addresses of the ingress')
  readonly duties: Readable<Duty>
  readonly rejections: Readable<Rejection>
  readonly #secrets: Binding
  /** Of table `proxy`. */
  readonly #proxy: Binding
  readonly #log: Log
  readonly #ended: Promise<unknown>

  /** Throws when there is no way to the cluster. */
  static async start(told: IngressOptions, options: SourceOptions, parts: IngressParts): Promise<IngressService> {
    const tables = createTables()
    const inlets = createInlets(tables, { podNames: true })
    const { log, signal, name } = parts
    const always = [inlets.ingresses, inlets.ingressClasses, inlets.services, inlets.slices]
    const isFiles = options.directory !== undefined
    const source = await startSource(options, {
      inlets: isFiles ? [...always, inlets.configMaps, inlets.secrets] : always,
      rejections: tables.rejections,
      ...{ component: 'fairlead-ingress', host: name, log, signal },
    })
    return new IngressService(told, { tables, inlets, source }, parts)
  }

  private constructor(told: IngressOptions, made: Made, parts: IngressParts) {
    const { tables, source, inlets } = made
    const { observer, signal, log } = parts
    this.tables = tables
    this.source = source
    this.#log = log
    this.isOrdering = told.acme !== null
    this.proxying = deriveProxying(this.graph, { ...tables, spare: spare(), now: clock(signal) }, told)
    this.post.markSynced()
    this.duties = deriveDuties(this.graph, tables.ingresses, this.proxying.plans, this.post)
    const { rejections, unstaffed } = this.proxying
    const names = new NameNews({ carrier: parts.carrier, signal })
    const { services } = tables
    const unresolved = deriveUnresolved(this.graph, { ...this.proxying, services, failing: names.failing }, told)
    this.rejections = union('problems', [parts.problems, tables.rejections, rejections, unstaffed, unresolved])
    this.runner = new Runner(this.graph, { signal, onEvent: observer.hear, auditEveryMs: AUDIT_MS })
    const again = source.reconnect?.() ?? null
    this.followed =
      again === null ? null : new Followed({ connection: again, inlets: [inlets.secrets, inlets.configMaps], signal })
    const running = this.runner.run()
    const following = this.followed === null ? null : this.#follow(this.followed, told, signal)
    // Certificates and users before the routes that mean them.
    this.#secrets = this.#attach(this.proxying.secrets, parts.carrier)
    this.#proxy = this.#attach(this.proxying.rows, parts.carrier, () => this.#secretsInPlace())
    this.#ended = Promise.all([running, following, names.run()])
      .then(() => this.followed?.done())
      .then(() => again?.close())
  }

  /** The carrier has all of it, once: then it serves as it should. */
  get isReady(): boolean {
    return this.#proxy.status().applied !== null
  }

  /** Resolves once the carrier has all that follows from objects as they are now. */
  async inPlace(): Promise<void> {
    await this.#secretsInPlace()
    await this.#proxy.whenApplied(this.proxying.rows.number)
  }

  #secretsInPlace(): Promise<void> {
    return this.#secrets.whenApplied(this.proxying.secrets.number)
  }

  /** Resolves once the signal has aborted and all is let go. */
  async end(): Promise<void> {
    await this.#ended
    await this.source.done
  }

  get shown(): readonly Readable<unknown>[] {
    const { ingresses, ingressClasses, services, slices, configMaps, secrets } = this.tables
    const { rows, references } = this.proxying
    return [
      ingresses,
      ingressClasses,
      services,
      slices,
      configMaps,
      secrets,
      rows,
      this.proxying.secrets,
      references,
      this.duties,
    ]
  }

  /** How many there are of a kind that is followed. */
  objectsOf(kind: string): number {
    const { ingresses, ingressClasses, services, slices, configMaps, secrets } = this.tables
    const tables: Readonly<Record<string, Readable<unknown>>> = {
      ...{ Ingress: ingresses, IngressClass: ingressClasses, Service: services, EndpointSlice: slices },
      ...{ ConfigMap: configMaps, Secret: secrets },
    }
    return tables[kind]?.size ?? 0
  }

  /** What the options name comes first: what else is referred to follows from it. */
  async #follow(followed: Followed, told: IngressOptions, signal: AbortSignal): Promise<void> {
    const put = new Map<string, Reference>(referencesOf(told))
    try {
      await followed.apply(
        { from: 0, to: { epoch: this.graph.epoch, number: 0 }, put, drop: new Set(), was: new Map() },
        signal,
      )
      this.tables.configMaps.markSynced()
      const binding = this.runner.attach(this.proxying.references, followed)
      await binding.whenApplied(1)
      this.tables.secrets.markSynced()
    } catch (error) {
      if (!signal.aborted)
        this.#log.error('cannot follow what Ingresses refer to', { reason: (error as Error).message })
    }
  }

  #attach<Row>(table: Readable<Row>, carrier: Carrier, before?: () => Promise<void>): Binding<Row> {
    // A carrier that was started anew is told again at once.
    const target = new CarrierTarget<Row>(table.name, carrier, () => void binding.audit().catch(() => {}))
    const binding = this.runner.attach(table, before === undefined ? target : new After(target, before))
    return binding
  }
}

interface Made {
  readonly tables: Tables
  readonly inlets: Inlets
  readonly source: Source
}

function spare(): InputTable<SecretRow> {
  const table = new InputTable<SecretRow>('spare certificate')
  table.put('', { kind: 'pair', ...spareCertificate(new Date()) })
  table.markSynced()
  return table
}

/** What time it is, to the hour: derivations have no clock. */
function clock(signal: AbortSignal): InputTable<number> {
  const table = new InputTable<number>('now')
  const tell = (): void => table.put('', Date.now())
  tell()
  table.markSynced()
  const timer = setInterval(tell, HOUR_MS).unref()
  signal.addEventListener('abort', () => clearInterval(timer), { once: true })
  return table
}

const AUDIT_MS = 60_000
const HOUR_MS = 3_600_000
