import { createInlets, createTables, type Tables } from '../../src/cluster/tables.ts'
import type { Rejection } from '../../src/cluster/rejection.ts'
import { Cursor } from '../../src/core/cursor.ts'
import { Graph } from '../../src/core/graph.ts'
import type { Table } from '../../src/core/table.ts'
import { deriveNames, type Names } from '../../src/dns/derive.ts'
import { Fake, type Answered } from '../../src/dns/fake.ts'
import { DEFAULT_OPTIONS, type NameOptions } from '../../src/dns/options.ts'
import type { NameRow } from '../../src/dns/rows.ts'
import type { Raw } from './service-objects.ts'

export const ZONES = ['cluster.local.', 'in-addr.arpa.', 'ip6.arpa.']

/** The names room from raw objects to answers: by deltas, as a carrier gets them. */
export class NameRoom {
  readonly tables: Tables = createTables()
  readonly graph = new Graph()
  readonly names: Names
  readonly fake: Fake
  readonly #inlets: ReturnType<typeof createInlets>
  readonly #cursor: Cursor<NameRow>

  /** Starts with these objects, synced. */
  constructor(options: Partial<NameOptions> = {}, objects: readonly Raw[] = []) {
    const all = { ...DEFAULT_OPTIONS, set: 'k0', zones: ZONES, ...options }
    // As beside another `kubernetes`, which wants them.
    this.#inlets = createInlets(this.tables, { podNames: true })
    this.names = deriveNames(this.graph, this.tables, [all])
    this.fake = new Fake(all.set, all.zones)
    this.#cursor = new Cursor(this.names.rows as Table<NameRow>, this.graph.epoch)
    for (const object of objects) this.put(object)
    for (const inlet of Object.values(this.#inlets)) inlet.synced()
    this.settle()
  }

  put(...objects: readonly Raw[]): this {
    for (const object of objects) this.#inlet(object).put(structuredClone(object))
    return this
  }

  drop(...objects: readonly Raw[]): this {
    for (const object of objects) this.#inlet(object).drop(object)
    return this
  }

  /** Brings the fake up to date; returns the keys that were put and dropped. */
  settle(): { put: string[]; drop: string[] } {
    this.graph.settle()
    const faults = [...this.graph.faults()]
    if (faults.length > 0) throw faults[0]!.error
    const delta = this.#cursor.take()
    if (delta === null) return { put: [], drop: [] }
    const keys = { put: [...delta.put.keys()].sort(), drop: [...delta.drop].sort() }
    this.fake.apply(delta)
    this.#cursor.landed([])
    return keys
  }

  /** `NXDOMAIN`, or the answers as lines; none: NODATA. */
  ask(name: string, type = 'A'): 'NXDOMAIN' | readonly string[] {
    this.settle()
    const { code, answers } = this.fake.ask(name, type)
    return code === 'NXDOMAIN' && answers.length === 0 ? code : answers.map((record) => line(record, name))
  }

  additional(name: string, type: string): readonly string[] {
    this.settle()
    return this.fake.ask(name, type).additional.map((record) => line(record, ''))
  }

  rows(): ReadonlyMap<string, NameRow> {
    return new Map([...this.names.rows.entries()].sort(([a], [b]) => (a < b ? -1 : 1)))
  }

  rejections(): readonly Rejection[] {
    this.settle()
    const all = [...this.tables.rejections.entries(), ...this.names.rejections.entries()]
    return all.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, rejection]) => rejection)
  }

  #inlet({ kind }: Raw) {
    const inlet = Object.values(this.#inlets).find((each) => each.kind.kind === kind)
    if (inlet === undefined) throw new Error(`no inlet for ${kind}`)
    return inlet
  }
}

/** `A 10.0.0.1`; with the owner where that is not `asked`. */
function line({ name, record }: Answered, asked: string): string {
  const owner = name === asked.toLowerCase() ? '' : `${name} `
  const ttl = record.ttl === undefined ? '' : ` ttl ${record.ttl}`
  if ('ip' in record) return `${owner}${record.type} ${record.ip}${ttl}`
  if ('texts' in record) return `${owner}TXT ${JSON.stringify(record.texts)}${ttl}`
  const before = record.type === 'SRV' ? `${record.priority} ${record.weight} ${record.port} ` : ''
  return `${owner}${record.type} ${before}${record.target}${ttl}`
}
