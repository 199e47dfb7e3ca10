/** What is measured is what was meant: clusters that our own edge accepts whole, and peers' texts of the same cluster. */
import t from 'tap'
import { asNew } from '../../bench/api.ts'
import {
  clusterIP,
  CROWD,
  NODE,
  podIP,
  SERVICE_CIDR,
  servicesOf,
  sliceOf,
  slicesOf,
  WAYS,
  type Size,
} from '../../bench/cluster.ts'
import { changeOf, textOf, type Peer } from '../../bench/peers.ts'
import { createInlets, createTables } from '../../src/cluster/tables.ts'

t.test('nothing of a cluster is rejected, and all of it is there', async (t) => {
  const sizes: [Size, number, number][] = [
    [{ services: 300, endpoints: 2 }, 300, 600],
    [{ services: 30, endpoints: 2, special: true, ways: true }, 34 + WAYS.length, 60 + 20 + CROWD + 2 * WAYS.length],
    [{ services: 20, endpoints: 10, type: 'NodePort', dual: true }, 20, 400],
  ]
  for (const [size, services, endpoints] of sizes) {
    const tables = createTables()
    const inlets = createInlets(tables)
    const slices = [...slicesOf(size)]
    inlets.services.replace([...servicesOf(size)])
    inlets.slices.replace(slices)
    inlets.nodes.replace([NODE])
    inlets.serviceCIDRs.replace([SERVICE_CIDR])
    t.same([...tables.rejections.entries()], [])
    t.equal([...tables.services.entries()].length, services)
    const addresses = slices.flatMap((slice) => slice['endpoints'].map((each: any) => each.addresses[0]))
    t.equal(new Set(addresses).size, endpoints, 'each endpoint is another address')
  }
})

t.test('a change replaces one address', async (t) => {
  const size: Size = { services: 5, endpoints: 3 }
  const addressesOf = (slice: any): string[] => slice.endpoints.map((each: any) => each.addresses[0])
  t.same(addressesOf(sliceOf(size, 2)), [podIP(6), podIP(7), podIP(8)])
  t.same(addressesOf(sliceOf(size, 2, 4, '10.120.0.1')), ['10.120.0.1', podIP(7), podIP(8)])
})

t.test("peers' texts have every service and endpoint, with chances that are even", async (t) => {
  const size: Size = { services: 40, endpoints: 3 }
  for (const peer of ['kube-proxy-nft', 'iptables-legacy', 'iptables-nft'] as Peer[]) {
    const text = [...textOf(peer, size)].join('')
    for (let i = 0; i < size.services; i++) t.ok(text.includes(clusterIP(i)), `${peer}: ${clusterIP(i)}`)
    for (let n = 0; n < 120; n++) t.match(text, new RegExp(`(dnat to |--to-destination )${podIP(n)}:8080\\b`))
    t.match(changeOf(peer, size, 7, 300), '10.120.1.44')
  }
  const chances = [...textOf('iptables-legacy', { services: 1, endpoints: 3 })].join('').match(/--probability \S+/g)
  t.same(chances, ['--probability 0.3333333333', '--probability 0.5000000000'])
})

t.test('what an API server is given', async (t) => {
  const [service] = servicesOf({ services: 1, endpoints: 1 })
  const given = asNew(service!)
  t.same(given['metadata'], { namespace: 'bench', name: 's0', labels: { app: 's0' } })
  t.notOk('status' in given)
  t.equal(given['spec'].clusterIP, clusterIP(0))
})
