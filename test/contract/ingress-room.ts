import type { Rejection } from '../../src/cluster/rejection.ts'
import { Cursor } from '../../src/core/cursor.ts'
import { InputTable, type Table } from '../../src/core/table.ts'
import { deriveProxying, type Proxying } from '../../src/ingress/derive.ts'
import { Fake, type Outcome, type Request } from '../../src/ingress/fake.ts'
import { DEFAULT_OPTIONS, type IngressOptions } from '../../src/ingress/options.ts'
import type { ProxyRow, SecretRow } from '../../src/ingress/rows.ts'
import { land, ObjectRoom } from './object-room.ts'
import { CLASS } from './ingress-objects.ts'
import type { Raw } from './service-objects.ts'

export const SPARE: SecretRow = { kind: 'pair', chain: 'spare', key: 'spare' }

/** The ingress room from raw objects to answers: by deltas, as a carrier gets them. */
export class IngressRoom extends ObjectRoom {
  readonly proxying: Proxying
  readonly fake = new Fake()
  readonly now = new InputTable<number>('now')
  readonly #cursor: Cursor<ProxyRow>
  readonly #secrets: Cursor<SecretRow>

  /** Starts with these objects and the class `nginx`, synced. */
  constructor(options: Partial<IngressOptions> = {}, objects: readonly Raw[] = []) {
    super({ podNames: true })
    const spare = new InputTable<SecretRow>('spare')
    spare.put('', SPARE)
    spare.markSynced()
    this.now.put('', Date.parse('2026-06-01T00:00:00Z'))
    this.now.markSynced()
    const inputs = { ...this.tables, spare, now: this.now }
    this.proxying = deriveProxying(this.graph, inputs, { ...DEFAULT_OPTIONS, ...options })
    this.#cursor = new Cursor(this.proxying.rows as Table<ProxyRow>, this.graph.epoch)
    this.#secrets = new Cursor(this.proxying.secrets as Table<SecretRow>, this.graph.epoch)
    for (const object of [CLASS, ...objects]) this.put(object)
    this.markSynced()
    this.settle()
  }

  /** Brings the fake up to date; returns the keys that were put and dropped in table `proxy`. */
  settle(): { put: string[]; drop: string[] } {
    this.graph.settle()
    const faults = [...this.graph.faults()]
    if (faults.length > 0) throw faults[0]!.error
    land(this.#secrets, (delta) => this.fake.applySecrets(delta))
    return land(this.#cursor, (delta) => this.fake.apply(delta))
  }

  /** `http://host/path` or `https://...`. */
  outcome(url: string, more: Partial<Request> = {}): Outcome {
    this.settle()
    const [, listener, host, path] = /^(https?):\/\/([^/]*)(\/.*)?$/.exec(url)!
    return this.fake.ask({ listener: listener!, host: host!, path: path ?? '/', ...more })
  }

  /** On one line: `10.0.0.1:8080`, `308 https://...`, `404`. Several addresses sorted, with their share in percent. */
  ask(url: string, more: Partial<Request> = {}): string {
    const outcome = this.outcome(url, more)
    if (outcome.kind === 'answered') return String(outcome.status)
    if (outcome.kind === 'redirected') return `${outcome.status} ${outcome.location}`
    const all = [...outcome.to].sort(([a], [b]) => (a < b ? -1 : 1))
    return all.length === 1 ? all[0]![0] : all.map(([where, share]) => `${where} ${Math.round(share * 100)}%`).join(' ')
  }

  rows(): ReadonlyMap<string, ProxyRow> {
    return new Map([...this.proxying.rows.entries()].sort(([a], [b]) => (a < b ? -1 : 1)))
  }

  row<Kind extends ProxyRow['kind']>(kind: Kind, name: string): Extract<ProxyRow, { kind: Kind }> {
    this.settle()
    const row = this.proxying.rows.get(`${kind} ${name}`)
    if (row?.kind !== kind) throw new Error(`no ${kind} ${name} among ${[...this.rows().keys()].join(', ')}`)
    return row as Extract<ProxyRow, { kind: Kind }>
  }

  /** Of the only route that a request comes to. */
  route(url: string, more: Partial<Request> = {}): Extract<ProxyRow, { kind: 'route' }> {
    const { route } = this.outcome(url, more)
    if (route === null) throw new Error(`no route for ${url}`)
    return { ...route, kind: 'route' }
  }

  rejections(): readonly Rejection[] {
    this.settle()
    const all = [...this.tables.rejections.entries(), ...this.proxying.rejections.entries()]
    return all.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, rejection]) => rejection)
  }

  /** `Ingress x/a spec.tls[0]: names ...` */
  complaints(): readonly string[] {
    return this.rejections().map(({ object, field, problem }) => `${object} ${field}: ${problem}`)
  }
}
