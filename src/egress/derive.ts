import { contains, familyOf } from '../cluster/address.ts'
import type { Node } from '../cluster/node.ts'
import type { Family } from '../cluster/protocol.ts'
import type { Rejection } from '../cluster/rejection.ts'
import { derive, type Derived, type Read } from '../core/derive.ts'
import type { Graph } from '../core/graph.ts'
import { InputTable, type Readable } from '../core/table.ts'
import type { EgressOptions } from './options.ts'
import { aggregate } from './ranges.ts'
import {
  acceptKey,
  forwardingKey,
  keyOf,
  type AcceptRow,
  type EgressRow,
  type Firewall,
  type ForwardingRow,
  type NftablesFirewall,
} from './rows.ts'

export interface EgressInputs {
  readonly nodes: Readable<Node>
  /** What the interfaces of this host have, by address; where that is not followed: nothing. */
  readonly interfaces: Readable<{ readonly interface: string }>
  /** Of this host, in the way of packets of pods. */
  readonly firewalls: Readable<Firewall>
}

/** Nothing in any of them while this node has no range of pods. */
export interface EgressTables {
  /** Whose packets get the node's address, and on the way to where they do not. */
  readonly masqueraded: Derived<EgressRow>
  /** What the kernel must be set to for packets of pods to pass. */
  readonly forwarding: Derived<ForwardingRow>
  /** What the host's own firewall must let through. */
  readonly accepted: Derived<AcceptRow>
  readonly rejections: Derived<Rejection>
}

export function deriveEgress(graph: Graph, inputs: EgressInputs, options: EgressOptions): EgressTables {
  const { nodes, firewalls } = inputs
  const ranges = derive<PodRange, Node>(graph, {
    name: 'pod ranges',
    driver: nodes,
    inputs: [],
    indexes: { all: () => [''], here: ({ here }) => (here ? [''] : []) },
    rows: (key, { podCIDRs }) => podCIDRs.map((cidr) => [`${key} ${cidr}`, { cidr, here: key === options.node }]),
  })
  const hereOf = (read: Read): readonly string[] => localRanges(read, ranges, options)
  const masqueraded = derive<EgressRow, null>(graph, {
    name: 'masqueraded',
    driver: once(graph),
    inputs: [ranges],
    // As a whole: ranges that overlap have no key in common by which to find each other.
    rows: (_, __, read) => {
      const here = hereOf(read)
      if (here.length === 0) return []
      const kept = [...MULTICAST, ...options.nonMasqueradeCIDRs, ...here, ...cidrsOf(read, ranges, 'all')]
      const rows: EgressRow[] = [
        ...aggregate(here).map((cidr) => ({ kind: 'source', cidr }) as const),
        ...aggregate(kept).map((cidr) => ({ kind: 'kept', cidr }) as const),
      ]
      return rows.map((row) => [keyOf(row), row])
    },
  })
  const forwarding = deriveForwarding(graph, inputs, ranges, options)
  const accepted = derive<AcceptRow, Firewall>(graph, {
    name: 'accepted',
    driver: firewalls,
    inputs: [ranges],
    rows: (_, firewall, read) => {
      if (firewall.kind !== 'iptables') return []
      const { variant, family } = firewall
      const rows = aggregate(hereOf(read)).map((cidr) => ({ variant, family, cidr }))
      return rows.filter(({ cidr }) => familyOf(cidr) === family).map((row) => [acceptKey(row), row])
    },
  })
  const rejections = derive<Rejection, Firewall>(graph, {
    name: 'firewall problems',
    driver: firewalls,
    inputs: [ranges],
    rows: (key, firewall, read) => {
      const problem = firewall.kind === 'nftables' ? stoppedBy(firewall, aggregate(hereOf(read)), options.node) : null
      return problem === null ? [] : [[`firewall ${key}`, problem]]
    },
  })
  return { masqueraded, forwarding, accepted, rejections }
}

function deriveForwarding(
  graph: Graph,
  { nodes, interfaces }: EgressInputs,
  ranges: Derived<PodRange>,
  options: EgressOptions,
): Derived<ForwardingRow> {
  return derive<ForwardingRow, null>(graph, {
    name: 'forwarding',
    driver: once(graph),
    inputs: [ranges, nodes, interfaces],
    rows: (_, __, read) => {
      const families = new Set(localRanges(read, ranges, options).map(familyOf))
      const own = read.get(nodes, options.node)?.internalIPs ?? []
      const names = new Set(own.flatMap((ip) => read.get(interfaces, ip)?.interface ?? []))
      const rows = [...families].flatMap((family) => settings(family, [...names].sort(), options))
      return rows.map((row) => [forwardingKey(row), row])
    },
  })
}

/** Of pods on this node. */
const localRanges = (read: Read, ranges: Derived<PodRange>, options: EgressOptions): readonly string[] =>
  options.localPodCIDRs ?? cidrsOf(read, ranges, 'here')

const cidrsOf = (read: Read, ranges: Derived<PodRange>, index: 'here' | 'all'): readonly string[] =>
  read.by(ranges, index, '').map(([, { cidr }]) => cidr)

/** null: it lets pods here through, as far as can be told. */
function stoppedBy({ family, table, chain, verdict, ranges }: NftablesFirewall, here: readonly string[], node: string) {
  const stopped = here.filter(
    (cidr) => hasFamily(family, familyOf(cidr)) && !ranges.some((range) => contains(range, cidr)),
  )
  if (stopped.length === 0) return null
  const which = `${family} ${table} ${chain}`
  const problem = `${verdict}s what no rule of it accepts, so perhaps packets of pods here (${stopped.join(', ')}); another table cannot undo that`
  const first = `${familyOf(stopped[0]!) === 4 ? 'ip' : 'ip6'} saddr ${stopped[0]}`
  const remedy =
    table === 'firewalld'
      ? `firewall-cmd --permanent --zone=trusted ${stopped.map((cidr) => `--add-source=${cidr}`).join(' ')} && firewall-cmd --reload`
      : `nft insert rule ${which} ${first} accept, and so for daddr and each range; and in the file it is loaded from`
  return { object: `Node ${node}`, field: `nftables ${which}`, problem, remedy }
}

const hasFamily = (table: string, family: Family): boolean =>
  table === 'inet' || table === (family === 4 ? 'ip' : 'ip6')

/** Of a family that no pod here has, nothing is touched. */
function settings(
  family: Family,
  interfaces: readonly string[],
  { overlayDevices }: EgressOptions,
): readonly ForwardingRow[] {
  if (family === 6) {
    const on = { kind: 'setting', value: '1' } as const
    const names = ['net.ipv6.conf.all.forwarding', 'net.ipv6.conf.default.forwarding']
    return [{ kind: 'routers' }, ...names.map((name) => ({ ...on, name }))]
  }
  const links = ['default', POD_LINKS, ...overlayDevices]
  return [
    { kind: 'setting', name: 'net.ipv4.ip_forward', value: '1' },
    { kind: 'uplinks' },
    ...[...links, ...interfaces].map((name) => ({ kind: 'forwards', interface: name }) as const),
    ...links.map((name) => ({ kind: 'loose filter', interface: name }) as const),
  ]
}

/** A range that pods of some node have. */
interface PodRange {
  readonly cidr: string
  readonly here: boolean
}

/** A driver for what is computed as a whole. */
function once(graph: Graph): Readable<null> {
  const table = new InputTable<null>('once')
  table.put('', null)
  table.markSynced()
  return graph.input(table)
}

/** As the CNI plugin ptp names a pod's link on its node. */
const POD_LINKS = 'veth*'
/** What several receive has no one to translate the answer for. */
const MULTICAST = ['224.0.0.0/4', 'ff00::/8']
