import { contains, familyOf } from '../cluster/address.ts'
import type { Node } from '../cluster/node.ts'
import type { Family } from '../cluster/protocol.ts'
import type { Rejection } from '../cluster/rejection.ts'
import { derive, type Derived, type Read } from '../core/derive.ts'
import type { Graph } from '../core/graph.ts'
import type { Readable } from '../core/table.ts'
import { union } from '../core/union.ts'
import type { Bridge, HostRoute } from './found.ts'
import { keyOf, type BridgeRow } from './rows.ts'

export interface BridgeInputs {
  readonly nodes: Readable<Node>
  /** Index: `all`. */
  readonly bridges: Readable<Bridge>
  readonly routes: Readable<HostRoute>
}

export interface BridgeOptions {
  /** Name of this node. */
  readonly node: string
  /** Addresses of pods on this node; null: the Node object's podCIDRs. */
  readonly localPodCIDRs: readonly string[] | null
}

export interface BridgeTables {
  readonly rows: Readable<BridgeRow>
  readonly rejections: Derived<Rejection>
  /** Bridges that have, or had, pods on them. Key: the name. */
  readonly ofPods: Derived<Bridge>
}

/** A bridge of pods has an address in a range of this node's pods. While something is on it, this host answers for the others. */
export function deriveBridges(graph: Graph, inputs: BridgeInputs, options: BridgeOptions): BridgeTables {
  const { nodes, bridges, routes } = inputs
  const rangesOf = (read: Read): readonly string[] =>
    options.localPodCIDRs ?? read.get(nodes, options.node)?.podCIDRs ?? []
  const familiesOf = (bridge: Bridge, read: Read): readonly Family[] => {
    const here = bridge.addresses.filter((address) => rangesOf(read).some((range) => contains(range, plain(address))))
    return [...new Set(here.map(familyOf))]
  }
  const settings = derive<BridgeRow, Bridge>(graph, {
    name: 'bridge settings',
    driver: bridges,
    inputs: [nodes],
    rows: (_, bridge, read) => {
      const families = bridge.isUsed ? familiesOf(bridge, read) : []
      return families.flatMap((family) => settingsOf(bridge, family)).map((row) => [keyOf(row), row])
    },
  })
  const proxied = derive<BridgeRow, HostRoute>(graph, {
    name: 'proxied pods',
    driver: routes,
    inputs: [nodes, bridges],
    rows: (_, { ip }, read) => {
      if (!rangesOf(read).some((range) => contains(range, ip))) return []
      const used = read.by(bridges, 'all', '').filter(([, { isUsed }]) => isUsed)
      const asking = used.filter(([, { addresses }]) => addresses.some((address) => contains(address, ip)))
      const rows = asking.map(([bridge]) => ({ kind: 'proxied', bridge, ip }) as const)
      return rows.map((row) => [keyOf(row), row])
    },
  })
  return {
    rows: union('bridge rows', [settings, proxied]),
    rejections: derive<Rejection, Bridge>(graph, {
      name: 'bridge problems',
      driver: bridges,
      inputs: [nodes],
      rows: (key, bridge, read) => {
        if (!bridge.isUsed || bridge.isFiltered || familiesOf(bridge, read).length === 0) return []
        return [[`bridge ${key}`, unfiltered(key, options.node)]]
      },
    }),
    ofPods: derive<Bridge, Bridge>(graph, {
      name: 'bridges of pods',
      driver: bridges,
      inputs: [nodes],
      rows: (key, bridge, read) => (familiesOf(bridge, read).length === 0 ? [] : [[key, bridge]]),
    }),
  }
}

/**
 * Linux, Documentation/networking/ip-sysctl: proxy_arp answers for whatever is routed elsewhere, proxy_ndp only for what is
 * listed; by default each answer waits up to 0.8 s (proxy_delay). A Service's packet between two pods of the bridge goes
 * through this host, the answer to it from port to port: only netfilter of bridges gives that the Service's address.
 */
function settingsOf({ name: bridge, isFiltered }: Bridge, family: Family): readonly BridgeRow[] {
  const [conf, neighbours] = [`net.ipv${family}.conf.*`, `net.ipv${family}.neigh.*`]
  const setting = (name: string, value: string, stays = false): BridgeRow => {
    return { kind: 'setting', bridge, name, value, stays }
  }
  const option = family === 4 ? 'nf_call_iptables' : 'nf_call_ip6tables'
  return [
    setting(`${conf}.forwarding`, '1', true), // else nothing passes (IPv4), or nothing is answered for (IPv6)
    setting(`${conf}.${family === 4 ? 'proxy_arp' : 'proxy_ndp'}`, '1'),
    setting(`${neighbours}.proxy_delay`, '0'),
    ...(isFiltered ? [{ kind: 'option', bridge, name: option, value: '1' } as const] : []),
  ]
}

function unfiltered(bridge: string, node: string): Rejection {
  const problem = `has pods on it, and this kernel does not show netfilter what goes from one to the other (no br_netfilter): a pod gets no answer from a Service whose endpoint is on its own bridge`
  const remedy = 'modprobe br_netfilter, and its name in a file of /etc/modules-load.d'
  return { object: `Node ${node}`, field: `bridge ${bridge}`, problem, remedy }
}

const plain = (address: string): string => address.slice(0, address.indexOf('/'))
