/** What lies below: IPv6 only, IPv4 only, one link with direct routing; and what a cleanup leaves. */
import t from 'tap'
import { enterWorld, inside, ip } from './world.ts'
await enterWorld()

import { exec } from '../../src/kernel/exec.ts'
import { address, connected, OverlayWorld, pings, podAddress, range, reached, type World } from './overlay.ts'
import { MAIN } from './shipped.ts'
import { until } from './waiting.ts'

t.setTimeout(570_000)
t.jobs = 1
let world: OverlayWorld
t.teardown(() => world.close())

/** Hosts of their own for each test. */
async function build(count: number, like: World, ...args: readonly string[]): Promise<void> {
  world = new OverlayWorld(like)
  await world.build(count)
  const numbers = Array.from({ length: count }, (_, i) => i + 1)
  world.write(...numbers.map((number) => world.node(number)))
  await Promise.all(numbers.map((number) => world.start(number, ...args)))
}

async function clear(): Promise<void> {
  await world.kill()
  world.close()
  const cleaned = await exec([process.execPath, MAIN, 'agent', '--cleanup'])
  t.equal(cleaned.kind, 'done', cleaned.kind === 'failed' ? cleaned.stderr : 'cleanup')
  const names = (await inside('n1', 'ip', 'netns', 'list')).split('\n').flatMap((line) => line.split(' ')[0] || [])
  await ip(...names.map((name) => `netns delete ${name}`))
  await until('the interfaces went along', async () => !(await inside('n1', 'ip', 'link')).includes('eth0'))
}

t.test('IPv6 is all there is below: IPv4 and IPv6 pods, full size, both ways', async (t) => {
  await build(2, { underlay: [6] })
  await connected(1, 2)
  for (const [from, to] of [
    [1, 2],
    [2, 1],
  ] as const) {
    // prettier-ignore
    for (const family of [4, 6] as const) {
      await reached(`p${from}`, podAddress(to, family), 1430)
      t.notOk(await pings(`p${from}`, podAddress(to, family), 1431))
    }
  }
  await reached('n1', podAddress(2)) // from a node that has no other IPv4 address
  t.notMatch(await inside('n1', 'ip', 'link'), /flannel\.1/, 'one device does')
  await clear()
})

t.test('IPv4 is all there is below, of a larger MTU', async (t) => {
  await build(2, { underlay: [4], mtu: 1600 })
  await connected(1, 2)
  for (const family of [4, 6] as const) {
    await reached('p1', podAddress(2, family), 1550)
    t.notOk(await pings('p1', podAddress(2, family), 1551))
  }
  await clear()
})

t.test(
  'direct routing: nothing is wrapped on one link, routes come back, a farther node is reached by VXLAN',
  async (t) => {
    await build(3, {}, '--overlay-direct-routing')
    for (const [a, b] of [[1, 2], [2, 3]] as const) await connected(a, b) // prettier-ignore
    await reached('p1', podAddress(2), 1500) // no octet is lost to the overlay
    t.match(await inside('n1', 'ip', 'route'), new RegExp(`${range(2)} via ${address(2)} dev eth0 proto 157`))
    for (const lost of [`route delete ${range(2)}`, `-6 route delete ${range(2, 6)}`, 'link set eth0 down']) {
      await ip(lost)
      if (lost.startsWith('link')) await ip('link set eth0 up', `addr add ${address(1, 6)}/64 dev eth0 nodad`)
      await connected(1, 2)
    }
    // Node 3 moves behind a router that n2 is.
    await ip(`-n n3 addr delete ${address(3)}/24 dev eth0`, `-n n3 addr add 192.0.2.3/32 dev eth0`)
    await ip(`-n n3 route add ${address(2)} dev eth0`, `-n n3 route add 172.30.0.0/24 via ${address(2)} src 192.0.2.3`)
    await ip('-n n2 route add 192.0.2.3 dev eth0', `route add 192.0.2.3 via ${address(2)}`)
    world.write(world.node(1), world.node(2), world.node(3, { ips: ['192.0.2.3', address(3, 6)] }))
    await connected(1, 3)
    t.match(await inside('n1', 'ip', 'route'), /10\.244\.3\.0\/24 via 10\.244\.3\.0 dev flannel\.1 /)
    t.match(await inside('n1', 'ip', '-6', 'route'), new RegExp(`${range(3, 6)} via ${address(3, 6)} dev eth0`))
    await clear()
  },
)

t.test('a node whose kernel has no IPv6: that is refused and said, IPv4 goes on', async (t) => {
  world = new OverlayWorld({ underlay: [4] })
  await world.build(2)
  const switches = ['all', 'default'].map((name) => `net.ipv6.conf.${name}.disable_ipv6=1`)
  await inside('n1', 'sysctl', '-qw', ...switches)
  world.write(world.node(1), world.node(2))
  const [agent] = await Promise.all([1, 2].map((number) => world.start(number)))
  await connected(1, 2, [4])
  const { refused } = (await agent!.report())!.targets.find(({ name }) => name === 'overlay')!
  t.match(refused.first.map(({ key }) => key).sort().slice(0, 1), ['address flannel.1 fd00:10:244:1::']) // prettier-ignore
  t.ok(refused.first.every(({ key }) => key.includes('fd00:')))
  await ip(`route delete ${range(2)}`)
  await until('repairs go on', async () => (await inside('n1', 'ip', 'route')).includes(range(2)))
  await connected(1, 2, [4])
  await until('and come to rest', async () => {
    const { drift } = (await agent!.report())!.targets.find(({ name }) => name === 'overlay')!
    return drift?.clean !== false
  })
  await inside('n1', 'sysctl', '-qw', ...switches.map((text) => text.replace('=1', '=0')))
  await clear()
})

t.test('a cleanup leaves nothing of ours, and all of others', async (t) => {
  await build(2, {}, '--overlay-direct-routing', '--overlay-device', 'pods4,pods6')
  await connected(1, 2)
  await ip('link add theirs type vxlan id 42 local 172.30.0.11 dev eth0 dstport 4789', 'link set theirs up')
  await ip('route add 10.9.0.0/24 dev theirs', `route add 10.8.0.0/24 via ${address(2)}`)
  t.match(await inside('n1', 'ip', 'link'), /pods4/)
  await world.kill()
  for (const _ of [1, 2]) t.match(await exec([process.execPath, MAIN, 'agent', '--cleanup']), { kind: 'done' })
  const [links, routes] = await Promise.all([inside('n1', 'ip', 'link'), inside('n1', 'ip', 'route')])
  t.notMatch(links, /pods/)
  t.match(links, /theirs/)
  t.notMatch(routes, /157|10\.244\.2/)
  t.match(routes, /10\.9\.0\.0\/24[^]*10\.8\.0\.0\/24|10\.8\.0\.0\/24[^]*10\.9\.0\.0\/24/)
  t.equal(await inside('n1', 'nft', 'list', 'tables'), '')
})
