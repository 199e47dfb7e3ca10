import t from 'tap'
import { Inlet } from '../../src/cluster/inlet.ts'
import type { Kind } from '../../src/cluster/kind.ts'
import { InputTable } from '../../src/core/table.ts'
import type { Rejection } from '../../src/cluster/rejection.ts'
import { claimKey, createInlets, createTables, labelKey, nodePortKey } from '../../src/cluster/tables.ts'

const service = (name: string, spec: object = {}) => ({
  metadata: { namespace: 'shop', name },
  spec: { ports: [{ port: 80 }], ...spec },
})

t.test('one object in, one row and its complaints out', async (t) => {
  const tables = createTables()
  const { services, nodes } = createInlets(tables)
  services.put(service('a', { clusterIPs: ['10.96.0.1', '127.1'], externalIPs: ['x'] }))
  nodes.put({ metadata: { name: 'a' }, spec: { podCIDR: 'x' } })
  t.match(tables.services.get('shop/a'), { clusterIPs: ['10.96.0.1'] })
  t.equal(tables.rejections.size, 3)
  services.put(service('a', { externalIPs: ['x'] }))
  t.same(
    [...tables.rejections.entries()].map(([, row]) => row.object),
    ['Service shop/a', 'Node a'],
    'one is mended',
  )
  services.drop({ metadata: { namespace: 'shop', name: 'a' } })
  t.same(
    [...tables.rejections.entries()].map(([, row]) => row.object),
    ['Node a'],
    'the complaint goes with the object',
  )
  t.notOk(tables.services.has('shop/a'))
})

t.test('an object that becomes unusable is no row any more', async (t) => {
  const tables = createTables()
  const { slices } = createInlets(tables)
  const slice = {
    metadata: { namespace: 'shop', name: 'a', labels: { 'kubernetes.io/service-name': 'a' } },
    addressType: 'IPv4',
  }
  slices.put(slice)
  t.ok(tables.slices.has('shop/a'))
  slices.put({ ...slice, addressType: 'X' })
  t.notOk(tables.slices.has('shop/a'))
  slices.put(slice)
  t.ok(tables.slices.has('shop/a'))
  t.equal(tables.rejections.size, 0)
})

t.test('a list is truth', async (t) => {
  const tables = createTables()
  const { services } = createInlets(tables)
  services.replace([service('a'), service('b'), service('bad', { type: 'X' })])
  t.equal(tables.services.size, 3)
  t.equal(tables.rejections.size, 1)
  const [row, { number }] = [tables.services.get('shop/a'), tables.services]
  services.replace([service('bad', { type: 'X' }), service('b'), service('a')])
  t.equal(tables.services.number, number, 'the same in another order is no change')
  t.equal(tables.services.get('shop/a'), row)
  services.replace([service('b')])
  t.same(
    [...tables.services.entries()].map(([key]) => key),
    ['shop/b'],
  )
  t.equal(tables.rejections.size, 0)
})

t.test('a list in pages is seen when it is whole', async (t) => {
  const tables = createTables()
  const { services } = createInlets(tables)
  services.put(service('old'))
  const lost = services.begin()
  lost.add(service('lost', { type: 'X' }))
  const stage = services.begin()
  stage.add(service('a'))
  t.same(
    [...tables.services.entries()].map(([key]) => key),
    ['shop/old'],
  )
  stage.add(service('b'))
  stage.commit()
  t.same([...tables.services.entries()].map(([key]) => key).sort(), ['shop/a', 'shop/b'])
  t.equal(tables.rejections.size, 0, 'what was never committed leaves no trace')
})

t.test('objects without usable names are told apart, and can go', async (t) => {
  const tables = createTables()
  const { services } = createInlets(tables)
  const long = { metadata: { namespace: 'shop', name: 'a'.repeat(5000) } }
  const longer = { metadata: { namespace: 'shop', name: 'a'.repeat(5001) } }
  const nameless = { metadata: { namespace: 'shop' } }
  for (const object of [long, longer, nameless, 7]) services.put(object)
  t.equal(tables.services.size, 0)
  t.equal(tables.rejections.size, 4)
  for (const [key, row] of tables.rejections.entries())
    t.ok(key.length < 100 && JSON.stringify(row).length < 600, 'bounded')
  services.drop(long)
  services.drop(nameless)
  t.equal(tables.rejections.size, 2)
  services.replace([])
  t.equal(tables.rejections.size, 0)
})

t.test('a bug in a parser costs one object', async (t) => {
  const rejections = new InputTable<Rejection>('rejections')
  const kind: Kind<object> = {
    ...{ kind: 'Thing', plural: 'things', group: '', version: 'v1', namespaced: true, optional: false },
    parse: () => {
      throw new Error('oops')
    },
  }
  const inlet = new Inlet(kind, new InputTable<object>('things'), rejections)
  inlet.put(service('a'))
  t.match([...rejections.entries()][0]?.[1], { object: 'Thing "shop/a"', problem: /oops/, remedy: /report/ })
})

t.test('indexes', async (t) => {
  const tables = createTables()
  const { services, slices, nodes, pods, namespaces } = createInlets(tables)
  const ports = [
    { port: 80, nodePort: 30_080 },
    { name: 'dns', port: 53, protocol: 'UDP' },
  ]
  services.put(
    service('a', {
      ...{ type: 'LoadBalancer', clusterIPs: ['10.96.0.1', 'fd00::1'], externalIPs: ['192.0.2.1'], ports },
    }),
  )
  const claims = [claimKey('10.96.0.1', 'tcp', 80), claimKey('fd00::1', 'udp', 53), claimKey('192.0.2.1', 'tcp', 80)]
  for (const claim of [...claims, nodePortKey('tcp', 30_080)]) {
    t.same([...tables.services.keysBy('claims', claim)], ['shop/a'], claim)
  }
  t.equal(claims[0], '10.96.0.1 tcp 80')
  t.same([...tables.services.keysBy('claims', nodePortKey('udp', 30_080))], [])
  t.same([...tables.services.keysBy('address', 'fd00::1')], ['shop/a'])
  t.same([...tables.services.keysBy('address', '192.0.2.1')], [], 'ClusterIPs only')

  const labels = { 'kubernetes.io/service-name': 'a' }
  slices.put({ metadata: { namespace: 'shop', name: 's', labels }, addressType: 'IPv4' })
  t.same([...tables.slices.keysBy('service', 'shop/a')], ['shop/s'])

  nodes.put({ metadata: { name: 'n1' }, status: { addresses: [{ type: 'InternalIP', address: '172.30.0.11' }] } })
  t.same([...tables.nodes.keysBy('address', '172.30.0.11')], ['n1'])

  const status = { podIPs: [{ ip: '10.244.1.5' }] }
  pods.put({ metadata: { namespace: 'shop', name: 'p', labels: { app: 'web' } }, spec: { nodeName: 'n1' }, status })
  const found = { node: 'n1', ip: '10.244.1.5', ns: 'shop', label: labelKey('shop', 'app', 'web') }
  for (const [index, value] of Object.entries(found)) t.same([...tables.pods.keysBy(index, value)], ['shop/p'], index)

  namespaces.put({ metadata: { name: 'shop', labels: { team: 'a' } } })
  t.same([...tables.namespaces.keysBy('label', 'team=a')], ['shop'])
})
