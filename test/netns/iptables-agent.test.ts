/** The agent as it ships in --mode iptables, in both variants: under load, flushed, switched to and from the other mode. */
import t from 'tap'
import { enterWorld, inside, within } from './world.ts'
await enterWorld()

import { carrier } from '../../src/kernel/carrier.ts'
import { exec } from '../../src/kernel/exec.ts'
import type { Variant } from '../../src/kernel/iptables.ts'
import { endpoint, service, slice, type Raw } from '../contract/service-objects.ts'
import { OUTSIDE, POD } from '../contract/service-room.ts'
import { Hosts } from './hosts.ts'
import { killLoads, loadFromAll, ready, run, unharmed } from './load.ts'
import { MAIN, Shipped, type Agent } from './shipped.ts'
import { until } from './waiting.ts'

const hosts = new Hosts()
const shipped = new Shipped()
const IP = '10.96.0.10'
const [A, B] = ['10.244.1.10', '10.244.2.10'] as const
t.setTimeout(570_000)
t.jobs = 1
t.afterEach(async () => {
  await shipped.kill()
})
t.teardown(() => {
  hosts.close()
  killLoads()
  shipped.close()
})

t.test('the hosts stand', { timeout: 120_000 }, async () => {
  await hosts.build([POD, OUTSIDE, A, B], [IP])
  for (const pod of [A, B]) await ready(run(hosts.name(pod), 'load', 'serve', '--listen', 'tcp:8080'))
})

for (const variant of ['legacy', 'nft'] as const) {
  t.test(`${variant}: killed with -9 and started again under load: no connection fails, none breaks`, async (t) => {
    await hostUses(variant)
    shipped.write(...web(A, B))
    let agent = await begin()
    await until('the log says which', () => agent.said.some((line) => line.includes(`variant=${variant}`)))
    const loads = await underLoad()
    for (let round = 0; round < 2; round++) {
      await agent.kill()
      agent = await begin()
    }
    shipped.write(...web(A))
    await agent.settled('iptables')
    shipped.write(...web(A, B))
    await agent.settled('iptables')
    await unharmed(t, loads, 50)
  })

  t.test(`${variant}: somebody flushes our rules: repaired`, async (t) => {
    await hostUses(variant)
    shipped.write(...web(A, B))
    const agent = await begin()
    const iptables = `iptables-${variant}`
    for (const command of [
      [iptables, '-t', 'nat', '-F'],
      [iptables, '-t', 'nat', '-F', 'FAIRLEAD-FRONTENDS'],
      [iptables, '-t', 'nat', '-D', 'PREROUTING', '-j', 'FAIRLEAD-SERVICES'],
      ['sh', '-ec', `${iptables} -t nat -F; ${iptables} -t nat -X`],
      ...(variant === 'nft' ? [['nft', 'flush', 'ruleset']] : []),
    ] as [string, ...string[]][]) {
      const began = performance.now()
      await agent.frozen(() => inside('n1', ...command))
      await until(`repaired after ${command.join(' ')}`, async () => (await ask(POD, IP)) === 'answered')
      t.comment(`${command.join(' ')}: repaired after ${(performance.now() - began).toFixed(0)} ms`)
      t.equal(await ask(OUTSIDE, IP, 80, 20_000), 'answered', command.join(' '))
    }
    await until('and refuses again', async () => (await ask(POD, IP, 81)) === 'refused')
    await inside('n1', iptables, '-w', '-F')
    await until('table filter is repaired, too', async () => (await ask(POD, IP, 81)) === 'refused')
    await agent.kill()
  })

  t.test(
    `${variant}: switched to nftables and back under load: no connection fails; one mode's rules stand at a time`,
    async (t) => {
      await hostUses(variant)
      shipped.write(...web(A, B))
      let agent = await begin()
      const loads = await underLoad()
      for (const mode of ['nftables', 'iptables', 'nftables', 'iptables']) {
        agent.child.kill('SIGTERM')
        await agent.ended
        agent = await begin(mode)
        t.equal((await inside('n1', 'nft', 'list', 'tables')).includes('fairlead_service'), mode === 'nftables', mode)
        t.equal(/FAIRLEAD/.test(await inside('n1', `iptables-${variant}-save`)), mode === 'iptables', mode)
      }
      await unharmed(t, loads, 50)
      await agent.kill()
    },
  )

  t.test(`${variant}: --cleanup leaves nothing of ours and all of others', twice`, async (t) => {
    await hostUses(variant)
    const before = await foreign(variant)
    shipped.write(...web(A, B))
    await (await begin()).kill()
    t.equal(await foreign(variant), before, 'an agent that runs leaves them alone')
    for (let i = 0; i < 2; i++) {
      const result = await exec([process.execPath, MAIN, 'agent', '--cleanup'])
      t.equal(result.kind, 'done', JSON.stringify(result))
      t.notMatch(await inside('n1', `iptables-${variant}-save`), /FAIRLEAD/)
      t.notMatch(await inside('n1', `ip6tables-${variant}-save`), /FAIRLEAD/)
      t.equal(await inside('n1', 'ipset', 'list', '-n'), '')
      t.equal(await foreign(variant), before)
    }
  })
}

t.test('from one variant to the other: what was left in the first goes', async (t) => {
  await hostUses('legacy')
  shipped.write(...web(A, B))
  const agent = await begin()
  const loads = await underLoad()
  await agent.kill()
  await hostUses('nft')
  await begin()
  t.notMatch(await inside('n1', 'iptables-legacy-save'), /FAIRLEAD/)
  t.match(await inside('n1', 'iptables-nft-save'), /FAIRLEAD/)
  await unharmed(t, loads, 50)
})

/** Rules of kubelet and of somebody else in one variant, none in the other. */
async function hostUses(variant: Variant): Promise<void> {
  for (const each of ['legacy', 'nft'] as const)
    for (const iptables of [`iptables-${each}`, `ip6tables-${each}`]) {
      await exec([iptables, '-w', '-t', 'mangle', '-F'])
      await exec([iptables, '-w', '-t', 'mangle', '-X'])
      if (each !== variant) continue
      await inside('n1', iptables, '-w', '-t', 'mangle', '-N', 'KUBE-KUBELET-CANARY')
      await inside('n1', iptables, '-w', '-t', 'mangle', '-N', 'GUEST')
      await inside('n1', iptables, '-w', '-t', 'mangle', '-A', 'GUEST', '-j', 'RETURN')
    }
}

/** What is not ours, without the chains that iptables brings with a table. */
async function foreign(variant: Variant): Promise<string> {
  const lines = (await inside('n1', `iptables-${variant}-save`)).split('\n')
  return lines.filter((line) => /GUEST|KUBE/.test(line)).join('\n')
}

const web = (...pods: readonly string[]): Raw[] => [
  service('web', [IP], { sessionAffinity: 'None' }),
  slice('web-1', 'web', pods.map((pod) => endpoint(pod))), // prettier-ignore
]

async function begin(mode = 'iptables'): Promise<Agent> {
  const agent = shipped.begin(`a${count++}`, { args: ['--mode', mode] })
  await agent.settled(mode, 'conntrack')
  return agent
}
let count = 0

const underLoad = () => loadFromAll(`${IP}:80`, { namespace: hosts.name(POD), ip: POD })

async function ask(from: string, to: string, port = 80, waitMs = 1000): Promise<string> {
  const args = ['load', 'connect', '--to', `${to}:${port}`, '--count', '1', '--timeout-ms', String(waitMs)]
  const result = await exec([...within(hosts.name(from)), carrier, ...args] as unknown as readonly [string])
  const text = result.kind === 'done' ? result.stdout : result.kind === 'failed' ? result.stderr || '{}' : '{}'
  if (/"failedTotal":\s*0/.test(text)) return 'answered'
  return /refused/i.test(text) ? 'refused' : text
}
