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

export function deriveEgress(graph: Graph, { nodes, firewalls }: EgressInputs, options: EgressOptions): EgressTables {
  const ranges = derive<PodRange, Node>(graph, {
    name: 'pod ranges',
    driver: nodes,
    inputs: [],
    indexes: { all: () => [''], here: ({ here }) => (here ? [''] : []) },
    rows: (key, { podCIDRs }) => podCIDRs.map((cidr) => [`${key} ${cidr}`, { cidr, here: key === options.node }]),
  })
  const hereOf = (read: Read): readonly string[] => options.localPodCIDRs ?? listed(read, 'here')
  const listed = (read: Read, index: string): readonly string[] =>
    read.by(ranges, index, '').map(([, { cidr }]) => cidr)
  const masqueraded = derive<EgressRow, null>(graph, {
    name: 'masqueraded',
    driver: once(graph),
    inputs: [ranges],
    // As a whole: ranges that overlap have no key in common by which to find each other.
    rows: (_, __, read) => {
      const here = hereOf(read)
      if (here.length === 0) return []
      const kept = [...MULTICAST, ...options.nonMasqueradeCIDRs, ...here, ...listed(read, 'all')]
      const rows: EgressRow[] = [
        ...aggregate(here).map((cidr) => ({ kind: 'source', cidr }) as const),
        ...aggregate(kept).map((cidr) => ({ kind: 'kept', cidr }) as const),
      ]
      return rows.map((row) => [keyOf(row), row])
    },
  })
  const forwarding = derive<ForwardingRow, null>(graph, {
    name: 'forwarding',
    driver: once(graph),
    inputs: [ranges],
    rows: (_, __, read) => {
      const families = new Set(hereOf(read).map(familyOf))
      return [...families].flatMap((family) => settings(family, options)).map((row) => [forwardingKey(row), row])
    },
  })
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
function settings(family: Family, { overlayDevices }: EgressOptions): readonly ForwardingRow[] {
  if (family === 6) {
    const on = { kind: 'setting', value: '1' } as const
    const names = ['net.ipv6.conf.all.forwarding', 'net.ipv6.conf.default.forwarding']
    return [{ kind: 'routers' }, ...names.map((name) => ({ ...on, name }))]
  }
  return [
    { kind: 'setting', name: 'net.ipv4.ip_forward', value: '1' },
    ...['default', POD_LINKS, ...overlayDevices].map((name) => ({ kind: 'loose filter', interface: name }) as const),
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
