import { familyOf } from '../cluster/address.ts'
import type { Node } from '../cluster/node.ts'
import type { Rejection } from '../cluster/rejection.ts'
import type { Key } from '../core/delta.ts'
import { derive, type Derived, type Read } from '../core/derive.ts'
import type { Graph } from '../core/graph.ts'
import { InputTable, type Readable } from '../core/table.ts'
import { union } from '../core/union.ts'
import { announcementsOf, type AnnouncementRow } from './announcement.ts'
import { lossesOf, type Loss, type Reserved } from './claims.ts'
import {
  hereOf,
  type Found,
  type Here,
  type HereDevice,
  type HereNetworks,
  type HereRow,
  type HostInterface,
} from './here.ts'
import type { OutsideNetwork, OverlayOptions } from './options.ts'
import { peerOf } from './peer.ts'
import { deviceKey, keyOf, type GuardRow, type OverlayRow } from './rows.ts'
import { siteOfNetwork, siteOfNode, type Site } from './site.ts'
import { rangesOf, subnetEnv, type SubnetEnv } from './subnetenv.ts'

/** What the overlay follows from. Keys and indexes as cluster/tables.ts makes them. */
export interface OverlayInputs {
  readonly nodes: Readable<Node>
  readonly serviceCIDRs: Readable<{ readonly cidrs: readonly string[] }>
  /** What the interfaces of this host have, by address. */
  readonly interfaces: Readable<HostInterface>
  /** VXLAN devices that were there when we came, by name. */
  readonly found: Readable<Found>
}

export interface OverlayTables {
  readonly rows: Derived<OverlayRow>
  /** Who may send to the overlay's port. */
  readonly guard: Readable<GuardRow>
  /** What this node's object does not say yet of its end. */
  readonly announcements: Derived<AnnouncementRow>
  readonly subnetEnv: Derived<SubnetEnv>
  readonly rejections: Readable<Rejection>
}

/** Decides how pods of this node and all others reach each other. */
export function deriveOverlay(graph: Graph, inputs: OverlayInputs, options: OverlayOptions): OverlayTables {
  const sites = deriveSites(graph, inputs.nodes, options)
  const losses = deriveLosses(graph, sites, inputs, options)
  const here = derive<HereRow, Node>(graph, {
    name: 'overlay here',
    driver: inputs.nodes,
    inputs: [inputs.interfaces, inputs.found, losses],
    rows: (key, node, read) =>
      key === options.node ? hereOf(node, options, { ...inputs, losses }, read, () => {}) : [],
  })
  const rows = derive<OverlayRow, Site>(graph, {
    name: 'overlay rows',
    driver: sites,
    inputs: [here, losses],
    rows: (key, site, read) => {
      const peer = peerOf(site, read.get(losses, key) ?? [], endsOf(read, here), options)
      const decided = key === options.node ? ownRows(read, here, options) : peer.rows
      return decided.map((row) => [keyOf(row), row])
    },
  })
  return {
    rows,
    guard: deriveGuard(graph, sites, here, losses, options),
    announcements: derive<AnnouncementRow, Node>(graph, {
      name: 'overlay announcements',
      driver: inputs.nodes,
      inputs: [here],
      rows: (key, node, read) => {
        if (key !== options.node) return []
        const ends = endsOf(read, here).map((end) => ({ ...end, mac: deviceOf(read, here, end).mac }))
        return announcementsOf(node, ends, options)
      },
    }),
    subnetEnv: deriveSubnetEnv(graph, sites, here, options),
    rejections: deriveRejections(graph, { ...inputs, sites, losses, here }, options),
  }
}

type Sites = Readable<Site>
type Losses = Readable<readonly Loss[]>
type HereTable = Readable<HereRow>

function deriveSites(graph: Graph, nodes: Readable<Node>, options: OverlayOptions): Sites {
  const networks = new InputTable<OutsideNetwork>('outside networks')
  networks.replace(options.networks.map((network) => [`outside ${network.cidr}`, network]))
  networks.markSynced()
  graph.input(networks)
  return derive<Site, Node | OutsideNetwork>(graph, {
    name: 'overlay sites',
    driver: union<Node | OutsideNetwork>('overlay places', [nodes, networks]),
    inputs: [],
    indexes: { all: () => [''] },
    rows: (key, place) => [[key, 'cidr' in place ? siteOfNetwork(place) : siteOfNode(place, options, () => {})]],
  })
}

/** One computation over all sites: ranges that overlap have no key in common by which to find each other. */
function deriveLosses(graph: Graph, sites: Sites, { serviceCIDRs }: OverlayInputs, options: OverlayOptions): Losses {
  const reserved = derive<Reserved, { readonly cidrs: readonly string[] }>(graph, {
    name: 'reserved ranges',
    driver: serviceCIDRs,
    inputs: [],
    indexes: { all: () => [''] },
    rows: (_, { cidrs }) => cidrs.map((cidr) => [cidr, serviceRange(cidr)]),
  })
  const configured = options.serviceCIDRs.map(serviceRange)
  return derive<readonly Loss[], null>(graph, {
    name: 'overlay losses',
    driver: once(graph),
    inputs: [sites, reserved],
    rows: (_, __, read) => {
      const ranges = [...configured, ...read.by(reserved, 'all', '').map(([, range]) => range)]
      return lossesOf(read.by(sites, 'all', ''), ranges)
    },
  })
}

/** A driver for what is computed as a whole. */
function once(graph: Graph): Readable<null> {
  const table = new InputTable<null>('once')
  table.put('', null)
  table.markSynced()
  return graph.input(table)
}

function deriveGuard(
  graph: Graph,
  sites: Sites,
  here: HereTable,
  losses: Losses,
  options: OverlayOptions,
): Readable<GuardRow> {
  const vteps = derive<GuardRow, Site>(graph, {
    name: 'overlay VTEPs',
    driver: sites,
    inputs: [losses],
    rows: (key, { sources }, read) => {
      if (key === options.node) return []
      const lost = new Set((read.get(losses, key) ?? []).map(({ what }) => what))
      return sources.filter((ip) => !lost.has(ip)).map((ip) => [ip, { kind: 'vtep', ip }])
    },
  })
  const uplinks = derive<GuardRow, HereRow>(graph, {
    name: 'overlay uplinks',
    driver: here,
    inputs: [],
    rows: (_, row) =>
      row.kind === 'end' ? [[`uplink ${row.interface}`, { kind: 'uplink', name: row.interface }]] : [],
  })
  return union('overlay guard', [vteps, uplinks])
}

function deriveSubnetEnv(graph: Graph, sites: Sites, here: HereTable, options: OverlayOptions): Derived<SubnetEnv> {
  const ranges = derive<readonly string[], null>(graph, {
    name: 'cluster ranges',
    driver: once(graph),
    inputs: [sites],
    rows: (_, __, read) => {
      if (options.clusterCIDRs.length > 0) return [['', options.clusterCIDRs]]
      return [['', rangesOf(read.by(sites, 'all', '').flatMap(([, { networks }]) => networks))]]
    },
  })
  return derive<SubnetEnv, HereRow>(graph, {
    name: 'subnet.env',
    driver: here,
    inputs: [ranges, here],
    rows: (_, row, read) => {
      if (row.kind !== 'networks') return []
      const mtus = endsOf(read, here).map((end) => deviceOf(read, here, end).mtu)
      return [['', subnetEnv(row.networks, read.get(ranges, '') ?? [], Math.min(...mtus))]]
    },
  })
}

interface Everything extends OverlayInputs {
  readonly sites: Sites
  readonly losses: Losses
  readonly here: HereTable
}

function deriveRejections(graph: Graph, inputs: Everything, options: OverlayOptions): Readable<Rejection> {
  const { nodes, sites, losses, here, interfaces, found } = inputs
  const ofNodes = derive<Rejection, Node>(graph, {
    name: 'overlay node problems',
    driver: nodes,
    inputs: [interfaces, found, losses],
    rows: (key, node, read) => {
      const rejections: Rejection[] = []
      const reject = (rejection: Rejection): void => void rejections.push(rejection)
      siteOfNode(node, options, reject)
      if (key === options.node) for (const _ of hereOf(node, options, inputs, read, reject));
      return rejections.map((rejection, i) => [`${key} overlay ${i}`, rejection])
    },
  })
  const ofSites = derive<Rejection, Site>(graph, {
    name: 'overlay site problems',
    driver: sites,
    inputs: [losses, here],
    rows: (key, site, read) => {
      const lost = read.get(losses, key) ?? []
      const rejections = lost.map(({ field, problem, remedy }) => ({ object: site.object, field, problem, remedy }))
      if (key !== options.node) {
        const { unreached } = peerOf(site, lost, endsOf(read, here), options)
        rejections.push(...unreached.map((family) => notReached(site, family, endsOf(read, here))))
      }
      return rejections.map((rejection, i) => [`${key} overlay site ${i}`, rejection])
    },
  })
  return union('overlay problems', [ofNodes, ofSites])
}

function notReached({ object }: Site, family: number, here: readonly Here[]): Rejection {
  const ours = here.map((end) => `IPv${end.family}`).join(' and ')
  const problem = `has no address of a family that carries IPv${family} pods here (${ours}): they are not reached`
  return { object, field: 'status.addresses', problem, remedy: `give both nodes an InternalIP of one family` }
}

/** This node's devices and addresses. */
function ownRows(read: Read, here: HereTable, { vni, port }: OverlayOptions): readonly OverlayRow[] {
  const rows = new Map<Key, OverlayRow>()
  const networks = read.get(here, 'networks') as HereNetworks | undefined
  for (const end of endsOf(read, here)) {
    const { device: name, family, address: local, interface: parent, carries } = end
    const { mtu, mac } = deviceOf(read, here, end)
    rows.set(deviceKey(name), { kind: 'device', name, family, vni, port, local, parent, mtu, mac })
    for (const { vtep } of networks?.networks ?? []) {
      if (carries.includes(familyOf(vtep))) rows.set(`${name} ${vtep}`, { kind: 'address', device: name, ip: vtep })
    }
  }
  return [...rows.values()]
}

const endsOf = (read: Read, here: HereTable): readonly Here[] =>
  ['4', '6'].flatMap((key) => (read.get(here, key) as Here | undefined) ?? [])

const deviceOf = (read: Read, here: HereTable, { family }: Here): HereDevice =>
  read.get(here, `device ${family}`) as HereDevice

const serviceRange = (cidr: string): Reserved => ({ cidr, what: `the service range ${cidr}` })
