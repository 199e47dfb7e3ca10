/**
 * Node-local DNS, all of it as it ships: an agent, the DNS server of its node, and the cluster's on another node. Who of
 * the two answers is seen in the answer: 192.0.2.1 the one here, 192.0.2.2 the cluster's.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { enterWorld, inside } from './world.ts'
await enterWorld()

import { exec } from '../../src/kernel/exec.ts'
import { endpoint, service, slice } from '../contract/service-objects.ts'
import { DnsClient } from './dnsclient.ts'
import { DnsServer } from './dnsserver.ts'
import { hostUses, modeArgs, variantOf } from './rules.ts'
import { MAIN, Shipped, type Agent } from './shipped.ts'
import { buildNodes, buildPod, six } from './topology.ts'
import { ended, until } from './waiting.ts'

const VARIANT = variantOf()
const [POD, CLUSTER] = ['10.244.1.50', '10.244.2.10']
const SERVICE = ['10.96.0.10', 'fd00:10:96::a'] as const
const LOCAL = ['169.254.20.10', 'fd00::10'] as const
const ADDRESSES = [...LOCAL, ...SERVICE]
const [HERE, ELSEWHERE] = ['192.0.2.1', '192.0.2.2']
const folder = mkdtempSync(join(tmpdir(), 'fairlead-nodelocal-'))
const SOCKET = join(folder, 'node-local.sock')
const shipped = new Shipped()
let pod = ''
let agent: Agent
let local: DnsServer
let cluster: DnsServer | null = null
const clients = new Map<string, DnsClient>()
t.setTimeout(570_000)
t.jobs = 1
t.teardown(async () => {
  shipped.close()
  for (const each of [local, cluster]) await each?.kill()
  for (const client of clients.values()) client.close()
  rmSync(folder, { recursive: true, force: true })
})

/** One a namespace. */
function clientOf(where: string): DnsClient {
  const client = clients.get(where) ?? new DnsClient(where)
  clients.set(where, client)
  return client
}

const ask = (where: string, address: string, how: 'udp' | 'tcp' = 'udp'): Promise<string> =>
  clientOf(where).ask(address, how, 20_000)

/** What each of the addresses answers, by those who ask again when it is silent. */
const askAll = (where: string): Promise<readonly string[]> =>
  Promise.all(ADDRESSES.map((address) => clientOf(where).ask(address)))

const eventually = (who: string, where = pod): Promise<void> =>
  until(`${who} answers`, async () => (await askAll(where)).every((said) => said === who))

async function startAgent(): Promise<Agent> {
  const args = ['--node-local-dns', ADDRESSES.join(','), '--node-local-dns-socket', SOCKET]
  const started = shipped.begin('agent', { args: [...modeArgs(), ...args] })
  const services = VARIANT === null ? 'nftables' : 'iptables'
  await started.settled(services, 'conntrack', 'node-local queries', 'node-local addresses')
  return started
}

const startLocal = (): DnsServer =>
  new DnsServer({ folder, namespace: 'n1', who: HERE, bind: ADDRESSES.join(' '), carrier: ['--node-local', SOCKET] })

const tracked = async (): Promise<readonly string[]> =>
  (await inside('n1', 'cat', '/proc/net/nf_conntrack')).split('\n').filter((line) => line.includes('port=53'))

/** Packets of DNS that left the node, or came to it. */
const crossed = async (): Promise<number> =>
  [...(await inside('n1', 'nft', 'list', 'table', 'netdev', 'test')).matchAll(/packets (\d+)/g)].reduce(
    (sum, [, count]) => sum + Number(count),
    0,
  )

t.test('a node, a pod on it, and the cluster DNS on another', async () => {
  mkdirSync(folder, { recursive: true })
  await buildNodes()
  pod = await buildPod(POD)
  const other = await buildPod(CLUSTER)
  if (VARIANT !== null) await hostUses(VARIANT)
  const ports = ['UDP', 'TCP'].map((protocol) => ({ name: protocol.toLowerCase(), protocol, port: 53, targetPort: 53 }))
  const kubeSystem = { namespace: 'kube-system' }
  const of = (address: string, family: string): object => {
    const made = slice(`dns-${family}`, 'kube-dns', [endpoint(address)], ports)
    return { ...made, metadata: { ...made['metadata'], ...kubeSystem } }
  }
  shipped.write(
    service('kube-dns', [...SERVICE], { ports, ipFamilies: ['IPv4', 'IPv6'] }, kubeSystem),
    of(CLUSTER, 'v4'),
    of(six(CLUSTER), 'v6'),
  )
  cluster = new DnsServer({ folder, namespace: other, who: ELSEWHERE })
  agent = await startAgent()
  // Counts what crosses the network, in either direction.
  const rules = ['udp dport 53', 'udp sport 53', 'tcp dport 53', 'tcp sport 53'].map((match) => `${match} counter`)
  const table = `table netdev test {
    chain in { type filter hook ingress device eth0 priority 0; ${rules.join('; ')}; }
    chain out { type filter hook egress device eth0 priority 0; ${rules.join('; ')}; }
  }`
  await exec(['nft', '-f', '-'], { stdin: table })
})

t.test('no server here: queries of pods and of the node go to the cluster', async (t) => {
  await eventually(ELSEWHERE)
  await eventually(ELSEWHERE, 'n1')
  for (const address of ADDRESSES) for (const where of [pod, 'n1']) t.equal(await ask(where, address, 'tcp'), ELSEWHERE)
  t.ok((await crossed()) > 0, 'over the network')
})

t.test('a server here: they stay, and nobody tracks them', async (t) => {
  local = startLocal()
  await eventually(HERE)
  await eventually(HERE, 'n1')
  await inside('n1', 'conntrack', '-F')
  const before = await crossed()
  for (const address of ADDRESSES)
    for (const where of [pod, 'n1'])
      for (const how of ['udp', 'tcp'] as const)
        t.equal(await ask(where, address, how), HERE, `${where} ${address} ${how}`)
  t.same(await tracked(), [])
  t.equal(await crossed(), before, 'nothing crosses the network')
})

t.test('told to end under load: switched, then stopped; no query is lost', async (t) => {
  const loads = await Promise.all([
    clientOf(pod).steady(LOCAL[0]),
    clientOf(pod).steady(SERVICE[0]),
    clientOf('n1').steady(LOCAL[1]),
  ])
  for (let round = 0; round < 3; round++) {
    local.carrier.kill('SIGTERM')
    t.equal(await ended(local.carrier), 0)
    // Each load has run meanwhile: its process has answered us.
    for (const where of [pod, 'n1']) await eventually(ELSEWHERE, where)
    local.startCarrier()
    await eventually(HERE)
  }
  for (const over of loads) {
    const counts = await over()
    t.comment(JSON.stringify(counts))
    t.same(Object.keys(counts).sort(), [HERE, ELSEWHERE])
  }
})

t.test(
  'another carrier takes over under load, twice: no query is lost, no connection refused, none goes elsewhere',
  async (t) => {
    const loads = await Promise.all([
      clientOf(pod).steady(LOCAL[0]),
      clientOf(pod).steady(SERVICE[0], 'tcp'),
      clientOf('n1').steady(LOCAL[1]),
    ])
    for (let round = 0; round < 2; round++) {
      const before = local.carrier
      local.startCarrier()
      t.equal(await ended(before), 0)
      await eventually(HERE)
    }
    for (const over of loads) {
      const counts = await over()
      t.comment(JSON.stringify(counts))
      t.same(Object.keys(counts), [HERE])
    }
  },
)

t.test('killed with -9: the cluster answers at once', async (t) => {
  local.carrier.kill('SIGKILL')
  await ended(local.carrier)
  await eventually(ELSEWHERE)
  await eventually(ELSEWHERE, 'n1')
  local.startCarrier()
  await eventually(HERE)
  t.pass()
})

t.test('agent killed and started again under load: no query is lost', async (t) => {
  const over = await clientOf(pod).steady(LOCAL[0])
  await agent.kill()
  agent = await startAgent()
  t.same(Object.keys(await over()), [HERE])
})

t.test('what somebody takes away comes back', async (t) => {
  const changes: [string, ...string[]][] = [
    ['ip', 'link', 'delete', 'nodelocaldns'],
    ['ip', 'address', 'delete', `${LOCAL[0]}/32`, 'dev', 'nodelocaldns'],
    ['ip', 'link', 'set', 'nodelocaldns', 'down'],
    ...(VARIANT === null ? NFT : iptables(VARIANT)),
  ]
  for (const change of changes) {
    await inside('n1', ...change)
    await until(`repaired after ${change.join(' ')}`, async () => {
      if ((await askAll(pod)).some((said) => said !== HERE)) return false
      await inside('n1', 'conntrack', '-F')
      await askAll(pod)
      return (await tracked()).length === 0
    })
    t.pass(change.join(' '))
  }
})

t.test('a host whose firewall drops what it does not know', async (t) => {
  const tools = ['iptables', 'ip6tables'].map((tool) => `${tool}-${VARIANT ?? 'legacy'}`)
  for (const tool of tools) {
    for (const chain of ['INPUT', 'OUTPUT']) await inside('n1', tool, '-w', '-P', chain, 'DROP')
    await inside('n1', tool, '-w', '-A', 'INPUT', '-p', tool.startsWith('ip6') ? 'icmpv6' : 'icmp', '-j', 'ACCEPT')
    await inside('n1', tool, '-w', '-A', 'OUTPUT', '-p', tool.startsWith('ip6') ? 'icmpv6' : 'icmp', '-j', 'ACCEPT')
  }
  await eventually(HERE)
  await eventually(HERE, 'n1')
  for (const tool of tools)
    for (const chain of ['INPUT', 'OUTPUT']) await inside('n1', tool, '-w', '-P', chain, 'ACCEPT')
  const undone = agent.said.filter((line) => / drifted .*table filter does not lead to our chains/.test(line))
  t.same(undone, [], 'rules of Services and of node-local DNS leave each other alone')
  if (VARIANT === null) {
    const made = await inside('n1', 'cat', '/proc/self/net/ip_tables_names')
    t.equal(made, 'filter\n', 'who only watches makes no table: packets would pay for it')
  }
})

t.test('--cleanup leaves nothing, twice', async (t) => {
  await agent.kill()
  for (let i = 0; i < 2; i++) {
    t.match(await exec([process.execPath, MAIN, 'agent', '--cleanup']), { kind: 'done' })
    t.notMatch(await inside('n1', 'nft', 'list', 'ruleset'), /fairlead|FAIRLEAD/)
    t.notMatch(await inside('n1', 'ip', 'link'), /nodelocaldns/)
    for (const tool of ['iptables', 'ip6tables'])
      t.notMatch(await inside('n1', `${tool}-${VARIANT ?? 'legacy'}-save`), /FAIRLEAD/)
    t.notMatch(await inside('n1', 'ipset', 'list', '-n'), /FAIRLEAD/)
  }
})

const NFT: [string, ...string[]][] = [
  ['nft', 'delete', 'table', 'inet', 'fairlead_nodelocal'],
  ['nft', 'flush', 'table', 'inet', 'fairlead_nodelocal'],
  ['nft', 'flush', 'chain', 'inet', 'fairlead_nodelocal', 'output'],
  ['nft', 'flush', 'set', 'inet', 'fairlead_nodelocal', 'served4'],
]
const iptables = (variant: string): [string, ...string[]][] => [
  [`iptables-${variant}`, '-w', '-t', 'raw', '-F'],
  [`ip6tables-${variant}`, '-w', '-t', 'raw', '-F', 'FAIRLEAD-DNS-PREROUTING'],
  ['ipset', 'flush', 'FAIRLEAD-DNS4'],
]
