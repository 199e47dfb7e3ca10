import t from 'tap'
import { macOf } from '../../src/overlay/mac.ts'
import { OverlayRoom } from '../contract/overlay-room.ts'
import { node, type Raw } from '../contract/service-objects.ts'

const four = (number: number): string => `10.244.${number}.0/24`
const six = (number: number): string => `fd00:10:244:${number}::/64`
const plain = (number: number, more: object = {}) => {
  const made = node(`n${number}`, [`172.30.0.1${number}`], [four(number)], null)
  return { ...made, metadata: { ...made['metadata'], ...more } }
}
const born = (year: number) => ({ creationTimestamp: `${year}-01-01T00:00:00Z` })
const annotated = (annotations: Record<string, string>) => ({
  annotations: Object.fromEntries(
    Object.entries(annotations).map(([key, value]) => [`flannel.alpha.coreos.com/${key}`, value]),
  ),
})

t.test('one peer is one neighbour, one forwarding entry, one route, as flannel lays them out', (t) => {
  const room = new OverlayRoom({}, [plain(1), plain(2)])
  const mac = macOf('n2', 4)
  t.same(room.rows(), {
    'device flannel.1': {
      ...{ kind: 'device', name: 'flannel.1', family: 4, vni: 1, port: 8472, local: '172.30.0.11' },
      ...{ parent: 'eth0', mtu: 1450, mac: macOf('n1', 4) },
    },
    'address flannel.1 10.244.1.0': { kind: 'address', device: 'flannel.1', ip: '10.244.1.0' },
    'neighbour flannel.1 10.244.2.0': { kind: 'neighbour', device: 'flannel.1', ip: '10.244.2.0', mac },
    [`fdb flannel.1 ${mac}`]: { kind: 'fdb', device: 'flannel.1', mac, to: '172.30.0.12' },
    'route 10.244.2.0/24': {
      ...{ kind: 'route', to: '10.244.2.0/24', via: '10.244.2.0', device: 'flannel.1', onlink: true },
    },
  })
  t.same(room.guard(), ['172.30.0.12', 'uplink eth0'])
  t.same(room.rejections(), [])
  t.end()
})

t.test('what a node wrote counts more than what it would be given: link address, address, overwrite', (t) => {
  const written = annotated({ 'backend-type': 'vxlan', 'backend-data': '{"VNI":1,"VtepMAC":"AA:bb:cc:00:00:02"}' })
  const room = new OverlayRoom({}, [plain(1), plain(2, written)])
  t.match(room.rows(), { 'fdb flannel.1 aa:bb:cc:00:00:02': { to: '172.30.0.12' } })
  const elsewhere = annotated({ 'public-ip': '198.51.100.2' })
  room.put(plain(2, elsewhere))
  t.match(room.rows(), { [`fdb flannel.1 ${macOf('n2', 4)}`]: { to: '198.51.100.2' } })
  t.same(room.guard(), ['172.30.0.12', '198.51.100.2', 'uplink eth0'], 'and its packets may come from either')
  room.put(plain(2, annotated({ 'public-ip': '198.51.100.2', 'public-ip-overwrite': '203.0.113.2' })))
  t.match(room.rows(), { [`fdb flannel.1 ${macOf('n2', 4)}`]: { to: '203.0.113.2' } })
  t.end()
})

t.test('our link address: the device that is there, else the annotation, else the computed one', (t) => {
  const written = annotated({ 'backend-data': '{"VNI":1,"VtepMAC":"aa:bb:cc:00:00:01"}' })
  const macIn = (room: OverlayRoom): unknown => (room.rows()['device flannel.1'] as { mac: string }).mac
  t.equal(macIn(new OverlayRoom({}, [plain(1)])), macOf('n1', 4))
  t.equal(macIn(new OverlayRoom({}, [plain(1, written)])), 'aa:bb:cc:00:00:01')
  t.equal(macIn(new OverlayRoom({}, [plain(1, written)], { found: { 'flannel.1': 'ee:00:00:00:00:01' } })), 'ee:00:00:00:00:01') // prettier-ignore
  t.end()
})

t.test('IPv4 and IPv6 pods: each by the underlay of its family, by the only one where there is no such', (t) => {
  const both = (number: number, ips: readonly string[]) => node(`n${number}`, ips, [four(number), six(number)], null)
  const dual = new OverlayRoom({}, [both(1, ['172.30.0.11', 'fd00:172:30::11']), both(2, ['172.30.0.12', 'fd00:172:30::12'])]) // prettier-ignore
  t.match(dual.rows(), {
    'device flannel.1': { mtu: 1450, family: 4 },
    'device flannel-v6.1': { mtu: 1430, family: 6, local: 'fd00:172:30::11' },
    [`route ${four(2)}`]: { device: 'flannel.1', via: '10.244.2.0' },
    [`route ${six(2)}`]: { device: 'flannel-v6.1', via: 'fd00:10:244:2::' },
    [`fdb flannel-v6.1 ${macOf('n2', 6)}`]: { to: 'fd00:172:30::12' },
  })
  const single = new OverlayRoom({}, [both(1, ['fd00:172:30::11']), both(2, ['fd00:172:30::12'])])
  t.match(single.rows(), {
    'address flannel-v6.1 10.244.1.0': {},
    'address flannel-v6.1 fd00:10:244:1::': {},
    [`route ${four(2)}`]: { device: 'flannel-v6.1' },
    [`route ${six(2)}`]: { device: 'flannel-v6.1' },
  })
  t.notOk(single.rows()['device flannel.1'])
  const mixed = new OverlayRoom({}, [both(1, ['172.30.0.11', 'fd00:172:30::11']), both(2, ['172.30.0.12'])])
  t.match(mixed.rows(), { [`route ${six(2)}`]: { device: 'flannel.1' } }, 'a peer that has one family only')
  t.same(mixed.rejections(), [])
  const apart = new OverlayRoom({}, [node('n1', ['172.30.0.11'], [four(1)], null), node('n2', ['fd00:172:30::12'], [four(2)], null)]) // prettier-ignore
  t.match(apart.rejections(), [{ object: 'Node n2', problem: /no address of a family that carries IPv4 pods here/ }])
  t.end()
})

t.test('direct routing: on the same link no packet is wrapped', (t) => {
  const far = node('n3', ['192.0.2.13'], [four(3)], null)
  const room = new OverlayRoom({ directRouting: true }, [plain(1), plain(2), far])
  const rows = room.rows()
  t.same(rows[`route ${four(2)}`], { kind: 'route', to: four(2), via: '172.30.0.12', device: 'eth0', onlink: false })
  t.notOk(rows[`fdb flannel.1 ${macOf('n2', 4)}`])
  t.match(rows, { [`route ${four(3)}`]: { device: 'flannel.1', onlink: true } })
  t.same(room.guard(), ['172.30.0.12', '192.0.2.13', 'uplink eth0'], 'one that wraps all the same is let in')
  t.end()
})

t.test('networks outside of the cluster', (t) => {
  const networks = [{ cidr: '10.9.0.0/16', mac: '0a:00:00:00:00:09', address: '192.0.2.9' }]
  const room = new OverlayRoom({ networks }, [plain(1)])
  t.match(room.rows(), {
    'neighbour flannel.1 10.9.0.0': { mac: '0a:00:00:00:00:09' },
    'fdb flannel.1 0a:00:00:00:00:09': { to: '192.0.2.9' },
    'route 10.9.0.0/16': { via: '10.9.0.0' },
  })
  t.same(room.guard(), ['192.0.2.9', 'uplink eth0'])
  t.end()
})

t.test('podCIDRs that overlap: the older node has it; others go on', (t) => {
  const younger = { ...plain(2, born(2025)), spec: { podCIDRs: ['10.244.0.0/16'] } }
  const room = new OverlayRoom({}, [plain(1, born(2024)), younger, plain(3, born(2026))])
  t.notOk(room.rows()['route 10.244.0.0/16'])
  t.same(room.rejections(), [
    {
      object: 'Node n2',
      field: 'spec.podCIDRs',
      problem: 'has 10.244.0.0/16, which overlaps 10.244.1.0/24 of the older Node n1: pods there are not reached',
      remedy: 'delete the Node and let it join again with a range of its own, or correct the ranges of the cluster',
    },
  ])
  t.ok(room.rows()[`route ${four(3)}`], 'whom n2 would have shut out')
  room.drop(plain(1))
  t.same(room.rejections().map(({ object }) => object), ['Node n3'], 'n1 has gone: n2 has it, and n3 is younger') // prettier-ignore
  t.end()
})

t.test('a podCIDR on service addresses, or on underlay addresses, is not routed', (t) => {
  const cidrs = { kind: 'ServiceCIDR', metadata: { name: 'kubernetes' }, spec: { cidrs: ['10.96.0.0/12'] } }
  const onServices = node('n2', ['172.30.0.12'], ['10.100.0.0/24'], null)
  const onUnderlay = node('n3', ['172.30.0.13'], ['172.30.0.0/25'], null)
  const room = new OverlayRoom({}, [plain(1), onServices, onUnderlay, cidrs])
  t.match(room.rejections(), [
    { object: 'Node n2', problem: /overlaps the service range 10\.96\.0\.0\/12/ },
    { object: 'Node n3', problem: /overlaps the underlay address 172\.30\.0\.\d+ of Node n/ },
  ])
  t.notOk(room.rows()['route 10.100.0.0/24'])
  t.notOk(room.rows()['route 172.30.0.0/25'])
  const configured = new OverlayRoom({ serviceCIDRs: ['10.96.0.0/12'] }, [plain(1), onServices])
  t.equal(configured.rejections().length, 1)
  t.end()
})

t.test('two nodes with one address, or one link address: the older is reached', (t) => {
  const twin = { ...node('n3', ['172.30.0.12'], [four(3)], null), metadata: { name: 'n3', ...born(2025) } }
  const room = new OverlayRoom({}, [plain(1), plain(2, born(2024)), twin])
  t.match(room.rejections(), [{ object: 'Node n3', field: 'status.addresses', problem: /172\.30\.0\.12, which is the older Node n2's/ }]) // prettier-ignore
  t.ok(room.rows()[`route ${four(2)}`])
  t.notOk(room.rows()[`route ${four(3)}`])
  const cloned = annotated({ 'backend-data': '{"VNI":1,"VtepMAC":"aa:bb:cc:00:00:02"}' })
  const clones = new OverlayRoom({}, [plain(1), plain(2, { ...born(2024), ...cloned }), plain(3, { ...born(2025), ...cloned })]) // prettier-ignore
  t.match(clones.rejections(), [
    { object: 'Node n3', problem: /VtepMAC aa:bb:cc:00:00:02, which is the older Node n2's/ },
  ])
  t.end()
})

t.test('what a node lacks, or says wrong', (t) => {
  const problems = (...objects: readonly Raw[]): unknown[] => new OverlayRoom({}, [plain(1), ...objects]).rejections()
  t.match(problems(node('n2', [], [four(2)], null)), [{ object: 'Node n2', problem: /no address of type InternalIP/ }])
  t.match(problems(plain(2, annotated({ 'backend-type': 'host-gw' }))), [{ problem: /is host-gw/ }])
  t.match(problems(plain(2, annotated({ 'backend-data': '{"VNI":4096,"VtepMAC":"aa:bb:cc:00:00:02"}' }))), [
    { problem: /VNI 4096, not 1/, remedy: /--overlay-vni/ },
  ])
  for (const bad of ['{', '"x"', '{"VtepMAC":"01:00:5e:00:00:01"}', '{"VtepMAC":7}'])
    t.match(problems(plain(2, annotated({ 'backend-data': bad }))), [{ problem: /without a usable VtepMAC/ }], bad)
  t.match(problems(plain(2, annotated({ 'public-ip': '010.0.0.1' }))), [{ problem: /not an IPv4 address/ }])
  t.same(problems(plain(2, annotated({ 'backend-v6-data': 'null' }))), [], 'as flannel writes it')
  t.end()
})

t.test('what this node lacks: no overlay here, and it is said', (t) => {
  const none = new OverlayRoom({}, [node('n1', ['172.30.0.11'], [], null), plain(2)])
  t.same(none.rows(), {})
  t.match(none.rejections(), [{ object: 'Node n1', field: 'spec.podCIDRs', remedy: /--allocate-node-cidrs/ }])
  const nowhere = new OverlayRoom({}, [node('n1', ['198.51.100.1'], [four(1)], null), plain(2)])
  t.same(nowhere.rows(), {})
  t.match(nowhere.rejections(), [{ object: 'Node n1', problem: /no interface of this host has/ }])
  const interfaces = [{ ip: '172.30.0.11', interface: 'lo', prefixLength: 32, mtu: 65536 }]
  const looped = new OverlayRoom({}, [plain(1), plain(2)], { interfaces })
  t.same(looped.rows(), {})
  t.match(looped.rejections(), [{ object: 'Node n1', problem: /has 172\.30\.0\.11 on lo/ }])
  t.end()
})

t.test('what our Node is to say, while it does not', (t) => {
  const room = new OverlayRoom({}, [plain(1)])
  const wanted = {
    'flannel.alpha.coreos.com/backend-type': 'vxlan',
    'flannel.alpha.coreos.com/kube-subnet-manager': 'true',
    'flannel.alpha.coreos.com/public-ip': '172.30.0.11',
    'flannel.alpha.coreos.com/backend-data': JSON.stringify({ VNI: 1, VtepMAC: macOf('n1', 4) }),
  }
  t.same(room.announcements(), {
    'Node n1 annotations': { kind: 'annotations', node: 'n1', annotations: wanted },
    'Node n1 condition': { kind: 'condition', node: 'n1' },
  })
  room.put(plain(1, { annotations: wanted }))
  t.same(Object.keys(room.announcements()), ['Node n1 condition'])
  room.put(plain(1, { annotations: { ...wanted, 'flannel.alpha.coreos.com/public-ip': '172.30.0.99' } }))
  t.match(room.announcements(), {
    'Node n1 annotations': { annotations: { 'flannel.alpha.coreos.com/public-ip': '172.30.0.11' } },
  })
  t.end()
})

t.test('subnet.env', (t) => {
  const text = (...options: ConstructorParameters<typeof OverlayRoom>): string =>
    new OverlayRoom(...options).subnetEnv()
  t.equal(text({}, [plain(1), plain(2)]), 'FLANNEL_NETWORK=10.244.0.0/22\nFLANNEL_SUBNET=10.244.1.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n') // prettier-ignore
  t.match(
    text({ clusterCIDRs: ['10.244.0.0/16'], mtu: 1400 }, [plain(1)]),
    /NETWORK=10.244.0.0\/16\n(.*\n)FLANNEL_MTU=1400/,
  )
  t.end()
})
