/** Pods of several nodes reach each other by the overlay of agents as they ship. */
import t from 'tap'
import { enterWorld, inside } from './world.ts'
await enterWorld()

import { connected, OverlayWorld, pings, podAddress, reached } from './overlay.ts'
import type { Agent } from './shipped.ts'
import { until } from './waiting.ts'

const world = new OverlayWorld()
t.setTimeout(570_000)
t.jobs = 1
t.teardown(() => world.close())
let agents: readonly Agent[] = []
const nodes = [1, 2, 3].map((number) => world.node(number))

t.test('three nodes, IPv4 and IPv6: pods reach pods and nodes; the layout is flannel’s', async (t) => {
  await world.build(3)
  world.write(...nodes)
  t.notOk(await pings('p1', podAddress(2)), 'not before')
  agents = await Promise.all([1, 2, 3].map((number) => world.start(number)))
  for (const [a, b] of [[1, 2], [2, 3], [1, 3]] as const) await connected(a, b) // prettier-ignore
  for (const family of [4, 6] as const) await reached('n1', podAddress(2, family)) // a node reaches pods elsewhere
  const links = await inside('n1', 'ip', '-d', 'link', 'show', 'type', 'vxlan')
  t.match(links, /flannel\.1: .*mtu 1450/)
  t.match(links, /vxlan id 1 local 172.30.0.11 dev eth0 .*dstport 8472 nolearning/)
  t.match(links, /flannel-v6\.1: .*mtu 1430/)
  t.match(links, /vxlan id 1 local fd00:172:30::11 dev eth0 .*dstport 8472 nolearning/)
  t.match(await inside('n1', 'ip', 'route'), /10\.244\.2\.0\/24 via 10\.244\.2\.0 dev flannel\.1 .*onlink/)
  t.equal(world.readSubnetEnv(1), 'FLANNEL_NETWORK=10.244.0.0/22\nFLANNEL_SUBNET=10.244.1.1/24\nFLANNEL_IPV6_NETWORK=fd00:10:244::/62\nFLANNEL_IPV6_SUBNET=fd00:10:244:1::1/64\nFLANNEL_MTU=1430\nFLANNEL_IPMASQ=true\n') // prettier-ignore
})

t.test('a full-size packet passes both ways, one octet more does not', async (t) => {
  for (const [from, to] of [
    [1, 2],
    [2, 1],
  ] as const) {
    // prettier-ignore
    await reached(`p${from}`, podAddress(to), 1450)
    t.notOk(await pings(`p${from}`, podAddress(to), 1451))
    await reached(`p${from}`, podAddress(to, 6), 1430)
    t.notOk(await pings(`p${from}`, podAddress(to, 6), 1431))
  }
})

t.test('a node that goes takes its entries along', async () => {
  world.write(nodes[0]!, nodes[1]!)
  await until('no trace of n3', async () => {
    const all = await Promise.all([
      inside('n1', 'ip', 'route'),
      inside('n1', 'ip', '-6', 'route'),
      inside('n1', 'ip', 'neigh', 'show', 'nud', 'permanent'),
      inside('n1', 'bridge', 'fdb', 'show'),
      inside('n1', 'nft', 'list', 'table', 'inet', 'fairlead_overlay'),
    ])
    return !/10\.244\.3\.|fd00:10:244:3:|172\.30\.0\.13|fd00:172:30::13/.test(all.join('\n'))
  })
  await connected(1, 2)
})

t.test('what cannot be used is said in status and log, and harms nobody else', async (t) => {
  const twin = world.node(3, { name: 'twin', podCIDRs: ['10.244.2.0/25'], metadata: { creationTimestamp: '2026-01-01T00:00:00Z' } }) // prettier-ignore
  world.write(nodes[0]!, nodes[1]!, twin)
  await until('status says it', async () => {
    const { rejections } = (await agents[0]!.report())!
    return rejections.first.some(({ object, problem }) => object === 'Node twin' && /10\.244\.2\.0\/24 of the older Node n2/.test(problem)) // prettier-ignore
  })
  await until('the log, too', () => agents[0]!.said.some((line) => /cannot be used object="Node twin" field=spec.podCIDRs/.test(line))) // prettier-ignore
  await connected(1, 2)
  t.notMatch(await inside('n1', 'ip', 'route'), /10\.244\.2\.0\/25/)
})
