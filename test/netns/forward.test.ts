/** A host whose firewall forwards nothing by default lets pods through all the same; one that forwards is left as it is. */
import t from 'tap'
import { enterWorld, inside } from './world.ts'
await enterWorld()

import { exec } from '../../src/kernel/exec.ts'
import { endpoint, service, slice } from '../contract/service-objects.ts'
import { Hosts } from './hosts.ts'
import { PATIENCE_MS } from './peer.ts'
import { MAIN, Shipped, type Agent } from './shipped.ts'
import { NODES, six } from './topology.ts'
import { until } from './waiting.ts'

const [A, B] = ['10.244.1.10', '10.244.2.10'] as const
const { n1: N1, outside: OUTSIDE } = NODES
const VARIANTS = ['legacy', 'nft'] as const
type Variant = (typeof VARIANTS)[number]
const hosts = new Hosts()
const shipped = new Shipped()
t.setTimeout(570_000)
t.jobs = 1
t.teardown(() => {
  hosts.close()
  shipped.close()
})

/** `waitMs`: whoever wants an answer does not say it. */
async function answers(from: string, to: string, port = 8080, waitMs = PATIENCE_MS): Promise<boolean> {
  const answer = await hosts.peer(from).send({ protocol: 'tcp', from, to, port, waitMs })
  return answer.kind === 'answered'
}

/** Both ways, in both families; of those who wait for it: asked again and again. */
async function passes(): Promise<boolean> {
  for (const [from, to] of [
    [OUTSIDE, A],
    [A, OUTSIDE],
    [six(OUTSIDE), six(A)],
    [six(A), six(OUTSIDE)],
  ] as const)
    // prettier-ignore
    if (!(await answers(from, to, 8080, 1000))) return false
  return true
}

/** Waits for the lock of legacy iptables: the agent repairs meanwhile. */
async function tables(variant: Variant, ...words: readonly string[]): Promise<void> {
  for (const tool of ['iptables', 'ip6tables']) await inside('n1', `${tool}-${variant}`, '-w', ...words)
}

/** All rules of the filter table, but for counters. */
const rules = async (variant: Variant): Promise<string> =>
  (await Promise.all(['iptables', 'ip6tables'].map((tool) => inside('n1', `${tool}-${variant}`, '-w', '-S')))).join('')

const begin = async (name: string, ...args: readonly string[]): Promise<Agent> => {
  const agent = shipped.begin(name, { args: ['--audit-seconds', '0', '--forwarding', ...args] })
  await agent.settled('forward')
  return agent
}

const cleanUp = async (): Promise<void> => {
  const result = await exec([process.execPath, '--disable-warning=ExperimentalWarning', MAIN, 'agent', '--cleanup'])
  if (result.kind !== 'done') throw new Error(JSON.stringify(result))
}

const problems = async (agent: Agent) => {
  const { rejections } = (await agent.report())!
  return rejections.first.filter(({ field }) => field.startsWith('nftables'))
}

t.test('the hosts stand', async () => {
  await hosts.build([A, B, N1, OUTSIDE, six(A), six(B), six(N1), six(OUTSIDE)], [])
  await hosts.listen([A, B, OUTSIDE].map((address) => `${address}:8080`))
  const web = service('web', ['10.96.0.10'], { type: 'NodePort', ports: [{ port: 80, nodePort: 30080, targetPort: 8080 }] }) // prettier-ignore
  shipped.write(web, slice('web-1', 'web', [endpoint(B)]))
  await until('all is let through', passes)
})

t.test('a host that forwards is left as it is', async (t) => {
  await begin('quiet')
  t.equal((await inside('n1', 'cat', '/proc/net/ip_tables_names')).trim(), '', 'no table of legacy iptables is made')
  t.notMatch(await inside('n1', 'nft', 'list', 'ruleset'), /table ip6? filter/)
  await shipped.kill()
  for (const variant of VARIANTS) await tables(variant, '-A', 'FORWARD', '-i', 'lo', '-j', 'DROP')
  const before = await Promise.all(VARIANTS.map(rules))
  await begin('quiet again')
  t.strictSame(await Promise.all(VARIANTS.map(rules)), before)
  await shipped.kill()
  for (const variant of VARIANTS) await tables(variant, '-F')
})

for (const variant of VARIANTS) {
  t.test(`${variant}: a FORWARD policy of DROP that was there before us`, async (t) => {
    await tables(variant, '-P', 'FORWARD', 'DROP')
    await tables(variant, '-A', 'FORWARD', '-i', 'lo', '-j', 'ACCEPT')
    t.notOk(await answers(OUTSIDE, A, 8080, 1000))
    const before = await rules(variant)
    await begin('after')
    await until('pods are let through', passes)
    const ours = await rules(variant)
    t.match(
      ours,
      /-P FORWARD DROP\n.*\n-N FAIRLEAD-FORWARD\n-A FORWARD -j FAIRLEAD-FORWARD\n-A FORWARD -i lo -j ACCEPT/,
    )
    t.ok(await answers(OUTSIDE, N1, 30080), 'a node port whose endpoint is on another node')
    await shipped.kill()
    await until('without an agent, too', passes)
    await cleanUp()
    t.equal(await rules(variant), before)
    await cleanUp()
    t.equal(await rules(variant), before)
    await tables(variant, '-F')
    await tables(variant, '-P', 'FORWARD', 'ACCEPT')
  })

  t.test(`${variant}: set, and our rules removed, while we run`, async (t) => {
    const agent = await begin('before')
    await tables(variant, '-P', 'FORWARD', 'DROP')
    await until('pods are let through', passes)
    const ours = await rules(variant)
    for (const damage of [
      ['-F'],
      ['-F', 'FORWARD'],
      ['-F', 'FAIRLEAD-FORWARD'],
      ['-D', 'FORWARD', '-j', 'FAIRLEAD-FORWARD'],
      ['-I', 'FORWARD', '-j', 'DROP'],
    ]) {
      await tables(variant, ...damage)
      const startMs = performance.now()
      const isAsBefore = async (): Promise<boolean> =>
        damage[0] === '-I' ? /-A FORWARD -j FAIRLEAD-FORWARD\n-A FORWARD -j DROP/.test(await rules(variant)) : (await rules(variant)) === ours // prettier-ignore
      await until(`as before: ${damage.join(' ')}`, isAsBefore)
      t.comment(`${damage.join(' ')}: ${(performance.now() - startMs).toFixed(0)} ms`)
      await until('pods are let through', passes)
    }
    await tables(variant, '-D', 'FORWARD', '-j', 'DROP')
    await tables(variant, '-P', 'FORWARD', 'ACCEPT')
    await until('a host that forwards is left alone', async () => !(await rules(variant)).includes('FAIRLEAD'))
    await until('and nothing is named', async () => (await problems(agent)).length === 0)
    await shipped.kill()
  })
}

t.test('a range that comes is let through, in both variants at once', async () => {
  for (const variant of VARIANTS) await tables(variant, '-P', 'FORWARD', 'DROP')
  await begin('ranges', '--local-pod-cidrs', '10.244.1.0/24,10.244.9.0/24,fd00:10:244:1::/64')
  for (const variant of VARIANTS)
    await until(`${variant} has it`, async () => /-d 10\.244\.9\.0\/24 -j ACCEPT/.test(await rules(variant)))
  await until('pods are let through', passes)
  for (const variant of VARIANTS) await tables(variant, '-P', 'FORWARD', 'ACCEPT')
  for (const variant of VARIANTS)
    await until('none is needed', async () => !(await rules(variant)).includes('FAIRLEAD'))
  await shipped.kill()
})

t.test('beside services by iptables: each leaves the chains of the other alone', async (t) => {
  const agent = shipped.begin('iptables', { args: ['--audit-seconds', '0', '--forwarding', '--mode', 'iptables'] })
  await agent.settled('iptables', 'forward')
  await tables('nft', '-P', 'FORWARD', 'DROP')
  await until('pods are let through', passes)
  t.ok(await answers(OUTSIDE, N1, 30080), 'a node port whose endpoint is on another node')
  await tables('nft', '-F', 'FORWARD')
  await until('pods are let through again', passes)
  await until('both stand', async () => {
    const all = await rules('nft')
    return /-j FAIRLEAD-FORWARD/.test(all) && /-A FORWARD .*-j FAIRLEAD-FILTER/.test(all)
  })
  t.ok(await answers(OUTSIDE, N1, 30080))
  await shipped.kill()
  await tables('nft', '-P', 'FORWARD', 'ACCEPT')
  await cleanUp()
  t.notMatch(await inside('n1', 'iptables-nft-save'), /FAIRLEAD/)
})

t.test('a chain of nftables that drops is named, with what to do, until it speaks of our pods', async (t) => {
  const agent = await begin('firewalld')
  t.strictSame(await problems(agent), [])
  await inside('n1', 'nft', 'add table inet firewalld; add chain inet firewalld filter_FORWARD { type filter hook forward priority 10; policy accept; }; add rule inet firewalld filter_FORWARD ct state established accept; add rule inet firewalld filter_FORWARD counter reject with icmpx admin-prohibited') // prettier-ignore
  await until('it is named', async () => (await problems(agent)).length === 1)
  const [named] = await problems(agent)
  t.equal(named!.object, 'Node n1')
  t.equal(named!.field, 'nftables inet firewalld filter_FORWARD')
  t.match(named!.problem, /^rejects .*10\.244\.1\.0\/24, fd00:10:244:1::\/64/)
  t.match(named!.remedy, /firewall-cmd .*--add-source=10\.244\.1\.0\/24 --add-source=fd00:10:244:1::\/64/)
  await inside('n1', 'nft', 'insert rule inet firewalld filter_FORWARD ip saddr 10.244.0.0/16 accept; insert rule inet firewalld filter_FORWARD ip6 saddr fd00:10:244:1::/64 accept') // prettier-ignore
  await until('it is named no more', async () => (await problems(agent)).length === 0)
  await inside('n1', 'nft', 'delete table inet firewalld; add table ip mine; add chain ip mine f { type filter hook forward priority 0; policy drop; }') // prettier-ignore
  await until('the other is named', async () => (await problems(agent))[0]?.field === 'nftables ip mine f')
  t.match((await problems(agent))[0]!.remedy, /^nft insert rule ip mine f ip saddr 10\.244\.1\.0\/24 accept/)
  await inside('n1', 'nft', 'delete', 'table', 'ip', 'mine')
  await until('it is named no more', async () => (await problems(agent)).length === 0)
  await shipped.kill()
})
