import type { Rejection } from '../../src/cluster/rejection.ts'
import { Cursor } from '../../src/core/cursor.ts'
import type { Table } from '../../src/core/table.ts'
import { deriveNames, type Names } from '../../src/dns/derive.ts'
import { Fake, type Answered } from '../../src/dns/fake.ts'
import { DEFAULT_OPTIONS, type NameOptions } from '../../src/dns/options.ts'
import type { NameRow } from '../../src/dns/rows.ts'
import { land, ObjectRoom } from './object-room.ts'
import type { Raw } from './service-objects.ts'

export const ZONES = ['cluster.local.', 'in-addr.arpa.', 'ip6.arpa.']

/** The names room from raw objects to answers: by deltas, as a carrier gets them. */
export class NameRoom extends ObjectRoom {
  readonly names: Names
  readonly fake: Fake
  readonly #cursor: Cursor<NameRow>

  /** Starts with these objects, synced. */
  constructor(options: Partial<NameOptions> = {}, objects: readonly Raw[] = []) {
    // As beside another `kubernetes`, which wants them.
    super({ podNames: true })
    const all = { ...DEFAULT_OPTIONS, set: 'k0', zones: ZONES, ...options }
    this.names = deriveNames(this.graph, this.tables, [all])
    this.fake = new Fake(all.set, all.zones)
    this.#cursor = new Cursor(this.names.rows as Table<NameRow>, this.graph.epoch)
    for (const object of objects) this.put(object)
    this.markSynced()
    this.settle()
  }

  /** Brings the fake up to date; returns the keys that were put and dropped. */
  settle(): { put: string[]; drop: string[] } {
    this.graph.settle()
    const faults = [...this.graph.faults()]
    if (faults.length > 0) throw faults[0]!.error
    return land(this.#cursor, (delta) => this.fake.apply(delta))
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
