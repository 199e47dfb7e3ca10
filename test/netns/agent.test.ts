/** The agent as it ships, under load: killed, restarted, its table taken away, its endpoints exchanged. */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ChildProcess } from 'node:child_process'
import t from 'tap'
import { enterWorld, inside, within } from './world.ts'
await enterWorld()

import { carrier } from '../../src/kernel/carrier.ts'
import { exec, start } from '../../src/kernel/exec.ts'
import { endpoint, NODES, service, SERVICE_CIDR, slice, type Raw } from '../contract/service-objects.ts'
import { Hosts } from './hosts.ts'
import { finish, killLoads, loadFromAll, ready, run, unharmed } from './load.ts'
import { ended, until } from './waiting.ts'

const folder = mkdtempSync(join(tmpdir(), 'fairlead-agent-'))
const statusSocket = join(folder, 'status.sock')
const hosts = new Hosts()
const [POD, A, B, OUTSIDE] = ['10.244.1.50', '10.244.1.10', '10.244.2.10', '172.30.0.1']
const VIP = '10.96.0.10'
const agents: ChildProcess[] = []
t.setTimeout(570_000)
t.jobs = 1
t.afterEach(async () => {
  for (const agent of agents.splice(0)) {
    agent.kill('SIGKILL')
    await ended(agent)
  }
})
t.teardown(() => {
  hosts.close()
  killLoads()
  for (const agent of agents) agent.kill('SIGKILL')
})

t.test('the hosts stand', { timeout: 120_000 }, async () => {
  await hosts.build([POD, A, B, OUTSIDE], [VIP])
  // Flows do not end by themselves while a test looks at them.
  await inside('n1', 'sysctl', '-qw', 'net.netfilter.nf_conntrack_udp_timeout=600')
  for (const pod of [A, B])
    await ready(run(hosts.name(pod), 'load', 'serve', '--listen', 'tcp:8080', '--listen', 'udp:8080'))
})

t.test(
  'killed with -9 and started again under load: no connection fails, none breaks',
  { timeout: 240_000 },
  async (t) => {
    write([A, B])
    let agent = await startAgent()
    const loads = await loadFromAll(`${VIP}:80`, { namespace: hosts.name(POD), ip: POD })
    for (let round = 0; round < 3; round++) {
      agent.kill('SIGKILL')
      await ended(agent)
      agent = await startAgent()
    }
    agent.kill('SIGTERM')
    t.equal(await ended(agent), 0, 'ends in peace')
    agent = await startAgent()
    await unharmed(t, loads, 100)
    agent.kill('SIGKILL')
    await ended(agent)
  },
)

t.test('somebody flushes the ruleset: repaired', async (t) => {
  write([A, B])
  const agent = await startAgent()
  for (const command of [
    ['nft', 'flush', 'ruleset'],
    ['nft', 'delete', 'table', 'inet', 'fairlead_service'],
    ['nft', 'flush', 'chain', 'inet', 'fairlead_service', 'prerouting'],
    ['nft', 'flush', 'table', 'inet', 'fairlead_service'],
  ] as [string, ...string[]][]) {
    const began = performance.now()
    await inside('n1', ...command)
    await until(`repaired after ${command.join(' ')}`, async () => (await ask(POD, VIP, 80)) === 'answered')
    t.comment(`${command.join(' ')}: repaired after ${(performance.now() - began).toFixed(0)} ms`)
    t.equal(await ask(OUTSIDE, VIP, 80, 20_000), 'answered', command.join(' '))
  }
  agent.kill('SIGKILL')
  await ended(agent)
})

t.test('UDP with one source port: follows its endpoint, and healthy flows are left alone', async (t) => {
  write([A])
  const agent = await startAgent()
  const send = async (port: number, waitMs = 1000): Promise<string> => (await udp(POD, VIP, port, waitMs)) ?? 'silent'
  await until('answered', async () => (await send(40001)) === 'answered')
  await send(40002)
  const flows = (): Promise<string> => inside('n1', 'conntrack', '-L', '-p', 'udp', '--orig-port-dst', '80')
  t.match(await flows(), /src=10.244.1.10 /, 'the flows lead to the first endpoint')
  write([A, B])
  await applied(agent)
  t.notOk((await flows()).includes('10.244.2.10'), 'one endpoint more: the flows stay where they were')
  write([B])
  await applied(agent)
  // Until the old one is forgotten, which comes after the rules, the old endpoint still answers.
  await until('the flow follows, and none leads to the old endpoint', async () => {
    if ((await send(40001)) !== 'answered') return false
    const now = await flows()
    return /src=10.244.2.10 /.test(now) && !/src=10.244.1.10 /.test(now)
  })
  write([])
  await applied(agent)
  await until('no endpoint: refused, although the flow was known', async () => (await send(40001)) === 'refused')
  write([A])
  await applied(agent)
  await until('the first endpoint again', async () => (await send(40001)) === 'answered')
  agent.kill('SIGKILL')
  await ended(agent)
})

t.test('a connection begun before its Service was programmed gets there', async (t) => {
  await inside('n1', 'nft', 'delete', 'table', 'inet', 'fairlead_service')
  // Conntrack looks only where some rule asks for it.
  await inside(
    'n1',
    'nft',
    'add table inet other; add chain inet other c { type filter hook prerouting priority 0; }; add rule inet other c ct state new',
  )
  const early = run(
    'outside',
    'load',
    'connect',
    '--to',
    `${VIP}:80`,
    '--count',
    '1',
    '--threads',
    '1',
    '--timeout-ms',
    '120000',
  )
  await until('its entry stands, untranslated', async () => {
    const entries = await inside('n1', 'conntrack', '-L', '-p', 'tcp', '--orig-port-dst', '80')
    return /SYN_SENT .*src=172.30.0.1 dst=10.96.0.10 .*UNREPLIED.* src=10.96.0.10 /.test(entries)
  })
  write([A])
  await startAgent()
  t.match(await finish(early), { failedTotal: 0 })
  await inside('n1', 'nft', 'delete', 'table', 'inet', 'other')
})

t.test('--cleanup leaves nothing, twice', async (t) => {
  for (let i = 0; i < 2; i++) {
    const result = await exec([process.execPath, MAIN, 'agent', '--cleanup'])
    t.equal(result.kind, 'done')
    t.equal(await inside('n1', 'nft', 'list', 'tables'), '')
  }
})

function write(endpoints: readonly string[]): void {
  const spec: Raw = {
    ports: [
      { name: 'tcp', port: 80, protocol: 'TCP' },
      { name: 'udp', port: 80, protocol: 'UDP' },
    ],
  }
  const ports = [
    { name: 'tcp', port: 8080, protocol: 'TCP' },
    { name: 'udp', port: 8080, protocol: 'UDP' },
  ]
  const objects = [
    ...NODES,
    SERVICE_CIDR,
    service('web', [VIP], spec),
    slice(
      'web-1',
      'web',
      endpoints.map((each) => endpoint(each)),
      ports,
    ),
  ]
  writeFileSync(join(folder, 'objects.json'), JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }))
  wanted = endpoints
}
let wanted: readonly string[] = []

async function startAgent(): Promise<ChildProcess> {
  const options = [
    '--directory',
    join(folder, 'objects.json'),
    '--node',
    'n1',
    '--state-dir',
    '',
    '--status-socket',
    statusSocket,
  ]
  const agent = start([process.execPath, MAIN, 'agent', ...options, '--log', 'warn'], {
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  agents.push(agent)
  await applied(agent)
  return agent
}

/** Waits until the kernel has exactly the endpoints written last. */
async function applied(agent: ChildProcess): Promise<void> {
  await until('the kernel has what was written', async () => {
    if (agent.exitCode !== null) throw new Error(`the agent ended with ${agent.exitCode}`)
    const listing = await exec(['nft', 'list', 'table', 'inet', 'fairlead_service'])
    if (listing.kind !== 'done') return false
    const has = (address: string): boolean => listing.stdout.includes(`: ${address} . 8080`)
    const status = await exec(['curl', '-s', '--unix-socket', statusSocket, 'http://agent/statusz'])
    if (status.kind !== 'done') return false
    const { targets } = JSON.parse(status.stdout) as {
      targets: { name: string; pending: number; appliedAt: string | null }[]
    }
    const nft = targets.find(({ name }) => name === 'nftables')
    return nft?.appliedAt !== null && nft?.pending === 0 && [A, B].every((each) => has(each) === wanted.includes(each))
  })
}

async function ask(from: string, to: string, port: number, waitMs = 1000): Promise<string> {
  const args = ['load', 'connect', '--to', `${to}:${port}`, '--count', '1', '--timeout-ms', String(waitMs)]
  const result = await exec([...within(hosts.name(from)), carrier, ...args] as unknown as Command)
  if (result.kind !== 'done') return 'failed'
  return (JSON.parse(result.stdout) as { failedTotal: number }).failedTotal === 0 ? 'answered' : 'failed'
}

/** One datagram from a fixed port: null when nobody answers, 'refused', or 'answered'. */
async function udp(from: string, to: string, sourcePort: number, waitMs: number): Promise<string | null> {
  const args = [
    'load',
    'connect',
    '--udp',
    '--to',
    `${to}:80`,
    '--count',
    '1',
    '--threads',
    '1',
    '--source-port',
    String(sourcePort),
    '--from',
    from,
    '--timeout-ms',
    String(waitMs),
  ]
  const result = await exec([...within(hosts.name(from)), carrier, ...args] as unknown as Command)
  const text = result.kind === 'done' ? result.stdout : result.kind === 'failed' ? result.stderr : ''
  const { failedTotal, failed } = JSON.parse(text === '' ? '{"failedTotal":1}' : text) as {
    failedTotal: number
    failed?: Record<string, number>
  }
  if (failedTotal === 0) return 'answered'
  return Object.keys(failed ?? {}).some((name) => /refused/i.test(name)) ? 'refused' : null
}

type Command = readonly [string, ...string[]]

const MAIN = join(import.meta.dirname, '../../src/main.ts')
