import { createInlets, createTables, type Inlets } from '../../src/cluster/tables.ts'
import type { Rejection } from '../../src/cluster/rejection.ts'
import { Graph } from '../../src/core/graph.ts'
import { InputTable } from '../../src/core/table.ts'
import { deriveOverlay, type OverlayTables } from '../../src/overlay/derive.ts'
import type { Found, HostInterface } from '../../src/overlay/here.ts'
import { DEFAULT_OPTIONS, type OverlayOptions } from '../../src/overlay/options.ts'
import type { Raw } from './service-objects.ts'

export interface Host {
  readonly interfaces?: readonly HostInterface[]
  /** Link addresses of VXLAN devices, by name. */
  readonly found?: Readonly<Record<string, string>>
}

/** What the overlay of node n1 decides for Kubernetes objects. */
export class OverlayRoom {
  readonly graph = new Graph()
  readonly interfaces = new InputTable<HostInterface>('interfaces')
  readonly overlay: OverlayTables
  readonly #inlets: Inlets

  constructor(options: Partial<OverlayOptions> = {}, objects: readonly Raw[] = [], host: Host = {}) {
    const tables = createTables()
    const found = new InputTable<Found>('found')
    found.replace(Object.entries(host.found ?? {}).map(([name, mac]) => [name, { mac }]))
    this.#inlets = createInlets(tables)
    this.setInterfaces(host.interfaces ?? INTERFACES)
    const { nodes, serviceCIDRs } = tables
    const inputs = { nodes, serviceCIDRs, interfaces: this.interfaces, found }
    this.overlay = deriveOverlay(this.graph, inputs, { ...DEFAULT_OPTIONS, node: 'n1', ...options })
    this.put(...objects)
    for (const table of [nodes, serviceCIDRs, this.interfaces, found]) table.markSynced()
    this.settle()
  }

  setInterfaces(interfaces: readonly HostInterface[]): void {
    this.interfaces.replace(interfaces.map((each) => [each.ip, each]))
  }

  put(...objects: readonly Raw[]): void {
    for (const object of objects) this.#inlet(object).put(object)
    this.settle()
  }

  drop(...objects: readonly Raw[]): void {
    for (const object of objects) this.#inlet(object).drop(object)
    this.settle()
  }

  /** Of derivations: what they threw is a failure of the test. */
  settle(): void {
    this.graph.settle()
    for (const { table, key, error } of this.graph.faults()) throw new Error(`${table} ${key}`, { cause: error })
  }

  rows = (): Record<string, unknown> => Object.fromEntries([...this.overlay.rows.entries()].sort(byKey))
  guard = (): string[] => [...this.overlay.guard.entries()].map(([key]) => key).sort()
  announcements = (): Record<string, unknown> => Object.fromEntries(this.overlay.announcements.entries())
  subnetEnv = (): string => this.overlay.subnetEnv.get('')?.text ?? ''
  rejections = (): Rejection[] => [...this.overlay.rejections.entries()].sort(byKey).map(([, each]) => each)

  #inlet({ kind }: Raw): Inlets['nodes' | 'serviceCIDRs'] {
    return kind === 'ServiceCIDR' ? this.#inlets.serviceCIDRs : this.#inlets.nodes
  }
}

const byKey = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number => (a < b ? -1 : 1)

const INTERFACES: readonly HostInterface[] = [
  { ip: '172.30.0.11', interface: 'eth0', prefixLength: 24, mtu: 1500 },
  { ip: 'fd00:172:30::11', interface: 'eth0', prefixLength: 64, mtu: 1500 },
]
