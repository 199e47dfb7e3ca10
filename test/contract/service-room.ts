import { Cursor } from '../../src/core/cursor.ts'
import type { Table } from '../../src/core/table.ts'
import { createAddressTable } from '../../src/kernel/addresses.ts'
import { deriveServices, type ServiceTables } from '../../src/service/derive.ts'
import { Fake, type Packet, type Route } from '../../src/service/fake.ts'
import { DEFAULT_OPTIONS, type ServiceOptions } from '../../src/service/options.ts'
import type { ServiceRow } from '../../src/service/rows.ts'
import { land, ObjectRoom } from './object-room.ts'
import { NODES, SERVICE_CIDR, type Raw } from './service-objects.ts'

/** The service room from raw objects to the fake, as it runs in an agent: by deltas. */
export class Room extends ObjectRoom {
  /** What the interfaces of the node have. */
  readonly addresses = createAddressTable()
  readonly services: ServiceTables
  readonly fake: Fake
  readonly #cursor: Cursor<ServiceRow>

  /** Starts with two nodes and the service range, synced. */
  constructor(options: Partial<ServiceOptions> = {}, objects: readonly Raw[] = [...NODES, SERVICE_CIDR]) {
    super()
    const node = options.node ?? 'n1'
    this.addresses.markSynced()
    const inputs = { ...this.tables, addresses: this.addresses }
    this.services = deriveServices(this.graph, inputs, { ...DEFAULT_OPTIONS, ...options, node })
    const self = NODES.find(({ metadata }) => metadata['name'] === node)
    this.fake = new Fake(self?.['status'].addresses.map(({ address }: { address: string }) => address))
    this.#cursor = new Cursor(this.services.rows as Table<ServiceRow>, this.graph.epoch)
    for (const object of objects) this.put(object)
    this.markSynced()
    this.settle()
  }

  /** Brings the fake up to date; returns the keys that were put and dropped. */
  settle(): { put: string[]; drop: string[] } {
    this.graph.settle()
    return land(this.#cursor, (delta) => this.fake.apply(delta))
  }

  route(packet: Packet): Route {
    this.settle()
    return this.fake.route(packet)
  }

  rows(): Map<string, ServiceRow> {
    this.settle()
    return new Map([...this.services.rows.entries()].sort(([a], [b]) => (a < b ? -1 : 1)))
  }

  problems(): string[] {
    this.settle()
    return [...this.services.rejections.entries()].map(([, { object, problem }]) => `${object}: ${problem}`).sort()
  }
}

export const tcp = (src: string, dst: string, port = 80): Packet => ({ src, dst, protocol: 'tcp', port })
export const udp = (src: string, dst: string, port = 80): Packet => ({ src, dst, protocol: 'udp', port })

export const dnat = (to: readonly string[], masquerade = false, hairpin: string | null = null): Route => ({
  kind: 'dnat',
  to: [...to].sort(),
  masquerade,
  hairpin,
})
export const REJECT: Route = { kind: 'reject' }
export const DROP: Route = { kind: 'drop' }
export const PASS: Route = { kind: 'pass' }

/** Who sends, in all tests. */
export const POD = '10.244.1.50'
export const REMOTE_POD = '10.244.2.50'
export const NODE = '172.30.0.11'
export const OUTSIDE = '172.30.0.1'
export const POD6 = 'fd00:10:244:1::50'
export const NODE6 = 'fd00:172:30::11'
export const OUTSIDE6 = 'fd00:172:30::1'
