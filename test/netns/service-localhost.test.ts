/** Node ports on 127.0.0.1 and [::1], and on addresses that come and go: the agent as it ships, on a real kernel. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import t from 'tap'
import { enterWorld, inside, ip, within } from './world.ts'
await enterWorld()

import { carrier } from '../../src/kernel/carrier.ts'
import { exec, start } from '../../src/kernel/exec.ts'
import type { Report } from '../../src/status/report.ts'
import { endpoint, NODES, service, SERVICE_CIDR, slice, type Raw } from '../contract/service-objects.ts'
import { NODE, OUTSIDE } from '../contract/service-room.ts'
import { Hosts } from './hosts.ts'
import { ended, until } from './waiting.ts'

const folder = mkdtempSync(join(tmpdir(), 'fairlead-localhost-'))
const socket = join(folder, 'status.sock')
const hosts = new Hosts()
const [IP, IP6] = ['10.96.0.10', 'fd00:10:96::10']
const [A, A6, B, B6] = ['10.244.1.10', 'fd00:10:244:1::10', '10.244.2.10', 'fd00:10:244:2::10']
const LOOPBACKS = ['127.0.0.1', '[::1]']
const children: ChildProcess[] = []
const said: string[] = []
t.setTimeout(570_000)
t.jobs = 1
t.teardown(() => {
  hosts.close()
  for (const child of children) child.kill('SIGKILL')
  rmSync(folder, { recursive: true, force: true })
})

t.test('the hosts stand', { timeout: 120_000 }, async () => {
  await hosts.build([A, B, OUTSIDE], [IP])
  for (const pod of [A, B]) {
    await begin(...within(hosts.name(pod)), carrier, 'echo', '--listen', 'tcp:8080', '--listen', 'udp:8080')
    await begin(...within(hosts.name(pod)), carrier, 'load', 'serve', '--listen', 'tcp:8082')
  }
  write()
  await agent('primary,localhost,10.77.0.0/16,fd77::/16')
  for (const loopback of LOOPBACKS) {
    await until('node ports are served', () => answers(loopback))
    await until('of UDP, too', async () => (await udp(loopback)) === 0)
  }
})

t.test('TCP and UDP answer on both loopback addresses, without route_localnet', async (t) => {
  for (const loopback of LOOPBACKS) {
    t.ok(await answers(loopback), `${loopback}, TCP`)
    t.equal(await udp(loopback), 0, `${loopback}, UDP`)
  }
  t.ok(await answers(NODE), 'as on the address of the node')
  t.equal(await udp('127.0.0.1', 300), 0, 'many clients of UDP')
  t.same(routeLocalnet(), ['0'], 'in no interface')
})

t.test('from outside 127.0.0.1 of the node is not reached', async (t) => {
  // A host outside that forgot what such addresses are for; and what of it the node's own sockets would get.
  await inside('outside', 'sysctl', '-qw', 'net.ipv4.conf.all.route_localnet=1')
  for (const to of ['127.0.0.0/8', '127.0.0.1'])
    await inside('outside', 'ip', 'route', 'del', 'local', to, 'dev', 'lo', 'table', 'local')
  await inside('outside', 'ip', 'route', 'add', '127.0.0.1', 'via', NODE)
  const rules = 'add table ip seen; add chain ip seen in { type filter hook input priority 0; }; add rule ip seen in iifname eth0 ip daddr 127.0.0.1 counter' // prettier-ignore
  await inside('n1', 'nft', rules)
  const seen = async (): Promise<number> => {
    t.notOk(await answers('127.0.0.1', 30080, 'outside', '2'))
    return Number(/packets (\d+)/.exec(await inside('n1', 'nft', 'list', 'table', 'ip', 'seen'))![1])
  }
  t.equal(await seen(), 0)
  await inside('n1', 'sysctl', '-qw', 'net.ipv4.conf.all.route_localnet=1')
  t.not(await seen(), 0, 'they would, were it for route_localnet')
  await inside('n1', 'sysctl', '-qw', 'net.ipv4.conf.all.route_localnet=0')
  await inside('n1', 'nft', 'delete', 'table', 'ip', 'seen')
})

t.test('connections stand while their Service changes, and when its node port goes; new ones follow', async (t) => {
  const held = await begin(carrier, 'load', 'hold', '--to', '127.0.0.1:30082', '--count', '3', '--timeout-ms', '20000')
  write({ endpoints: [B] })
  await until('the other endpoint answers', async () => (await ask('127.0.0.1')).includes(B))
  write({ nodePort: 0 })
  for (const loopback of LOOPBACKS) await until(`${loopback} refuses`, () => refuses(loopback))
  t.ok(await answers(IP, 80), 'its ClusterIP is served on')
  write({ nodePort: 30090 })
  await until('another node port answers', () => answers('[::1]', 30090))
  t.ok(await refuses('127.0.0.1'))
  write()
  await until('the first one again', () => answers('127.0.0.1'))
  t.match(await finish(held), { broken: 0 })
})

t.test('a port that another process has is refused alone, named, and served once it is free', async (t) => {
  const taker = await begin(carrier, 'echo', '--listen', 'tcp:127.0.0.1:30091')
  write({ nodePort: 30091 })
  await until('the other family answers', () => answers('[::1]', 30091))
  t.equal(await udp('127.0.0.1', 1, 30081), 0, 'so does its other port')
  const target = async () => (await status()).targets.find(({ name }) => name === 'localhost')
  await until('it is told', async () => (await target())?.refused.count === 1)
  const refused = (await target())!.refused.first[0]!
  t.equal(refused.key, 'Service shop/web 127.0.0.1:30091/tcp')
  t.match(refused.reason, /127\.0\.0\.1:30091\/tcp is taken by another process/)
  t.match(refused.remedy, /ss -ltnp/)
  t.match(await get('metrics'), /^fairlead_target_refused_rows\{target="localhost"\} 1$/m)
  await until('in the log', () => said.some((line) => /refused.*Service shop\/web 127\.0\.0\.1:30091\/tcp/.test(line)))
  t.match((await target())!, { rows: 6, error: null })
  taker.kill()
  await until('served', () => answers('127.0.0.1', 30091))
  await until('and not refused any more', async () => (await target())?.refused.count === 0)
  write()
  await until('the first one again', () => answers('127.0.0.1'))
})

t.test('addresses come and go', async (t) => {
  const [four, six] = ['10.77.0.1', '[fd77::1]']
  t.notOk(await answers(four, 30080, 'n1', '2'))
  const add = (): Promise<void> => ip('addr add 10.77.0.1/32 dev eth0', 'addr add fd77::1/128 dev eth0 nodad', 'addr add 10.78.0.1/32 dev eth0') // prettier-ignore
  await add()
  for (const address of [four, six]) await until(`${address} answers`, () => answers(address))
  t.ok(await refuses('10.78.0.1'), 'in none of the ranges')
  await ip('addr add 10.77.0.3/32 dev eth0')
  await until('one more', () => answers('10.77.0.3'))
  kill('monitor', '--address')
  await ip('addr del 10.77.0.1/32 dev eth0', 'addr del fd77::1/128 dev eth0')
  await until('gone, though nobody was listening', async () => !/10\.77\.0\.1|fd77::1/.test(await ruleset()))
  t.ok(await answers('10.77.0.3'), 'what stayed is served')
  await ip('link add fl0 type veth peer name fl1', 'addr add 10.77.0.2/32 dev fl0')
  await until('an interface that comes', () => answers('10.77.0.2'))
  await ip('link del fl0')
  await until('and goes', async () => !(await ruleset()).includes('10.77.0.2'))
})

t.test('a relay that dies is started again', async () => {
  kill('relay', '--drain')
  for (const loopback of LOOPBACKS) await until(`${loopback} answers again`, () => answers(loopback))
})

t.test('an agent that is killed: connections stand, the next one serves', async (t) => {
  const held = await begin(carrier, 'load', 'hold', '--to', '[::1]:30082', '--count', '3', '--timeout-ms', '20000')
  current.kill('SIGKILL')
  await until('nobody is let in', () => refuses('127.0.0.1'))
  await agent('localhost')
  for (const loopback of LOOPBACKS) await until(`${loopback} answers`, () => answers(loopback))
  await until('localhost only, now', () => refuses(NODE))
  t.match(await finish(held), { broken: 0 })
  current.kill('SIGTERM')
  await until('nobody is let in', () => refuses('127.0.0.1'))
  await until('no relay is left', () => processes('relay', '--drain').length === 0)
})

/** The Service's first node port is `nodePort`; 30081 is UDP, 30082 the server of held connections. */
function write({
  nodePort = 30080,
  endpoints = [A, B],
}: { nodePort?: number; endpoints?: readonly string[] } = {}): void {
  const ports = [
    { name: 'http', port: 80, targetPort: 8080, ...(nodePort !== 0 && { nodePort }) },
    { name: 'udp', port: 81, protocol: 'UDP', targetPort: 8080, nodePort: 30081 },
    { name: 'held', port: 82, targetPort: 8082, nodePort: 30082 },
  ]
  const all = [
    { name: 'http', port: 8080 },
    { name: 'udp', port: 8080, protocol: 'UDP' },
    { name: 'held', port: 8082 },
  ]
  const web = service('web', [IP, IP6], { type: 'NodePort', ports })
  const slices: Raw[] = [
    slice('web-4', 'web', endpoints.map((each) => endpoint(each)), all), // prettier-ignore
    slice('web-6', 'web', endpoints.map((each) => endpoint(each === A ? A6 : B6)), all), // prettier-ignore
  ]
  const items = [...NODES, SERVICE_CIDR, web, ...slices]
  writeFileSync(join(folder, 'objects.json'), JSON.stringify({ apiVersion: 'v1', kind: 'List', items }))
}

let current: ChildProcess

async function agent(nodePortAddresses: string): Promise<void> {
  const options = [
    '--directory',
    join(folder, 'objects.json'),
    '--node',
    'n1',
    '--state-dir',
    '',
    '--audit-seconds',
    '1',
  ]
  const command = [process.execPath, MAIN, 'agent', ...options, '--nodeport-addresses', nodePortAddresses]
  current = start([...command, '--status-socket', socket] as unknown as Command, {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  children.push(current)
  createInterface({ input: current.stderr! }).on('line', (line) => said.push(line))
  await until('the agent answers', async () => {
    if (current.exitCode !== null) throw new Error(`the agent ended: ${said.join('\n')}`)
    return (await get('statusz')) !== ''
  })
}

const status = async (): Promise<Report> => JSON.parse(await get('statusz')) as Report

async function get(what: string): Promise<string> {
  const result = await exec(['curl', '-s', '-m', '5', '--unix-socket', socket, `http://agent/${what}`])
  return result.kind === 'done' ? result.stdout : ''
}

/** What the server says of itself; '' when there is none within so many seconds. */
async function ask(address: string, port = 30080, from = 'n1', seconds = '20'): Promise<string> {
  const result = await exec([
    ...within(from),
    'curl',
    '-s',
    '-m',
    seconds,
    `http://${address}:${port}`,
  ] as unknown as Command)
  return result.kind === 'done' ? result.stdout : ''
}

const answers = async (...where: Parameters<typeof ask>): Promise<boolean> => (await ask(...where)).startsWith('pod: ')

/** Nobody listens there, and no rule leads elsewhere: curl says 7. */
async function refuses(address: string, port = 30080): Promise<boolean> {
  const result = await exec(['curl', '-s', '-m', '20', `http://${address}:${port}`])
  return result.kind === 'failed' && result.code === 7
}

/** How many datagrams, each from a port of its own, got no answer. */
async function udp(address: string, count = 1, port = 30081): Promise<number> {
  const args = ['load', 'connect', '--udp', '--to', `${address}:${port}`, '--count', String(count), '--threads', '1']
  const result = await exec([carrier, ...args, '--timeout-ms', '20000'])
  const text = result.kind === 'done' ? result.stdout : '{"failedTotal":-1}'
  return (JSON.parse(text) as { failedTotal: number }).failedTotal
}

const ruleset = (): Promise<string> => inside('n1', 'nft', 'list', 'table', 'inet', 'fairlead_service')

function routeLocalnet(): string[] {
  const at = '/proc/sys/net/ipv4/conf'
  return [...new Set(readdirSync(at).map((name) => readFileSync(join(at, name, 'route_localnet'), 'utf8').trim()))]
}

/** Processes of the carrier in this world. */
function processes(...words: readonly string[]): number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return []
    try {
      const all = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0')
      return all[0] === carrier && words.every((word) => all.includes(word)) ? [Number(name)] : []
    } catch {
      return [] // it ended while we looked
    }
  })
}

function kill(...words: readonly string[]): void {
  const found = processes(...words)
  if (found.length !== 1) throw new Error(`${found.length} processes of ${words.join(' ')}`)
  process.kill(found[0]!, 'SIGKILL')
}

const lines = new Map<ChildProcess, string[]>()

/** Starts a command that says a line when it is ready. */
async function begin(...command: readonly string[]): Promise<ChildProcess> {
  const child = start(command as unknown as Command, { stdio: ['pipe', 'pipe', 'inherit'] })
  children.push(child)
  const all: string[] = []
  lines.set(child, all)
  createInterface({ input: child.stdout! }).on('line', (text) => all.push(text))
  await until(`${command.join(' ')} says that it is ready`, () => {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`)
    return all.length > 0
  })
  return child
}

/** Ends its input; what it says at last. */
async function finish(child: ChildProcess): Promise<unknown> {
  child.stdin!.end()
  await ended(child) // and has said all: its exit alone does not tell
  return JSON.parse(lines.get(child)!.at(-1)!)
}

type Command = readonly [string, ...string[]]

const MAIN = join(import.meta.dirname, '../../src/main.ts')
