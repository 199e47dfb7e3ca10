/**
 * From one mode to the other and back under load, with all rooms in play: pods are masqueraded and peers heard all the while,
 * and what one mode left goes. Then iptables where nftables cannot be used at all.
 */
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { enterWorld, inside, ip } from './world.ts'
await enterWorld()

import { carrier } from '../../src/kernel/carrier.ts'
import { exec } from '../../src/kernel/exec.ts'
import { endpoint, service, slice, type Raw } from '../contract/service-objects.ts'
import { killLoads, ready, run, unharmed } from './load.ts'
import { address, connected, OverlayWorld, podAddress } from './overlay.ts'
import { hostUses, modeArgs, rulesOf } from './rules.ts'
import { MAIN, type Agent } from './shipped.ts'
import type { TargetName } from './target.ts'
import { until } from './waiting.ts'

const IP = '10.96.0.10'
const TARGETS: readonly TargetName[] = ['nftables', 'iptables-legacy', 'iptables-nft']
const world = new OverlayWorld({ underlay: [4], pods: [4] })
let agent: Agent
t.setTimeout(570_000)
t.jobs = 1
t.teardown(() => {
  killLoads()
  world.close()
})

const web = (): Raw[] => [
  service('web', [IP], { healthCheckNodePort: 0 }),
  slice('web-1', 'web', [endpoint(podAddress(2))], [{ port: 8080 }]),
]

t.test('two nodes, and a host outside that knows no pods', async () => {
  await world.build(3)
  world.write(world.node(1), world.node(2), ...web())
  await ip('route add default via 172.30.0.13')
  for (const name of ['p2', 'n3']) await ready(run(name, 'load', 'serve', '--listen', 'tcp:8080'))
  agent = await begin('nftables')
  await world.start(2)
  await connected(1, 2, [4])
})

t.test('switched under load: no connection fails, none breaks; the rules of one mode stand', async (t) => {
  const loads = [`${podAddress(2)}:8080`, `${address(3)}:8080`, `${IP}:80`].flatMap((to) => [
    run('p1', 'load', 'steady', '--to', to, '--rate', '100', '--from', podAddress(1)),
    run('p1', 'load', 'hold', '--to', to, '--count', '10', '--from', podAddress(1)),
  ])
  for (const load of loads) await ready(load)
  for (const name of ['iptables-legacy', 'nftables', 'iptables-nft', 'iptables-legacy', 'nftables'] as const) {
    agent.child.kill('SIGTERM')
    await agent.ended
    agent = await begin(name)
    for (const room of ['egress', 'overlay'] as const) for (const each of TARGETS) await holds(t, room, each, name)
  }
  await unharmed(t, loads, 50)
})

t.test('nftables cannot be used at all: everything by iptables, and nothing is asked of nft', async (t) => {
  agent.child.kill('SIGTERM')
  await agent.ended
  await inside('n1', 'nft', 'flush', 'ruleset')
  const { PATH, FAIRLEAD_CARRIER } = process.env
  Object.assign(process.env, withoutNft())
  try {
    agent = await begin('iptables-legacy')
  } finally {
    process.env['PATH'] = PATH
    if (FAIRLEAD_CARRIER === undefined) delete process.env['FAIRLEAD_CARRIER']
    else process.env['FAIRLEAD_CARRIER'] = FAIRLEAD_CARRIER
  }
  await connected(1, 2, [4])
  for (const to of [`${podAddress(2)}:8080`, `${address(3)}:8080`, `${IP}:80`]) t.ok(await reaches(to, 20_000), to)
  const report = (await agent.report())!
  t.same(report.targets.flatMap(({ name, error }) => (error === null ? [] : `${name}: ${error}`)), []) // prettier-ignore
  t.same(
    report.kernel.filter(({ name }) => name !== 'ipvs').map(({ name, present }) => `${name} ${present}`).sort(), // prettier-ignore
    ['conntrack true', 'ipset true', 'iptables true'],
  )
  for (const room of ['egress', 'overlay'] as const)
    for (const each of TARGETS) await holds(t, room, each, 'iptables-legacy')
  await inside('n1', 'sh', '-ec', 'for table in nat mangle filter; do iptables-legacy -w -t $table -F; done')
  await until('repaired', () => reaches(`${IP}:80`))
  t.notOk(agent.said.some((line) => line.includes('looked through')), agent.said.join('\n')) // prettier-ignore
  const asked = readFileSync(join(world.folder, 'nft-asked'), 'utf8').trim().split('\n')
  t.ok(asked.every((line) => /^nft (-\S+ )*(list|--version)/.test(line)), asked.join('\n')) // prettier-ignore
})

t.test('--cleanup leaves nothing of either mode, twice, with the tools of neither', async (t) => {
  agent.child.kill('SIGTERM')
  await agent.ended
  const cleanup = [process.execPath, '--disable-warning=ExperimentalWarning', MAIN, 'agent', '--cleanup'] as const
  for (const env of [{ ...process.env, ...withoutNft() }, process.env, { ...process.env, PATH: ipOnly() }]) {
    const result = await exec(cleanup, { env })
    t.equal(result.kind, 'done', JSON.stringify(result))
    for (const room of ['egress', 'overlay'] as const)
      for (const each of TARGETS) t.equal(await rulesOf(room, 'n1', each), '')
    t.equal(await inside('n1', 'ipset', 'list', '-n'), '')
  }
})

async function begin(name: TargetName): Promise<Agent> {
  if (name !== 'nftables') await hostUses(name === 'iptables-legacy' ? 'legacy' : 'nft')
  const started = world.begin(1, ...modeArgs(name))
  const services = name === 'nftables' ? 'nftables' : 'iptables'
  await started.settled(services, 'conntrack', 'overlay', 'overlay guard', 'masquerade', 'forward')
  return started
}

async function holds(t: Test, room: 'egress' | 'overlay', by: TargetName, chosen: TargetName): Promise<void> {
  const text = await rulesOf(room, 'n1', by)
  // Sets are of both variants of iptables.
  const rules = by === 'nftables' ? text : text.split('\n').filter((line) => / -A /.test(line)).join('\n') // prettier-ignore
  t.equal(rules !== '', by === chosen, `${room}: rules of ${by} in mode ${chosen}: ${rules}`)
}

async function reaches(to: string, waitMs = 1000): Promise<boolean> {
  const args = ['load', 'connect', '--to', to, '--count', '1', '--timeout-ms', String(waitMs), '--from', podAddress(1)]
  const result = await exec(['ip', 'netns', 'exec', 'p1', carrier, ...args])
  return result.kind === 'done' && /"failedTotal":\s*0/.test(result.stdout)
}

/** As where the kernel has no nf_tables: the tool says so, and so does the carrier. What nft is asked is written down. */
function withoutNft(): NodeJS.ProcessEnv {
  const folder = join(world.folder, 'denied')
  mkdirSync(folder, { recursive: true })
  const fake = (name: string, text: string): string => {
    writeFileSync(join(folder, name), `#!/bin/sh\n${text}\n`)
    chmodSync(join(folder, name), 0o755)
    return join(folder, name)
  }
  const refuse = 'echo "Error: Could not process rule: Operation not supported" >&2; exit 1'
  fake('nft', `echo "nft $*" >>${join(world.folder, 'nft-asked')}\n${refuse}`)
  const wrapper = fake('carrier', `case "$*" in nft*|*--nft*) ${refuse};; esac\nexec ${carrier} "$@"`)
  return { PATH: `${folder}:${process.env['PATH']}`, FAIRLEAD_CARRIER: wrapper }
}

/** A PATH with nothing of netfilter on it. */
function ipOnly(): string {
  const folder = join(world.folder, 'bare')
  mkdirSync(folder, { recursive: true })
  for (const tool of ['ip', 'bridge']) symlinkSync(`/usr/sbin/${tool}`, join(folder, tool))
  return folder
}
