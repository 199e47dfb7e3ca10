/** The conflist that an agent writes, used as a container runtime does: plugins run, packets sent and seen. */
import t from 'tap'
import { enterWorld, inside, ip } from './world.ts'
await enterWorld()

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { exec } from '../../src/kernel/exec.ts'
import type { CniNetwork } from '../../src/cni/conflist.ts'
import type { Bandwidth } from '../../src/lab/bandwidth.ts'
import { addToNetwork, delFromNetwork, type CniResult, type Sandbox } from '../../src/lab/cni.ts'
import { QUICK_ADDRESSES } from '../../src/lab/network.ts'
import { node, NODES as NODE_OBJECTS } from '../contract/service-objects.ts'
import { Hosts } from './hosts.ts'
import { PATIENCE_MS, Peer } from './peer.ts'
import { MAIN, Shipped, type Agent } from './shipped.ts'
import { NODES, six } from './topology.ts'
import { until } from './waiting.ts'

const { n1: N1, outside: OUTSIDE } = NODES
const hosts = new Hosts()
const shipped = new Shipped()
const [CONF, DATA] = [join(shipped.folder, 'net.d'), join(shipped.folder, 'leases')]
const FILE = join(CONF, '10-fairlead.conflist')
const pods: Peer[] = []
t.setTimeout(570_000)
t.jobs = 1
t.teardown(() => {
  for (const pod of pods) pod.close()
  hosts.close()
  shipped.close()
})

const begin = async (name: string, ...args: readonly string[]): Promise<Agent> => {
  const folders = ['--cni-conf-dir', CONF, '--cni-data-dir', DATA]
  const agent = shipped.begin(name, { args: ['--audit-seconds', '0', ...folders, ...args] })
  const rooms = ['masquerade', 'forwarding'].filter((room) => args.includes(`--${room}`))
  await agent.settled('conflist', ...rooms)
  return agent
}

const read = (): CniNetwork => JSON.parse(readFileSync(FILE, 'utf8')) as CniNetwork
const mtu = (): unknown => read().plugins[0]!['mtu']
const ranges = (): readonly string[] =>
  (read().plugins[0]!['ipam'] as { ranges: { subnet: string }[][] }).ranges.map(([range]) => range!.subnet)

interface Pod {
  readonly sandbox: Sandbox
  readonly result: CniResult
  readonly ips: readonly string[]
  readonly peer: Peer
}

/** As a runtime: the chain of plugins as the file says it. */
async function startPod(name: string, hostPorts: readonly number[], bandwidth?: Bandwidth): Promise<Pod> {
  await ip(`netns add ${name}`, `-n ${name} link set lo up`)
  await inside(name, 'sysctl', '-qw', ...QUICK_ADDRESSES)
  const portMappings = hostPorts.map((hostPort) => ({ hostPort, containerPort: 8080, protocol: 'tcp' }))
  const sandbox = {
    id: name,
    netns: `/run/netns/${name}`,
    namespace: 'shop',
    pod: name,
    portMappings,
    ...(bandwidth && { bandwidth }),
  }
  const answer = await addToNetwork(read(), sandbox, ['env'])
  if (answer.kind === 'failed') throw new Error(answer.reason)
  const ips = (answer.result.ips ?? []).map(({ address }) => address.replace(/\/.*/, ''))
  const peer = new Peer(name)
  pods.push(peer)
  await peer.listen([{ protocol: 'tcp', port: 8080 }])
  return { sandbox, result: answer.result, ips, peer }
}

/** As `tc -s -j` shows it. Rates in octets a second. */
interface Queue {
  readonly kind: string
  readonly options: { readonly rate?: number }
  readonly bytes: number
  readonly overlimits: number
}

const linkTo = async (ip: string): Promise<string> =>
  /dev (veth\w+)/.exec(await inside('n1', 'ip', '-o', 'route', 'get', ip))![1]!

async function ask(peer: Peer, from: string, to: string, port = 8080): Promise<string> {
  const answer = await peer.send({ protocol: 'tcp', from, to, port, waitMs: PATIENCE_MS })
  return answer.kind === 'answered' ? `${answer.by} saw ${answer.seen}` : answer.kind
}

const cniProblems = async (agent: Agent): Promise<readonly string[]> =>
  (await agent.report())!.rejections.first.flatMap((each) => (each.field === 'spec.podCIDRs' ? [each.problem] : []))

const [N1_OBJECT, N2_OBJECT] = NODE_OBJECTS as [(typeof NODE_OBJECTS)[0], (typeof NODE_OBJECTS)[0]]
const withRanges = (...podCIDRs: readonly string[]) => node('n1', [N1, six(N1)], podCIDRs, null)
const write = (...items: readonly object[]): void =>
  writeFileSync(join(shipped.folder, 'objects.json'), JSON.stringify({ apiVersion: 'v1', kind: 'List', items }))
const give = (...podCIDRs: readonly string[]): void => write(N2_OBJECT, withRanges(...podCIDRs))

let pod: Pod
t.test('a pod by the plugins of the file: both families, its host ports, masqueraded by the agent', async (t) => {
  await hosts.build([OUTSIDE, N1, six(OUTSIDE), six(N1)], [])
  await hosts.listen([`${OUTSIDE}:8080`])
  // Else each end of a pod's link would first ask for a second whether somebody has its address.
  await inside('n1', 'sysctl', '-qw', ...QUICK_ADDRESSES)
  write(N1_OBJECT, N2_OBJECT)
  await begin('one', '--masquerade', '--forwarding')
  t.strictSame(
    read().plugins.map(({ type }) => type),
    ['ptp', 'portmap', 'bandwidth'],
  )
  t.equal(mtu(), undefined)
  pod = await startPod('c1', [8088])
  t.match(pod.ips, [/^10\.244\.1\./, /^fd00:10:244:1::/])
  const [four, sixth] = pod.ips as [string, string]
  const outside = hosts.peer(OUTSIDE)
  t.equal(await ask(outside, OUTSIDE, N1, 8088), `${four}:8080 saw ${OUTSIDE}`)
  t.equal(await ask(outside, six(OUTSIDE), six(N1), 8088), `[${sixth}]:8080 saw ${six(OUTSIDE)}`)
  t.equal(await ask(outside, OUTSIDE, four), `${four}:8080 saw ${OUTSIDE}`)
  t.equal(await ask(pod.peer, four, OUTSIDE), `${OUTSIDE}:8080 saw ${N1}`)
  t.equal(await ask(pod.peer, sixth, six(OUTSIDE)), `[${six(OUTSIDE)}]:8080 saw ${six(N1)}`)
})

t.test('a pod that goes takes its host port along', async (t) => {
  const second = await startPod('c2', [8089])
  const outside = hosts.peer(OUTSIDE)
  t.match(await ask(outside, OUTSIDE, N1, 8089), /saw/)
  const gone = await delFromNetwork(read(), second.sandbox, second.result, ['env'])
  t.equal(gone.kind, 'done')
  t.equal(await ask(outside, OUTSIDE, N1, 8089), 'refused')
  t.match(await ask(outside, OUTSIDE, N1, 8088), /saw/)
})

t.test(
  'a pod that may send and receive only so fast is held to it, both ways; without a limit nothing holds it',
  async (t) => {
    const [rate, burst] = [1_000_000, 80_000] // bits
    const limited = await startPod('c3', [], { ingressRate: rate, ingressBurst: burst, egressRate: rate, egressBurst: burst }) // prettier-ignore
    const [four] = limited.ips as [string]
    const link = await linkTo(four)
    t.equal((await inside('n1', 'tc', 'qdisc', 'show', 'dev', await linkTo(pod.ips[0]!))).includes('tbf'), false)
    // To the pod by its link's own queue; what it sends is led through another device.
    const devices = [link, ...(await inside('n1', 'ip', '-o', 'link', 'show', 'type', 'ifb')).match(/bwp\w+/g)!]
    t.equal(devices.length, 2)
    const before = performance.now()
    // Echoed, so 700,000 octets each way, if they came through: of 125,000 a second.
    await exec(['ping', '-q', '-f', '-l', '64', '-c', '500', '-s', '1372', '-W', '1', four], { timeoutMs: 20_000 })
    for (const device of devices) {
      const [queue] = JSON.parse(await inside('n1', 'tc', '-s', '-j', 'qdisc', 'show', 'dev', device)) as Queue[]
      const passedMs = performance.now() - before
      t.match(queue, { kind: 'tbf', options: { rate: rate / 8 } })
      t.ok(queue!.bytes > 1400, `${device}: ${queue!.bytes} octets passed`)
      t.ok(queue!.bytes <= (burst + (rate * passedMs) / 1000) / 8 + 10_000, `in ${passedMs.toFixed(0)} ms`)
      // What comes back has been slowed on its way in: the second queue need not hold any of it.
      if (device === link) t.ok(queue!.overlimits > 0)
    }
    const gone = await delFromNetwork(read(), limited.sandbox, limited.result, ['env'])
    t.equal(gone.kind, 'done')
    t.equal(await inside('n1', 'ip', '-o', 'link', 'show', 'type', 'ifb'), '', 'the other device went along')
  },
)

t.test(
  'the node gets other ranges: the file follows, whole at every moment, and pods of before are named',
  async (t) => {
    const agent = await restart('two')
    const [before, written] = [statSync(FILE).ino, readFileSync(FILE, 'utf8')]
    t.strictSame(await cniProblems(agent), [])
    for (let i = 20; i < 30; i++) {
      give(`10.244.${i}.0/24`)
      // Reads as fast as it can: half a file would not parse.
      await until('it follows', () => ranges()[0] === `10.244.${i}.0/24`)
      // A number is free again once its file is gone, so only the first tells.
      if (i === 20) t.not(statSync(FILE).ino, before, 'another file took its place')
    }
    t.strictSame(readdirSync(CONF), ['10-fairlead.conflist'])
    // Of each range in turn: of the last one at last.
    const last =
      /is 10\.244\.29\.0\/24, but 2 addresses of pods here are of another range \(10\.244\.1\.\d+, fd00:10:244:1::/
    await until('it is named', async () => {
      const named = await cniProblems(agent)
      return named.length === 1 && last.test(named[0]!)
    })
    write(N1_OBJECT, N2_OBJECT)
    await until(
      'as before',
      async () => readFileSync(FILE, 'utf8') === written && (await cniProblems(agent)).length === 0,
    )
  },
)

t.test('a node without a range: named, and the file stays', async (t) => {
  const agent = await restart('three')
  const before = readFileSync(FILE, 'utf8')
  write(N2_OBJECT, { ...N1_OBJECT, spec: {} })
  await until('it is named', async () =>
    (await cniProblems(agent)).some((each) => each.startsWith('is empty: no pod can')),
  )
  t.equal(readFileSync(FILE, 'utf8'), before)
  write(N1_OBJECT, N2_OBJECT)
  await until('all is well', async () => (await cniProblems(agent)).length === 0)
})

t.test(
  'equal, it is not written again; removed or changed by somebody, it is back; others are never touched',
  async (t) => {
    const before = statSync(FILE)
    await restart('four')
    t.equal(statSync(FILE).ino, before.ino)
    writeFileSync(join(CONF, '05-foreign.conflist'), '{"name":"foreign"}')
    const whole = readFileSync(FILE, 'utf8')
    for (const damage of [() => rmSync(FILE), () => writeFileSync(FILE, '{}')]) {
      damage()
      const startMs = performance.now()
      await until('as before', () => existsSync(FILE) && readFileSync(FILE, 'utf8') === whole)
      t.comment(`${(performance.now() - startMs).toFixed(0)} ms`)
    }
    await shipped.kill()
    t.equal(readFileSync(FILE, 'utf8'), whole, 'pods start without an agent, too')
    for (const _ of [1, 2]) {
      const cleanup = [MAIN, 'agent', '--cleanup', '--cni-conf-dir', CONF] as const
      const result = await exec([process.execPath, '--disable-warning=ExperimentalWarning', ...cleanup])
      t.equal(result.kind, 'done', JSON.stringify(result))
      t.strictSame(readdirSync(CONF), ['05-foreign.conflist'])
    }
    rmSync(CONF, { recursive: true })
  },
)

t.test('a file of somebody else that runtimes take before ours is named, while it is there', async (t) => {
  rmSync(CONF, { recursive: true, force: true })
  const agent = await begin('forerunners')
  const named = async () => (await agent.report())!.rejections.first.filter(({ field }) => field === CONF)
  // Flannel's comes behind ours, and multus hands on to ours.
  const harmless = { '10-flannel.conflist': '{}', '00-multus.conf': '{"name":"m","type":"multus"}', '05-notes.txt': '' }
  for (const [name, text] of Object.entries(harmless)) writeFileSync(join(CONF, name), text)
  writeFileSync(join(CONF, '10-calico.conflist'), '{"name":"k8s-pod-network","plugins":[{"type":"calico"}]}')
  // Whoever looks while a file is being written finds half of it.
  await until('it is named, and nothing else', async () => {
    const all = await named()
    return all.length === 1 && all[0]!.problem.startsWith('has 10-calico.conflist (network')
  })
  t.match(await named(), [
    {
      object: 'Node n1',
      problem: /^has 10-calico\.conflist \(network k8s-pod-network, plugins calico\), which comes before 10-fairlead/,
      remedy: new RegExp(`^remove ${CONF}/10-calico.conflist, but first .*--cni-conf-dir ''`),
    },
  ])
  await until('the log says it', () =>
    agent.said.some((line) => line.includes('cannot be used') && line.includes('10-calico.conflist')),
  )
  await until('a metric, too', async () => (await agent.metric('fairlead_rejections')) === 1)
  writeFileSync(join(CONF, '05-broken.json'), '{')
  await until('the first is named, and what is to be done about both', async () => {
    const [first] = await named()
    if (first === undefined || !first.problem.startsWith('has 05-broken.json')) return false
    return /05-broken\.json and .*10-calico\.conflist/.test(first.remedy)
  })
  for (const name of ['05-broken.json', '10-calico.conflist']) rmSync(join(CONF, name))
  await until('none is', async () => (await named()).length === 0)
  t.ok(existsSync(FILE))
  await shipped.kill()
  rmSync(CONF, { recursive: true })
})

t.test('a folder that cannot be used: refused with what to do; once it can, the file is there', async (t) => {
  writeFileSync(CONF, 'no folder')
  const agent = shipped.begin('five', {
    args: ['--audit-seconds', '0', '--cni-conf-dir', CONF, '--cni-data-dir', DATA],
  })
  const refused = async () =>
    (await agent.report())?.targets.find(({ name }) => name === 'conflist')?.refused.first ?? []
  await until('it is refused', async () => (await refused()).length === 1)
  t.match(await refused(), [
    { reason: /10-fairlead\.conflist cannot be written: (EEXIST|ENOTDIR)/, remedy: /--cni-conf-dir/ },
  ])
  await agent.settled('nftables')
  rmSync(CONF)
  mkdirSync(CONF)
  await until('it is there', () => existsSync(FILE))
  await until('refused no more', async () => (await refused()).length === 0)
  await shipped.kill()
})

t.test('with an overlay, packets of pods fit into it', async (t) => {
  await begin('six', '--overlay', 'vxlan', '--subnet-env', '')
  await until('both devices are known', () => mtu() === 1430)
  await shipped.kill()
  t.equal(mtu(), 1430)
})

t.test('pods of IPv6 only', async (t) => {
  give('fd00:10:244:1::/64')
  await begin('seven', '--masquerade', '--forwarding')
  t.strictSame(ranges(), ['fd00:10:244:1::/64'])
  const only = await startPod('c6', [8090])
  t.match(only.ips, [/^fd00:10:244:1::/])
  const outside = hosts.peer(OUTSIDE)
  t.equal(await ask(outside, six(OUTSIDE), six(N1), 8090), `[${only.ips[0]}]:8080 saw ${six(OUTSIDE)}`)
  t.equal(await ask(only.peer, only.ips[0]!, six(OUTSIDE)), `[${six(OUTSIDE)}]:8080 saw ${six(N1)}`)
})

async function restart(name: string): Promise<Agent> {
  await shipped.kill()
  return begin(name)
}
