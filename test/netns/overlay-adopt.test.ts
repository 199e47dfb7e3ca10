/** What an agent finds when it comes: flannel's layout in use, peers that are gone, its own work half done; and many peers. */
import t from 'tap'
import { enterWorld, inside, ip } from './world.ts'
await enterWorld()

import { node, type Raw } from '../contract/service-objects.ts'
import { finish, killLoads, ready, run } from './load.ts'
import { address, connected, OverlayWorld, podAddress, range } from './overlay.ts'
import { until } from './waiting.ts'

const world = new OverlayWorld({ underlay: [4], pods: [4] })
t.setTimeout(570_000)
t.jobs = 1
t.teardown(() => {
  killLoads()
  world.close()
})

const mac = (number: number): string => `de:ad:be:ef:00:0${number}`
const flannel = (number: number): Raw =>
  world.node(number, {
    metadata: {
      annotations: {
        'flannel.alpha.coreos.com/backend-type': 'vxlan',
        'flannel.alpha.coreos.com/backend-data': JSON.stringify({ VNI: 1, VtepMAC: mac(number) }),
        'flannel.alpha.coreos.com/public-ip': address(number),
        'flannel.alpha.coreos.com/kube-subnet-manager': 'true',
      },
    },
  })
const nodes = [flannel(1), flannel(2)]

/** As flannel lays it out (pkg/backend/vxlan), with a peer that left while it was down. */
async function layFlannel(own: number, peers: readonly number[]): Promise<void> {
  const at = own === 1 ? '' : `-n n${own} `
  await ip(
    `${at}link add flannel.1 mtu 1450 address ${mac(own)} type vxlan id 1 local ${address(own)} dev eth0 dstport 8472 nolearning`, // prettier-ignore
    `${at}address add 10.244.${own}.0/32 dev flannel.1`,
    `${at}link set flannel.1 up`,
  )
  for (const peer of peers) {
    await ip(`${at}neigh add 10.244.${peer}.0 lladdr ${mac(peer)} dev flannel.1 nud permanent`)
    await inside(`n${own}`, 'bridge', 'fdb', 'append', mac(peer), 'dev', 'flannel.1', 'dst', address(peer), 'self')
    await ip(`${at}route add ${range(peer)} via 10.244.${peer}.0 dev flannel.1 onlink`)
  }
}

const indexOf = async (node: string): Promise<string> => (await inside(node, 'ip', '-o', 'link', 'show', 'flannel.1')).split(':')[0]! // prettier-ignore

t.test('nodes that ran flannel are taken over one by one: no connection fails, none breaks', async (t) => {
  await world.build(2)
  await layFlannel(1, [2, 9])
  await layFlannel(2, [1, 9])
  world.write(...nodes)
  const before = await Promise.all(['n1', 'n2'].map(indexOf))
  await ready(run('p2', 'load', 'serve', '--listen', 'tcp:9000'))
  const to = ['--to', `${podAddress(2)}:9000`]
  const steady = run('p1', 'load', 'steady', ...to, '--rate', '200')
  const held = run('p1', 'load', 'hold', ...to, '--count', '20', '--interval-ms', '20')
  await Promise.all([ready(steady), ready(held)])
  for (const number of [1, 2]) await world.start(number)
  for (const name of ['n1', 'n2']) {
    const all = await Promise.all([
      inside(name, 'ip', 'route'),
      inside(name, 'ip', 'neigh'),
      inside(name, 'bridge', 'fdb'),
    ])
    t.notMatch(all.join('\n'), /10\.244\.9\.|172\.30\.0\.19/, `${name}: the peer that left is gone`)
  }
  t.same(await Promise.all(['n1', 'n2'].map(indexOf)), before, 'the devices are the ones that were there')
  t.match(await inside('n1', 'ip', 'link', 'show', 'flannel.1'), mac(1))
  // And taken over again, by one that follows another that was killed.
  await world.kill()
  for (const number of [2, 1]) await world.start(number)
  t.match(await finish(steady), { failedTotal: 0 })
  t.match(await finish(held), { connections: 20, broken: 0 })
})

t.test('an agent that is killed while it programs: the next one completes it; what stood stands', async (t) => {
  const many = manyNodes(400)
  const steady = run('p1', 'load', 'steady', '--to', `${podAddress(2)}:9000`, '--rate', '100')
  await ready(steady)
  await world.kill()
  world.write(...nodes, ...many)
  let killedAt = 0
  for (const wanted of [1, 100, 300]) {
    const agent = world.begin(1)
    await until('it has begun', async () => (killedAt = await entries()) >= wanted)
    await agent.kill()
    t.comment(`killed at ${killedAt} entries`)
    await inside('n1', 'ip', 'route', 'flush', 'root', '10.100.0.0/16')
  }
  await world.start(1)
  t.equal(await entries(), 3 * 401, 'three entries a peer')
  t.match(await finish(steady), { failedTotal: 0 })
})

t.test('1,000 nodes that come at once, and go again', async (t) => {
  await world.kill()
  world.write(...nodes)
  await world.start(1)
  t.equal(await entries(), 3)
  await world.kill()
  world.write(...nodes, ...manyNodes(999))
  const agent = await world.start(1)
  t.equal(await entries(), 3 * 1000)
  t.comment(`from nothing: ${await lastSeconds()} s`)
  world.write(...nodes, ...manyNodes(998))
  await until('one has left', async () => (await entries()) === 3 * 999)
  t.comment(`one leaves: ${await lastSeconds()} s`)
  await until('the guard, too', async () => (await guarded()) === 999)
  world.write(...nodes)
  await until('they are gone', async () => (await entries()) === 3)
  t.comment(`998 leave: ${await lastSeconds()} s`)
  await connected(1, 2, [4])

  async function lastSeconds(): Promise<number> {
    const report = await agent.report()
    return report!.targets.find(({ name }) => name === 'overlay')!.last!.seconds
  }
})

/** Routes, neighbours and forwarding entries of n1's device. */
async function entries(): Promise<number> {
  const all = await Promise.all([
    inside('n1', 'ip', 'route', 'show', 'dev', 'flannel.1'),
    inside('n1', 'ip', 'neigh', 'show', 'dev', 'flannel.1', 'nud', 'permanent'),
    inside('n1', 'bridge', 'fdb', 'show', 'dev', 'flannel.1'),
  ])
  return all.join('').split('\n').length - 1
}

async function guarded(): Promise<number> {
  const text = await inside('n1', 'nft', 'list', 'set', 'inet', 'fairlead_overlay', 'vteps4')
  return text.match(/\d+\.\d+\.\d+\.\d+/g)?.length ?? 0
}

/** With addresses for benchmarks (RFC 2544), so that none is one of the world. */
function manyNodes(count: number): Raw[] {
  return Array.from({ length: count }, (_, i) => {
    const [high, low] = [i >> 8, i & 255]
    return node(`many-${i}`, [`198.18.${high}.${low}`], [`10.${100 + high}.${low}.0/24`], null)
  })
}
