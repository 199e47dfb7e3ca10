/**
 * Nodes that come from flannel, pods on its bridge and all: those, and pods that are routed, reach each other, for as long
 * as there are some of either kind.
 *
 *   n1  cni0 10.244.1.1/24: b1, b2     veth...: r1, r2
 *   n2  cni0 10.244.2.1/24: b3         veth...: r3
 */
import t from 'tap'
import { enterWorld, inside, ip, within } from './world.ts'
await enterWorld()

import { exec } from '../../src/kernel/exec.ts'
import { endpoint, service, SERVICE_CIDR, slice, type Raw } from '../contract/service-objects.ts'
import { FlannelNode, mac, type Pod } from './flannel-node.ts'
import { finish, killLoads, ready, run } from './load.ts'
import { address, OverlayWorld, reached } from './overlay.ts'
import { MAIN, type Agent } from './shipped.ts'
import { PATIENCE_MS, Peer, type Answer } from './peer.ts'
import { targetName } from './target.ts'
import { until } from './waiting.ts'

const world = new OverlayWorld({ isEmpty: true })
const one = new FlannelNode(1, world.folder)
const two = new FlannelNode(2, world.folder)
const pods = new Map<string, Pod>()
/** Programs of the nodes themselves. */
const peers = new Map<string, Peer>()
const loads: ReturnType<typeof run>[] = []
t.setTimeout(570_000)
t.jobs = 1
t.teardown(() => {
  killLoads()
  for (const peer of peers.values()) peer.close()
  one.close()
  two.close()
  world.close()
})

const nodes = [1, 2].map((number) =>
  world.node(number, {
    metadata: {
      annotations: {
        'flannel.alpha.coreos.com/backend-type': 'vxlan',
        'flannel.alpha.coreos.com/backend-data': JSON.stringify({ VNI: 1, VtepMAC: mac(number) }),
        'flannel.alpha.coreos.com/public-ip': address(number),
      },
    },
  }),
)
const pod = (name: string): Pod => pods.get(name)!
const MODE = targetName === 'nftables' ? targetName : 'iptables'

async function start({ number, conf, data }: FlannelNode): Promise<Agent> {
  const agent = world.begin(number, '--mode', MODE, '--cni-conf-dir', conf, '--cni-data-dir', data)
  await agent.settled('overlay', 'conflist', 'forwarding', 'bridge pods', MODE)
  return agent
}

/** How a bridge is: what is of ours in it. */
async function state(node: FlannelNode): Promise<string> {
  const { name } = node
  const settings = await inside(name, 'sysctl', ...SETTINGS, ...FORWARDING)
  const link = await inside(name, 'ip', '-d', 'link', 'show', 'cni0')
  const options = [...link.matchAll(/nf_call_ip6?tables \d/g)].join('\n')
  const proxies = await inside(name, 'ip', '-6', 'neighbour', 'show', 'proxy')
  const alias = /alias .*/.exec(link)?.[0] ?? 'no alias'
  return [settings.trim(), options, alias, ...proxies.trim().split('\n').sort()].join('\n')
}

async function steady(from: string, to: string): Promise<void> {
  const load = run(from, 'load', 'steady', '--to', to, '--rate', '50')
  await ready(load)
  loads.push(load)
}

let [before, beforeTwo] = ['', '']
t.test('two nodes of flannel, with pods on their bridges', async (t) => {
  await world.build(2)
  await one.lay([2])
  await two.lay([1])
  world.write(...nodes)
  // prettier-ignore
  for (const [name, node, ...hostPorts] of [['b1', one], ['b2', one, 8088], ['b3', two]] as const)
    pods.set(name, await node.bridged(name, hostPorts))
  for (const name of ['n1', 'n2']) {
    const peer = new Peer(name)
    peers.set(name, peer)
    await peer.listen([{ protocol: 'tcp', port: 8080 }])
  }
  for (const name of pods.keys()) await ready(run(name, 'load', 'serve', '--listen', 'tcp:9000'))
  // A note of somebody else's: ours is kept by the agent alone.
  await ip('-n n2 link set cni0 alias theirs')
  before = await state(one)
  beforeTwo = await state(two)
  t.match(before, /proxy_arp = 0[^]*proxy_ndp = 0[^]*nf_call_iptables 0[^]*no alias/)
  await steady('b1', `${pod('b2').four}:9000`)
  await steady('b1', `[${pod('b2').six}]:9000`)
  await steady('b1', `${pod('b3').four}:9000`)
})

const agents: Agent[] = []
t.test('both are taken over, one by one; new pods are routed, and no address is given twice', async (t) => {
  for (const node of [one, two]) agents.push(await start(node))
  for (const [name, node] of [['r1', one], ['r2', one], ['r3', two]] as const) pods.set(name, await node.routed(name)) // prettier-ignore
  const all = [...pods.values()].flatMap(({ four, six }) => [four, six])
  t.equal(new Set(all).size, 12, all.join(' '))
  t.same([...one.leases(), ...two.leases()].sort(), all.sort())
  t.match(await inside('n1', 'ip', 'route'), new RegExp(`${pod('r1').four} dev veth`))
  const now = await state(one)
  t.match(now, /proxy_arp = 1[^]*proxy_delay = 0[^]*proxy_ndp = 1[^]*nf_call_iptables 1 *\nnf_call_ip6tables 1/)
  await until('r1 and r2 are answered for', async () => {
    const lines = (await state(one)).split('\n').filter((line) => line.includes('proxy proto 157'))
    return lines.length === 2 && ['r1', 'r2'].every((name) => lines.join().includes(pod(name).six))
  })
  t.equal((await inside('n1', 'sysctl', '-n', 'net.bridge.bridge-nf-call-iptables')).trim(), '0', 'for cni0 only')
})

t.test('every pod reaches every other one, both families', async (t) => {
  for (const from of pods.values())
    for (const to of pods.values()) {
      if (from === to) continue
      for (const family of ['four', 'six'] as const) {
        const answer = await from.peer.send({ protocol: 'tcp', from: from[family], to: to[family], port: 8080, waitMs: PATIENCE_MS }) // prettier-ignore
        t.match(answer, { kind: 'answered', seen: from[family] }, `${from.name} -> ${to.name}, ${family}`)
      }
    }
})

t.test('packets as large as a pod sends them', async () => {
  for (const [from, to] of [
    ['b1', 'r1'],
    ['r1', 'b1'],
    ['b1', 'r3'],
    ['r1', 'b3'],
    ['b3', 'r1'],
  ] as const)
    // prettier-ignore
    for (const each of [pod(to).four, pod(to).six]) {
      await reached(from, each, 1430)
    }
})

t.test('pods of both kinds, nodes and host ports', async (t) => {
  const ask = (peer: Peer, from: string, to: string, port = 8080): Promise<Answer> =>
    peer.send({ protocol: 'tcp', from, to, port, waitMs: PATIENCE_MS })
  const [n1, n2] = [peers.get('n1')!, peers.get('n2')!]
  for (const name of ['b1', 'r1']) {
    const { peer, four, six } = pod(name)
    t.match(await ask(peer, four, address(2)), { by: `${address(2)}:8080`, seen: address(1) }, `${name}: masqueraded`)
    t.match(await ask(peer, six, address(2, 6)), { seen: address(1, 6) }, `${name}: masqueraded, IPv6`)
    t.equal((await ask(peer, four, '10.244.1.1')).kind, 'answered', `${name} -> its node`)
    for (const [to, by] of [
      [four, `${four}:8080`],
      [six, `[${six}]:8080`],
    ] as const) {
      // prettier-ignore
      const family = to.includes(':') ? 6 : 4
      t.match(await ask(n1, family === 4 ? '0.0.0.0' : '::', to), { by }, `n1 -> ${name}`)
      t.match(await ask(n2, family === 4 ? '0.0.0.0' : '::', to), { by }, `n2 -> ${name}`)
    }
    t.match(await ask(peer, four, address(1), 8088), { by: `${pod('b2').four}:8080` }, `${name} -> host port of b2`)
  }
  t.match(await ask(n2, address(2), address(1), 8088), { by: `${pod('b2').four}:8080` }, 'n2 -> host port of b2')
})

const LOADED = [['b1', 'r1'], ['r1', 'b1'], ['r1', 'b3']] as const // prettier-ignore
t.test('Services, asked by pods of both kinds, with endpoints of both kinds', async (t) => {
  world.write(...nodes, SERVICE_CIDR, ...[...pods.keys()].flatMap(serviceOf))
  for (const agent of agents) await agent.settled(MODE)
  for (const from of pods.values())
    for (const to of pods.values())
      for (const [family, own] of [
        ['four', from.four],
        ['six', from.six],
      ] as const) {
        // prettier-ignore
        const by = family === 'four' ? `${to.four}:8080` : `[${to.six}]:8080`
        const request = {
          protocol: 'tcp',
          from: own,
          to: serviceIP(to, family),
          port: 80,
          waitMs: PATIENCE_MS,
        } as const
        await until(`${from.name} reaches the Service of ${to.name}, ${family}`, async () => {
          const answer = await from.peer.send(request)
          return answer.kind === 'answered' && answer.by === by
        })
        const answer = await from.peer.send(request)
        if (from !== to) t.match(answer, { by, seen: own }, `${from.name} -> Service of ${to.name}, ${family}`)
        else t.match(answer, { by }, `${from.name} -> its own Service, ${family}`)
      }
  for (const name of ['r1', 'r3']) await ready(run(name, 'load', 'serve', '--listen', 'tcp:9000'))
  for (const [from, to] of LOADED) {
    await steady(from, `${pod(to).four}:9000`)
    await steady(from, `[${pod(to).six}]:9000`)
  }
})

t.test('whatever somebody changes is as before within a second', async (t) => {
  const whole = await state(one)
  const six = pod('r1').six
  const damages: readonly (readonly [string, ...string[]])[] = [
    ...SETTINGS.map((name) => ['sysctl', '-qw', `${name}=${name.endsWith('delay') ? 70 : 0}`] as const),
    ...FORWARDING.map((name) => ['sysctl', '-qw', `${name}=0`] as const),
    ['ip', 'link', 'set', 'cni0', 'type', 'bridge', 'nf_call_iptables', '0'],
    ['ip', 'link', 'set', 'cni0', 'type', 'bridge', 'nf_call_ip6tables', '0'],
    ['ip', 'link', 'set', 'cni0', 'alias', ''],
    ['ip', '-6', 'neighbour', 'delete', 'proxy', six, 'dev', 'cni0'],
  ]
  for (const damage of damages) {
    await inside('n1', ...damage)
    const startMs = performance.now()
    await until(`repaired after: ${damage.join(' ')}`, async () => (await state(one)) === whole)
    t.comment(`${damage.slice(0, 6).join(' ')}: ${(performance.now() - startMs).toFixed(0)} ms`)
  }
})

t.test('a kernel that shows netfilter nothing that is bridged: said, with what to do', async () => {
  const said = async (): Promise<boolean> =>
    (await agents[0]!.report())!.rejections.first.some(
      ({ object, field, remedy }) =>
        object === 'Node n1' && field === 'bridge cni0' && remedy.startsWith('modprobe br_netfilter'),
    )
  await inside('n1', 'mount', '-t', 'tmpfs', 'tmpfs', '/proc/sys/net/bridge')
  await until('it is said', said)
  await inside('n1', 'umount', '--lazy', '/proc/sys/net/bridge') // the agent may be reading there
  await until('no more', async () => !(await said()))
  await until('as before', async () => /nf_call_iptables 1/.test(await state(one)))
})

t.test('an agent that takes over from another knows what is to be put back; nothing breaks meanwhile', async (t) => {
  const whole = await state(one)
  await agents[0]!.kill()
  agents[0] = await start(one)
  await until('as before', async () => (await state(one)) === whole)
  for (const load of loads) {
    const result = await finish(load)
    t.match(result, { failedTotal: 0 }, JSON.stringify(result))
  }
})

t.test(
  'pods of the bridge go, by our conflist: their addresses are free, and after the last all is as it was',
  async (t) => {
    await one.delete(pod('b1'))
    t.match(await inside('n1', 'sysctl', '-n', 'net.ipv4.conf.cni0.proxy_arp'), '1', 'one is left')
    await one.delete(pod('b2'))
    const port = { protocol: 'tcp', from: address(2), to: address(1), port: 8088, waitMs: PATIENCE_MS } as const
    t.equal((await peers.get('n2')!.send(port)).kind, 'refused', 'its host port went along')
    await until('as it was', async () => (await state(one)) === before).catch(async (error: Error) => {
      t.equal(await state(one), before)
      throw error
    })
    const left = ['r1', 'r2'].flatMap((name) => [pod(name).four, pod(name).six])
    t.same(one.leases().toSorted(), left.sort())
    t.match(
      await inside('n1', 'ip', 'address', 'show', 'cni0'),
      /10\.244\.1\.1\/24/,
      'the bridge is not ours to delete',
    )
    await until('it is said', () => agents[0]!.said.some((line) => /no pod is on a bridge bridge=cni0 .*ip link delete cni0/.test(line))) // prettier-ignore
    t.match(await state(two), /proxy_arp = 1[^]*alias theirs/)
    await two.delete(pod('b3'))
    await until('so is the other', async () => (await state(two)) === beforeTwo)
    pods.set('b4', await two.bridged('b4'))
    await until('for another pod again', async () => /proxy_arp = 1/.test(await state(two)))
    pods.delete('b1')
    pods.delete('b2')
  },
)

t.test('with the bridge empty, and without it, pods reach each other', async (t) => {
  pods.set('r4', await one.routed('r4'))
  const reach = async (): Promise<void> => {
    for (const [from, to] of [
      ['r4', 'r1'],
      ['r1', 'r4'],
      ['r4', 'b4'],
      ['b4', 'r4'],
    ] as const)
      // prettier-ignore
      for (const family of ['four', 'six'] as const) {
        const answer = await pod(from).peer.send({ protocol: 'tcp', from: pod(from)[family], to: pod(to)[family], port: 8080, waitMs: PATIENCE_MS }) // prettier-ignore
        t.equal(answer.kind, 'answered', `${from} -> ${to}, ${family}`)
      }
  }
  await reach()
  await ip('link delete cni0')
  await reach()
})

t.test('flannel again, for a pod: it reaches the others; and --cleanup puts back what is in use, too', async (t) => {
  pods.set('b5', await one.bridged('b5'))
  for (const family of ['four', 'six'] as const)
    for (const [from, to] of [
      ['b5', 'r4'],
      ['r4', 'b5'],
    ] as const)
      // prettier-ignore
      await until(`${from} -> ${to}`, async () => {
        const answer = await pod(from).peer.send({ protocol: 'tcp', from: pod(from)[family], to: pod(to)[family], port: 8080 }) // prettier-ignore
        return answer.kind === 'answered'
      })
  await world.kill()
  for (const _ of [1, 2]) {
    const cleanup = [MAIN, 'agent', '--cleanup', '--cni-conf-dir', one.conf] as const
    const result = await exec([...within('n1'), process.execPath, '--disable-warning=ExperimentalWarning', ...cleanup] as unknown as [string]) // prettier-ignore
    t.equal(result.kind, 'done', JSON.stringify(result))
    t.equal(await state(one), before)
  }
})

t.test(
  'settings that cannot be written are refused, with what to do; once one is right, all are tried again',
  async (t) => {
    await inside('n1', 'mount', '--bind', '/proc/sys', '/proc/sys')
    await inside('n1', 'mount', '-o', 'remount,bind,ro', '/proc/sys')
    const agent = await start(one)
    const refused = async () =>
      (await agent.report())!.targets
        .find(({ name }) => name === 'bridge pods')!
        .refused.first.toSorted((a, b) => (a.key < b.key ? -1 : 1))
    t.match(await refused(), SETTINGS.toSorted().map((name) => ({
    key: `cni0 ${name.replace('cni0', '*')}`,
    reason: /read-only/,
    remedy: `sysctl -w ${name.replaceAll('.', '/')}=`,
  }))) // prettier-ignore
    t.match(await state(one), /nf_call_iptables 1/, 'what could be set is')
    await inside('n1', 'umount', '--lazy', '/proc/sys') // the agent may be reading there
    await inside('n1', 'sysctl', '-qw', 'net.ipv4.conf.cni0.proxy_arp=1')
    await until('refused no more', async () => (await refused()).length === 0)
    t.match(await state(one), /proxy_arp = 1[^]*proxy_delay = 0[^]*proxy_ndp = 1[^]*proxy_delay = 0/)
  },
)

/** A Service with one endpoint. */
function serviceOf(name: string): Raw[] {
  const to = pod(name)
  const ips = [serviceIP(to, 'four'), serviceIP(to, 'six')]
  return [
    service(name, ips),
    slice(`${name}-4`, name, [endpoint(to.four)]),
    slice(`${name}-6`, name, [endpoint(to.six)]),
  ]
}

function serviceIP({ name }: Pod, family: 'four' | 'six'): string {
  const number = name.charCodeAt(0) + Number(name.slice(1))
  return family === 'four' ? `10.96.0.${number}` : `fd00:10:96::${number}`
}

const FORWARDING = ['net.ipv4.conf.cni0.forwarding', 'net.ipv6.conf.cni0.forwarding'] as const
const SETTINGS = [
  'net.ipv4.conf.cni0.proxy_arp',
  'net.ipv4.neigh.cni0.proxy_delay',
  'net.ipv6.conf.cni0.proxy_ndp',
  'net.ipv6.neigh.cni0.proxy_delay',
] as const
