/** Who may put packets into the overlay: peers by their underlay addresses, and nobody else. */
import t from 'tap'
import { enterWorld, inside, ip } from './world.ts'
await enterWorld()

import { address, connected, OverlayWorld, podAddress } from './overlay.ts'
import { hostUses, modeArgs, rulesOf, variantOf } from './rules.ts'
import type { Agent } from './shipped.ts'
import { until } from './waiting.ts'

const world = new OverlayWorld()
const VARIANT = variantOf()
let agent: Agent
t.setTimeout(570_000)
t.jobs = 1
t.teardown(() => world.close())

/** Packets that a chain of the guard of a node threw away. */
async function dropped(node: string, chain: 'input' | 'forward'): Promise<number> {
  if (VARIANT !== null) return droppedByIptables(node, `FAIRLEAD-OVERLAY-${chain.toUpperCase()}`)
  const text = await inside(node, 'nft', 'list', 'chain', 'inet', 'fairlead_overlay', chain)
  return [...text.matchAll(/counter packets (\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0)
}

async function droppedByIptables(node: string, chain: string): Promise<number> {
  let sum = 0
  for (const tool of [`iptables-${VARIANT}`, `ip6tables-${VARIANT}`])
    for (const [, count] of (await inside(node, tool, '-w', '-t', 'mangle', '-nvxL', chain)).matchAll(
      /^ *(\d+) +\d+ DROP/gm,
    ))
      sum += Number(count)
  return sum
}

/** A UDP packet to the overlay's port. */
const send = (from: string, to: string): Promise<string> =>
  inside(from, 'sh', '-c', `echo x | socat -u - UDP${to.includes(':') ? '6' : ''}-SENDTO:${to.includes(':') ? `[${to}]` : to}:8472`) // prettier-ignore

t.test('two nodes of the cluster, and a host that is none', async () => {
  await world.build(3)
  world.write(world.node(1), world.node(2))
  if (VARIANT !== null) for (const number of [1, 2, 3]) await hostUses(VARIANT, `n${number}`)
  const agents = await Promise.all([1, 2].map((number) => world.start(number, ...modeArgs())))
  agent = agents[0]!
  await connected(1, 2)
})

for (const family of [4, 6] as const) {
  t.test(`IPv${family}: a host of the underlay that is no peer is not heard`, async (t) => {
    const before = await dropped('n1', 'input')
    await send('n3', address(1, family))
    await until('it is thrown away', async () => (await dropped('n1', 'input')) > before)
    t.pass()
  })

  t.test(`IPv${family}: a pod reaches the port of no node, its own or another`, async (t) => {
    const [input, forward] = [await dropped('n1', 'input'), await dropped('n1', 'forward')]
    await send('p1', address(1, family))
    await until('its node throws it away', async () => (await dropped('n1', 'input')) > input)
    await send('p1', address(2, family))
    await until('on its way to another, too', async () => (await dropped('n1', 'forward')) > forward)
    t.pass()
  })
}

t.test('packets between peers are not tracked, those inside of them are', async (t) => {
  await inside('n1', 'conntrack', '-F')
  await connected(1, 2)
  const tracked = (await inside('n1', 'cat', '/proc/net/nf_conntrack')).split('\n')
  t.same(
    tracked.filter((line) => line.includes('dport=8472')),
    [],
  )
  const inner = tracked.filter((line) => line.includes(`dst=${podAddress(2)}`))
  t.ok(inner.length > 0, `tracked: ${tracked.join('\n')}`)
})

t.test('a pod that says it is a peer is not heard either', async (t) => {
  await ip(`-n p1 addr add ${address(2)}/32 dev eth0`)
  await inside('n1', 'sysctl', '-qw', 'net.ipv4.conf.all.rp_filter=0', 'net.ipv4.conf.pod.rp_filter=0')
  const before = await dropped('n1', 'input')
  await inside('p1', 'sh', '-c', `echo x | socat -u - UDP-SENDTO:${address(1)}:8472,bind=${address(2)}`)
  await until('it is thrown away', async () => (await dropped('n1', 'input')) > before)
  t.pass()
})

t.test('a node that joins is heard, one that has left is not', async (t) => {
  world.write(world.node(1), world.node(2), world.node(3))
  await world.start(3, ...modeArgs())
  await connected(1, 3)
  world.write(world.node(1), world.node(2))
  await until('n3 has left', async () => !(await inside('n1', 'ip', 'route')).includes(podAddress(3).slice(0, -1)))
  const before = await dropped('n1', 'input')
  await until('not heard', async () => {
    await send('n3', address(1))
    return (await dropped('n1', 'input')) > before
  })
  t.pass()
})

/** The kernel lets go of a set a moment after the rules are gone. */
const DESTROY = 'for try in $(seq 100); do ipset destroy FAIRLEAD-VTEPS4 && break; done'
const DAMAGES = [
  ...(VARIANT === 'nft' ? ['nft flush ruleset'] : []),
  'iptables -t mangle -F',
  'iptables -t mangle -F; ip6tables -t mangle -F; iptables -t mangle -X; ip6tables -t mangle -X',
  `iptables -t mangle -F; ip6tables -t mangle -F; iptables -t raw -F; ${DESTROY}`,
  'iptables -t mangle -I FAIRLEAD-OVERLAY-INPUT -j RETURN',
  'ip6tables -t mangle -D FORWARD 1',
  'iptables -t mangle -F FAIRLEAD-OVERLAY-FORWARD',
  'ipset flush',
  'ipset add FAIRLEAD-VTEPS4 203.0.113.9',
]
t.test('somebody changes, flushes or deletes it: as before within a second', { skip: VARIANT === null }, async (t) => {
  const whole = await rulesOf('overlay')
  t.match(whole, /172\.30\.0\.12/)
  for (const damage of DAMAGES) {
    const command = damage.replace(/ip6?tables/g, (tool) => `${tool}-${VARIANT}`)
    await agent.frozen(
      () => inside('n1', 'sh', '-ec', command),
      async () => (await rulesOf('overlay')) !== whole,
    )
    const startMs = performance.now()
    await until(`as before: ${damage}`, async () => (await rulesOf('overlay')) === whole)
    t.comment(`${damage}: ${(performance.now() - startMs).toFixed(0)} ms`)
    await connected(1, 2)
  }
})

t.test('an ACCEPT of somebody else before ours lets nobody in', { skip: VARIANT === null }, async (t) => {
  const iptables = (...words: string[]) => inside('n1', `iptables-${VARIANT}`, '-w', ...words)
  for (const table of ['mangle', 'filter']) await iptables('-t', table, '-I', 'INPUT', '-p', 'udp', '-j', 'ACCEPT')
  await until('not heard', async () => {
    const before = await dropped('n1', 'input')
    await send('n3', address(1))
    return (await dropped('n1', 'input')) > before
  })
  for (const table of ['mangle', 'filter']) await iptables('-t', table, '-D', 'INPUT', '-p', 'udp', '-j', 'ACCEPT')
  t.pass()
})
