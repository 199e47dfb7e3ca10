/** Whatever somebody does to the overlay in the kernel is undone at once, without a restart and without a timer. */
import t from 'tap'
import { enterWorld, inside, ip } from './world.ts'
await enterWorld()

import { readFileSync, writeFileSync } from 'node:fs'
import { exec } from '../../src/kernel/exec.ts'
import { connected, OverlayWorld, pings, podAddress, reached } from './overlay.ts'
import type { Agent } from './shipped.ts'
import { until } from './waiting.ts'

const world = new OverlayWorld()
t.setTimeout(570_000)
t.jobs = 1
t.teardown(() => world.close())

/** All there is of the overlay of n1, but for what the kernel numbers anew each time. */
async function state(): Promise<string> {
  const commands = [
    ['ip', '-o', '-d', 'link', 'show', 'type', 'vxlan'],
    ['ip', '-o', 'addr', 'show', 'dev', 'flannel.1', 'scope', 'global'],
    ['ip', '-o', 'addr', 'show', 'dev', 'flannel-v6.1', 'scope', 'global'],
    ['ip', 'route', 'show', 'root', '10.244.0.0/16'],
    ['ip', '-6', 'route', 'show', 'root', 'fd00:10:244::/48'],
    ['ip', 'neigh', 'show', 'nud', 'permanent'],
    ['bridge', 'fdb', 'show', 'dev', 'flannel.1'],
    ['bridge', 'fdb', 'show', 'dev', 'flannel-v6.1'],
    ['nft', 'list', 'table', 'inet', 'fairlead_overlay'],
  ] as const
  const all = await Promise.all(
    commands.map((command) => exec(command as unknown as [string]).then((result) => (result.kind === 'done' ? result.stdout : result.kind))), // prettier-ignore
  )
  const stripped = all
    .join('')
    .replace(/^\d+: /gm, '')
    .replace(/packets \d+ bytes \d+/g, '')
  return stripped.split('\n').sort().join('\n')
}

let agents: readonly Agent[] = []
let whole = ''
t.test('two nodes stand', async (t) => {
  await world.build(2)
  world.write(world.node(1), world.node(2))
  agents = await Promise.all([1, 2].map((number) => world.start(number)))
  await connected(1, 2)
  // The kernel says of an interface a moment after it is up that it is.
  await until('all is at rest', async () => {
    const before = whole
    whole = await state()
    return whole === before && !/tentative|state DOWN/.test(whole)
  })
  t.match(whole, /10\.244\.2\.0\/24/)
})

const ONLY = process.env['ONLY']
const ANOTHER = [
  'link delete flannel.1',
  'link add flannel.1 type vxlan id 7 local 172.30.0.11 dev eth0 dstport 8472',
] as const
const damages: readonly (readonly [string, () => Promise<unknown>])[] = [
  ['the device is deleted', () => ip('link delete flannel.1')],
  ['both devices are deleted', () => ip('link delete flannel.1', 'link delete flannel-v6.1')],
  ['a route is deleted', () => ip('route delete 10.244.2.0/24')],
  ['an IPv6 route is deleted', () => ip('-6 route delete fd00:10:244:2::/64')],
  ['all routes of the device are flushed', () => ip('route flush dev flannel.1')],
  ['a route is led elsewhere', () => ip('route replace 10.244.2.0/24 via 172.30.0.12 dev eth0')],
  ['a route is hidden by a reject', () => ip('route replace unreachable 10.244.2.0/24')],
  ['a neighbour is deleted', () => ip('neigh delete 10.244.2.0 dev flannel.1')],
  ['a neighbour has another link address', () => ip('neigh replace 10.244.2.0 lladdr 02:00:00:00:00:99 dev flannel.1 nud permanent')], // prettier-ignore
  ['all neighbours are flushed', () => ip('neigh flush dev flannel-v6.1 nud permanent')],
  ['a forwarding entry is deleted', () => deleteForwarding()],
  ['a forwarding entry leads elsewhere', () => deleteForwarding('172.30.0.99')],
  ['our address is deleted', () => ip('addr delete 10.244.1.0/32 dev flannel.1')],
  ['our IPv6 address is deleted', () => ip('-6 addr delete fd00:10:244:1::/128 dev flannel-v6.1')],
  ['the device is down', () => ip('link set flannel.1 down')],
  ['the device goes down and up', () => ip('link set flannel-v6.1 down', 'link set flannel-v6.1 up')],
  ['the MTU of the device is changed', () => ip('link set flannel.1 mtu 1200')],
  ['the link address of the device is changed', () => ip('link set flannel.1 address 02:00:00:00:00:77')],
  ['the device is another one, of another VNI', () => agents[0]!.frozen(() => ip(...ANOTHER, 'link set flannel.1 alias fairlead'))], // prettier-ignore
  ['the interface below goes down and up', () => flapBelow()],
  ['somebody adds a peer', () => addPeer()],
  ['the guard is deleted', () => inside('n1', 'nft', 'delete table inet fairlead_overlay')],
  ['a rule of the guard is deleted', () => inside('n1', 'nft', 'flush chain inet fairlead_overlay forward')],
  ['somebody is let in', () => inside('n1', 'nft', 'add element inet fairlead_overlay vteps4 { 203.0.113.9 }')],
  ['the ruleset is flushed', () => inside('n1', 'nft', 'flush ruleset')],
]

for (const [what, damage] of damages.filter(([w]) => !ONLY || w.includes(ONLY))) {
  t.test(`${what}: as before, at once`, async (t) => {
    await damage()
    t.not(await state(), '', 'it may be repaired already')
    const startMs = performance.now()
    await until(`repaired after: ${what}`, async () => (await state()) === whole).catch(async (error: Error) => {
      t.equal(await state(), whole)
      t.comment(agents[0]!.said.slice(-10).join('\n'))
      throw error
    })
    t.comment(`${(performance.now() - startMs).toFixed(0)} ms`)
    await connected(1, 2)
  })
}

t.test(
  'an interface of ours, or below us, is switched to forward nothing: back at once; others are left',
  async (t) => {
    await ip('link add mgmt0 type veth peer name mgmt1')
    const at = (name: string): string => `/proc/sys/net/ipv4/conf/${name}/forwarding`
    for (const name of ['mgmt0', 'flannel.1', 'eth0']) {
      writeFileSync(at(name), '0')
      if (name !== 'mgmt0') await until(`${name} forwards`, () => readFileSync(at(name), 'utf8') === '1\n')
    }
    t.equal(readFileSync(at('mgmt0'), 'utf8'), '0\n')
    await connected(1, 2)
    await ip('link delete mgmt0')
  },
)

t.test(
  'a device of somebody else with our name is left alone, and said; once it is gone, all is as before',
  async (t) => {
    await agents[0]!.frozen(() => ip(...ANOTHER))
    await until('it is said', async () => {
      const refused = (await agents[0]!.report())!.targets.find(({ name }) => name === 'overlay')!.refused
      return refused.first.some(({ key, reason }) => key === 'device flannel.1' && reason.includes('VNI 7'))
    }).catch(async (error: Error) => {
      t.comment(agents[0]!.said.slice(-12).join('\n'))
      t.comment(await state())
      throw error
    })
    await connected(1, 2, [6])
    await ip('link set flannel.1 name theirs')
    await until('ours is there again', async () => (await state()).includes('flannel.1: '))
    t.match(await inside('n1', 'ip', '-d', 'link', 'show', 'theirs'), /vxlan id 7/)
    await connected(1, 2)
    await ip('link delete theirs')
    await until('all is as before', async () => (await state()) === whole)
  },
)

t.test('a device with our VNI and port under another name: said, and ours is there once it is gone', async (t) => {
  await agents[0]!.frozen(() => ip('link set flannel.1 name theirs', 'link set theirs alias theirs'))
  await until('it is said', async () => {
    const { refused } = (await agents[0]!.report())!.targets.find(({ name }) => name === 'overlay')!
    return refused.first.some(
      ({ key, remedy }) => key === 'device flannel.1' && remedy.includes('another VXLAN device'),
    )
  })
  await ip('link delete theirs')
  await until('ours is there', async () => (await state()) === whole)
  await connected(1, 2)
  t.pass()
})

t.test('the MTU below changes: the devices follow', async (t) => {
  for (const name of ['n1', 'n2']) await inside(name, 'ip', 'link', 'set', 'eth0', 'mtu', '1400')
  for (const name of ['n1', 'n2'])
    await until(`${name} has 1350 and 1330`, async () => {
      const links = await inside(name, 'ip', '-o', 'link', 'show', 'type', 'vxlan')
      return /flannel\.1: .*mtu 1350/.test(links) && /flannel-v6\.1: .*mtu 1330/.test(links)
    })
  await reached('p1', podAddress(2), 1350)
  t.notOk(await pings('p1', podAddress(2), 1351))
})

t.test('the node gets another address: it and its peer follow', async () => {
  await ip('addr add 172.30.0.55/24 dev eth0')
  world.write(world.node(1, { ips: ['172.30.0.55', 'fd00:172:30::11'] }), world.node(2))
  // While the address is in the Node and not yet heard of from the kernel there is no device.
  await until('n1 sends from it', async () =>
    /local 172.30.0.55/.test(await inside('n1', 'ip', '-d', 'link', 'show', 'flannel.1').catch(() => '')),
  )
  await ip('addr delete 172.30.0.11/24 dev eth0', 'addr replace 172.30.0.55/24 dev eth0')
  await connected(1, 2)
})

t.test('its pods get another network: peers follow', async () => {
  await ip('-n p1 addr add 10.244.7.2/32 dev eth0', 'route add 10.244.7.2/32 dev pod')
  world.write(world.node(1, { ips: ['172.30.0.55', 'fd00:172:30::11'], podCIDRs: ['10.244.7.0/24'] }), world.node(2))
  await until('they reach it', () => pings('p2', '10.244.7.2'))
  await until('and it them, by its own address', async () =>
    /inet 10\.244\.7\.0\/32/.test(await inside('n1', 'ip', 'addr', 'show', 'dev', 'flannel.1')),
  )
  await until('the node, too', () => pings('n1', podAddress(2)))
})

async function deleteForwarding(to?: string): Promise<void> {
  const [, mac] = /^(\S+) dst 172\.30\.0\.12/.exec(await inside('n1', 'bridge', 'fdb', 'show', 'dev', 'flannel.1'))!
  if (to === undefined) await inside('n1', 'bridge', 'fdb', 'del', mac!, 'dev', 'flannel.1')
  else await inside('n1', 'bridge', 'fdb', 'replace', mac!, 'dev', 'flannel.1', 'dst', to, 'self', 'permanent')
}

async function addPeer(): Promise<void> {
  await inside('n1', 'bridge', 'fdb', 'add', '02:00:00:00:00:66', 'dev', 'flannel.1', 'dst', '203.0.113.9', 'self')
  await ip('neigh replace 10.244.66.0 lladdr 02:00:00:00:00:66 dev flannel.1 nud permanent')
  await ip('route add 10.244.66.0/24 via 10.244.66.0 dev flannel.1 onlink')
}

/** As the kernel does by default, the interface loses its IPv6 addresses: whoever manages it puts them back. */
async function flapBelow(): Promise<void> {
  await ip('link set eth0 down', 'link set eth0 up', 'addr add fd00:172:30::11/64 dev eth0 nodad')
}
