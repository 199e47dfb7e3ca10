/**
 * What is wrong with nodes, folders and devices is named with what to do: in status, in one line of the log, in an Event of
 * the object and in a metric. Whoever is not concerned goes on. Agents as they ship, on an API server.
 */
import t from 'tap'
import { enterWorld, ip } from './world.ts'
await enterWorld()

import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { exec, start } from '../../src/kernel/exec.ts'
import { createStore } from '../../src/lab/api/create.ts'
import { createApiServer } from '../../src/lab/api/server.ts'
import { refOf } from '../../src/lab/api/store.ts'
import type { ApiObject } from '../../src/lab/api/object.ts'
import { address, connected, OverlayWorld, range } from './overlay.ts'
import { Agent, MAIN } from './shipped.ts'
import { until } from './waiting.ts'
import { within } from './world.ts'

const world = new OverlayWorld()
const store = createStore()
const server = createApiServer(store)
const API = join(world.folder, 'api.sock')
const CONF = join(world.folder, 'net.d')
const DATA = join(world.folder, 'leases')
const agents: Agent[] = []
t.setTimeout(570_000)
t.jobs = 1
t.teardown(() => {
  for (const agent of agents) agent.child.kill('SIGKILL')
  server.closeAllConnections()
  server.close()
  world.close()
})

function begin(number: number, ...args: readonly string[]): Agent {
  const name = `n${number}`
  const socket = join(world.folder, `${name}.sock`)
  const words = ['agent', '--node', name, '--api-server', `unix://${API}`, '--state-dir', '', '--overlay', 'vxlan']
  const more = ['--subnet-env', world.subnetEnv(number), '--status-socket', socket, '--service-cidrs', '10.96.0.0/16']
  const program = [...within(name), process.execPath, '--disable-warning=ExperimentalWarning', MAIN]
  const child = start([...program, ...words, ...more, ...args] as unknown as [string], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const agent = new Agent(child, socket)
  agents.push(agent)
  return agent
}

const put = (number: number, more: Parameters<OverlayWorld['node']>[1] = {}): void => {
  const outcome = store.create(world.node(number, more))
  if (!outcome.ok) throw new Error(outcome.failure.message)
}
const nodeOf = (name: string): ApiObject => store.get('nodes', '', name)!
const events = (): readonly string[] =>
  store
    .list('events')
    .map((event) => `${event['involvedObject'].kind} ${event['involvedObject'].name}: ${event['message']}`)
const statusOf = async (number: number): Promise<string> => {
  const words = ['status', '--agent', join(world.folder, `n${number}.sock`)]
  const result = await exec([process.execPath, '--disable-warning=ExperimentalWarning', MAIN, ...words])
  return result.kind === 'missing' ? '' : result.kind === 'done' ? result.stdout : result.stderr
}

/** What is wrong, on which object, and what to do about it. */
const PROBLEMS: readonly (readonly [object: string, problem: RegExp])[] = [
  ['Node n3', /has 172\.30\.0\.12, which is the older Node n2's.*give each node an address of its own/],
  ['Node n4', /has 10\.96\.5\.0\/24, which overlaps the service range 10\.96\.0\.0\/16.*delete the Node/],
  ['Node n5', /has 172\.30\.0\.0\/24, which overlaps the underlay address 172\.30\.0\.1\d.*delete the Node/],
  ['Node n6', /has no address of type InternalIP.*--node-ip/],
  ['Node n7', /has 10\.244\.2\.0\/25, which overlaps 10\.244\.2\.0\/24 of the older Node n2.*delete the Node/],
  ['Node n8', /podCIDRs.*nonsense/],
  ['Node n1', /1 addresses of pods here are of another range \(10\.250\.0\.9\).*delete those pods/],
  ['Node n1', /has 05-theirs\.conf .*comes before 10-fairlead\.conflist.*remove .*05-theirs\.conf/],
  ['Node n1', /flannel\.1 is there, a VXLAN device with VNI 7.*ip link delete flannel\.1/],
]

t.test('two nodes stand', async (t) => {
  await world.build(2)
  mkdirSync(CONF)
  mkdirSync(join(DATA, 'cbr0'), { recursive: true })
  await new Promise<void>((resolve) => server.listen({ path: API }, resolve))
  for (const number of [1, 2]) put(number)
  await world.settled(begin(1, '--cni-conf-dir', CONF, '--cni-data-dir', DATA))
  await world.settled(begin(2))
  await connected(1, 2)
  t.match(events(), [])
})

t.test('all that is wrong at once, each named everywhere', async (t) => {
  const [one] = agents as [Agent]
  put(3, { ips: [address(2)] })
  put(4, { podCIDRs: ['10.96.5.0/24'] })
  put(5, { podCIDRs: ['172.30.0.0/24'] })
  put(6, { ips: [] })
  put(7, { podCIDRs: ['10.244.2.0/25'] })
  put(8, { podCIDRs: ['nonsense'] })
  writeFileSync(join(DATA, 'cbr0', '10.250.0.9'), '')
  writeFileSync(join(CONF, '05-theirs.conf'), '{"name":"theirs","type":"bridge"}')
  await one.frozen(() =>
    ip('link delete flannel.1', 'link add flannel.1 type vxlan id 7 local 172.30.0.11 dev eth0 dstport 8472'),
  )
  for (const [object, problem] of PROBLEMS) {
    await until(`${object}: ${problem} in status`, async () => problem.test(await statusOf(1))).catch(async (error) => {
      t.comment(await statusOf(1))
      throw error
    })
    await until(`${object}: ${problem} is an Event`, () =>
      events().some((text) => text.startsWith(`${object}: `) && problem.test(text)),
    ).catch((error) => {
      t.comment(events().join('\n'))
      throw error
    })
    // The log has field=... of each on one line.
    const words = problem.source.split('.*')
    await until(`${problem} in the log`, () =>
      one.said.some((line) => words.every((word) => new RegExp(word).test(line))),
    )
  }
  await until('a metric counts them', async () => (await one.metric('fairlead_rejections')) >= PROBLEMS.length - 1)
  await until('and the row', async () => (await one.metric('fairlead_target_refused_rows{target="overlay"}')) === 1)
  await connected(1, 2, [6])
})

t.test('once all is right, nothing is named any more, and all reach each other', async () => {
  const [one] = agents as [Agent]
  for (const number of [3, 4, 5, 6, 7, 8]) store.delete(refOf('nodes', nodeOf(`n${number}`)), {})
  rmSync(join(DATA, 'cbr0', '10.250.0.9'))
  rmSync(join(CONF, '05-theirs.conf'))
  await ip('link delete flannel.1')
  await until('nothing is wrong', async () => {
    const report = await one.report()
    return report!.rejections.count === 0 && report!.targets.every(({ refused }) => refused.count === 0)
  })
  await connected(1, 2)
  await until('nor is there anything to look at', async () => !/to look at/.test(await statusOf(1)))
})

t.test('a folder of conflists that cannot be used is an Event, too; the rest goes on', async () => {
  const [one] = agents as [Agent]
  rmSync(CONF, { recursive: true })
  writeFileSync(CONF, 'no folder')
  const problem = /10-fairlead\.conflist cannot be written.*--cni-conf-dir/
  await until('in status', async () => problem.test(await statusOf(1)))
  await until('an Event', () => events().some((text) => text.startsWith('Node n1: conflist: ') && problem.test(text)))
  await until('in the log', () =>
    one.said.some((line) => line.includes('refused') && line.includes('cannot be written')),
  )
  await until('a metric', async () => (await one.metric('fairlead_target_refused_rows{target="conflist"}')) === 1)
  await connected(1, 2)
  rmSync(CONF)
  mkdirSync(CONF)
  await until('the file is there', async () => !/to look at/.test(await statusOf(1)))
})

t.test('the ranges of a node change while all run: peers follow', async (t) => {
  const changed = store.modify(refOf('nodes', nodeOf('n2')), (next) => {
    next['spec'] = { ...next['spec'], podCIDR: '10.244.9.0/24', podCIDRs: ['10.244.9.0/24', range(2, 6)] }
  })
  t.ok(changed.ok)
  await ip('-n p2 addr add 10.244.9.2/32 dev eth0', '-n n2 route add 10.244.9.2/32 dev pod')
  await until('the new range is reached', async () => (await exec(['ip', 'netns', 'exec', 'p1', 'ping', '-c1', '-W1', '10.244.9.2'])).kind === 'done') // prettier-ignore
  await connected(1, 2, [6])
})
