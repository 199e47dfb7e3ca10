import t from 'tap'
import { deriveBridges } from '../../src/bridge/derive.ts'
import { createBridges, createRoutes, type Bridge } from '../../src/bridge/found.ts'
import { readNote, writeNote } from '../../src/bridge/netlink/note.ts'
import type { Node } from '../../src/cluster/node.ts'
import { Graph } from '../../src/core/graph.ts'
import { InputTable } from '../../src/core/table.ts'

const CNI0: Bridge = {
  name: 'cni0',
  addresses: ['10.244.1.1/24', 'fd00:10:244:1::1/64', 'fe80::1/64'],
  isUsed: true,
  isFiltered: true,
}
const FOUR = [
  'cni0 net.ipv4.conf.*.forwarding=1',
  'cni0 net.ipv4.conf.*.proxy_arp=1',
  'cni0 net.ipv4.neigh.*.proxy_delay=0',
  'cni0 nf_call_iptables=1',
]
const SIX = [
  'cni0 net.ipv6.conf.*.forwarding=1',
  'cni0 net.ipv6.conf.*.proxy_ndp=1',
  'cni0 net.ipv6.neigh.*.proxy_delay=0',
  'cni0 nf_call_ip6tables=1',
]

class Room {
  readonly graph = new Graph()
  readonly nodes = new InputTable<Node>('nodes')
  readonly bridges = createBridges()
  readonly routes = createRoutes()
  readonly tables

  constructor(localPodCIDRs: readonly string[] | null = null) {
    const { nodes, bridges, routes } = this
    this.tables = deriveBridges(this.graph, { nodes, bridges, routes }, { node: 'n1', localPodCIDRs })
    for (const table of [nodes, bridges, routes]) table.markSynced()
    this.ranges('10.244.1.0/24', 'fd00:10:244:1::/64')
  }

  ranges(...podCIDRs: readonly string[]): void {
    const rest = { addresses: [], labels: {}, annotations: {} } as unknown as Node
    this.nodes.put('n1', { ...rest, name: 'n1', podCIDRs })
  }

  rows(): readonly string[] {
    this.graph.settle()
    const rows = [...this.tables.rows.entries()]
    return rows.map(([key, row]) => (row.kind === 'proxied' ? `${key} proxied` : `${key}=${row.value}`)).sort()
  }
}

t.test('a bridge of pods: each family for itself, and only what is on its link', async (t) => {
  const room = new Room()
  room.bridges.put('cni0', CNI0)
  t.same(room.rows(), [...FOUR, ...SIX].sort())
  room.routes.put('fd00:10:244:1::7', { ip: 'fd00:10:244:1::7' })
  room.routes.put('fd00:10:244:2::7', { ip: 'fd00:10:244:2::7' })
  t.same(room.rows(), [...FOUR, ...SIX, 'cni0 fd00:10:244:1::7 proxied'].sort(), 'a pod of this node')
  room.ranges('10.244.1.0/24')
  t.same(room.rows(), FOUR)
  room.ranges('10.244.9.0/24')
  t.same(room.rows(), [])
})

t.test('what is no bridge of pods, or has none on it, is left alone; the latter is named', async (t) => {
  const room = new Room()
  room.bridges.put('docker0', { ...CNI0, name: 'docker0', addresses: ['172.17.0.1/16'] })
  room.bridges.put('cni0', { ...CNI0, isUsed: false })
  room.routes.put('fd00:10:244:1::7', { ip: 'fd00:10:244:1::7' })
  t.same(room.rows(), [])
  t.same(Object.fromEntries(room.tables.ofPods.entries()), { cni0: { ...CNI0, isUsed: false } })
  room.bridges.put('cni0', CNI0)
  t.equal(room.rows().length, 9)
  t.equal(room.tables.ofPods.get('cni0')?.isUsed, true)
})

t.test('without br_netfilter: what can be set is, and the rest is said', async (t) => {
  const room = new Room(['10.244.1.0/24'])
  room.bridges.put('cni0', { ...CNI0, isFiltered: false })
  t.same(room.rows(), FOUR.slice(0, 3))
  t.match([...room.tables.rejections.entries()], [['bridge cni0', { object: 'Node n1', remedy: /^modprobe/ }]])
  room.bridges.put('cni0', { ...CNI0, isFiltered: false, isUsed: false })
  t.same(room.rows(), [])
  t.equal(room.tables.rejections.size, 0)
})

t.test('the note on a bridge', async (t) => {
  const note = new Map([
    ['nf_call_iptables', '0'],
    ['net.ipv4.conf.*.proxy_arp', '0'],
    ['net.ipv6.neigh.*.proxy_delay', '80'],
  ])
  const text = writeNote(note)
  t.equal(
    text,
    'fairlead,before:net.ipv4.conf.*.proxy_arp=0,net.ipv6.neigh.*.proxy_delay=80,nf_call_iptables=0',
    'in one order',
  )
  t.same(readNote(text), note)
  const noted = [...FOUR, ...SIX].filter((each) => !each.includes('forwarding')).map((each) => each.slice(5, -2))
  t.ok(writeNote(new Map(noted.map((name) => [name, '4294967295']))).length < 256, 'as long as an alias may be')
  t.equal(writeNote(new Map()), '')
  t.same(readNote(''), new Map())
  t.equal(readNote('uplink of rack 7'), null, "somebody else's")
  t.same(readNote('fairlead,before:net.ipv4.conf.*.../../../x=1,kernel.panic=1,nf_call_iptables=1;x'), new Map())
})
