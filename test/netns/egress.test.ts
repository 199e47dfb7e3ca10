/** What pods send out of the cluster has an address of their node; nothing else has. Packets sent and seen. */
import t from 'tap'
import { enterWorld, inside } from './world.ts'
await enterWorld()

import { endpoint, node, NODES as NODE_OBJECTS, service, slice } from '../contract/service-objects.ts'
import { exec } from '../../src/kernel/exec.ts'
import { Hosts } from './hosts.ts'
import { PATIENCE_MS } from './peer.ts'
import { hostUses, modeArgs, rulesOf, variantOf } from './rules.ts'
import { MAIN, Shipped, type Agent } from './shipped.ts'
import { makeMasqueradeTarget, targetName } from './target.ts'
import { NODES, six } from './topology.ts'
import { until } from './waiting.ts'

const [A, B, C] = ['10.244.1.10', '10.244.2.10', '10.244.1.11'] as const
const { n1: N1, n2: N2, outside: OUTSIDE } = NODES
const [LB, LOCAL] = ['10.96.0.20', '10.96.0.21'] as const

const hosts = new Hosts()
const shipped = new Shipped()
t.setTimeout(570_000)
t.jobs = 1
t.teardown(() => {
  hosts.close()
  shipped.close()
})

/** Whom `to` saw; null: no answer. */
async function seen(from: string, to: string, port = 8080, protocol: 'tcp' | 'udp' = 'tcp'): Promise<string | null> {
  const answer = await hosts.peer(from).send({ protocol, from, to, port, waitMs: PATIENCE_MS })
  return answer.kind === 'answered' ? answer.seen : null
}

let agent: Agent
const rules = (): Promise<string> => rulesOf('egress')
const VARIANT = variantOf()

/** As `start`, but with the rules of this room. */
async function begin(name: string, ...args: readonly string[]): Promise<Agent> {
  if (VARIANT !== null) await hostUses(VARIANT)
  const agent = shipped.begin(name, { args: ['--audit-seconds', '0', ...modeArgs(), ...args] })
  await agent.settled(VARIANT === null ? 'nftables' : 'iptables', 'masquerade')
  return agent
}

t.test('the hosts stand', async () => {
  const all = [A, B, C, OUTSIDE, N1, N2]
  await hosts.build([...all, ...all.map(six)], [LB, LOCAL])
  await hosts.listen(all.map((address) => `${address}:8080`))
})

t.test('without a word about it, pods keep their addresses', async (t) => {
  shipped.write()
  await begin('none')
  t.equal(await rules(), '')
  t.equal(await seen(A, OUTSIDE), A)
  await shipped.kill()
})

t.test('out of the cluster: an address of the node, IPv4 and IPv6, TCP and UDP', async (t) => {
  const lb = service('lb', [LOCAL], { type: 'LoadBalancer', externalTrafficPolicy: 'Local' }, { lb: [LB] })
  shipped.write(lb, slice('lb-1', 'lb', [endpoint(A)]))
  agent = await begin('one', '--masquerade')
  for (const protocol of ['tcp', 'udp'] as const) {
    t.equal(await seen(A, OUTSIDE, 8080, protocol), N1)
    t.equal(await seen(six(A), six(OUTSIDE), 8080, protocol), six(N1))
    t.equal(await seen(A, N2, 8080, protocol), N1, 'another node is no pod')
  }
})

t.test('within the cluster everybody keeps theirs', async (t) => {
  for (const [from, to] of [
    [A, B],
    [B, A],
    [A, C],
    [A, N1],
    [OUTSIDE, A],
    [N2, A],
    [B, N1],
  ] as const) {
    // prettier-ignore
    t.equal(await seen(from, to), from, `${from} -> ${to}`)
    t.equal(await seen(six(from), six(to)), six(from), `${six(from)} -> ${six(to)}`)
  }
  t.equal(await seen(N1, OUTSIDE), N1)
  t.equal(await seen(B, OUTSIDE), B, 'another node does it for its own')
})

t.test('a Service with externalTrafficPolicy: Local still shows who asks', async (t) => {
  t.equal(await seen(OUTSIDE, LB, 80), OUTSIDE)
  t.equal(await seen(C, LOCAL, 80), C, 'a pod by the cluster address')
})

const NFT_DAMAGES = [
  'nft flush ruleset',
  'nft delete table inet fairlead_egress',
  'nft flush chain inet fairlead_egress postrouting',
  "nft delete element inet fairlead_egress sources4 '{ 10.244.1.0/24 }'",
  "nft add element inet fairlead_egress kept4 '{ 203.0.113.0/24 }'",
  'nft insert rule inet fairlead_egress postrouting accept',
]
/** The kernel lets go of it a moment after the rule is gone. */
const DESTROY = 'for try in $(seq 100); do ipset destroy FAIRLEAD-KEPT4 && break; done'
const IPTABLES_DAMAGES = [
  ...(targetName === 'iptables-nft' ? ['nft flush ruleset'] : []),
  'iptables -t nat -F',
  'iptables -t nat -F; iptables -t nat -X',
  `iptables -t nat -F; iptables -t nat -X; ${DESTROY}`,
  `iptables -t nat -F FAIRLEAD-EGRESS; ${DESTROY}; ipset create FAIRLEAD-KEPT4 hash:ip`,
  'iptables -t nat -D POSTROUTING -j FAIRLEAD-EGRESS',
  'iptables -t nat -A POSTROUTING -j FAIRLEAD-EGRESS',
  'iptables -t nat -A FAIRLEAD-EGRESS -j RETURN',
  'iptables -t nat -N GUEST; iptables -t nat -A GUEST -j FAIRLEAD-EGRESS',
  'ipset flush',
  'ipset del FAIRLEAD-KEPT4 224.0.0.0/4',
  'ipset add FAIRLEAD-KEPT4 203.0.113.0/24',
]

t.test('somebody deletes or changes the rules, or flushes all: as before within a second', async (t) => {
  const whole = await rules()
  t.match(whole, /masquerade fully-random|MASQUERADE --random-fully/)
  for (const damage of VARIANT === null ? NFT_DAMAGES : IPTABLES_DAMAGES) {
    await agent.frozen(
      () => inside('n1', 'sh', '-ec', damage.replaceAll('iptables', `iptables-${VARIANT}`)),
      async () => (await rules()) !== whole,
    )
    const startMs = performance.now()
    await until(`as before: ${damage}`, async () => (await rules()) === whole)
    t.comment(`${damage}: ${(performance.now() - startMs).toFixed(0)} ms`)
    t.equal(await seen(A, OUTSIDE), N1)
  }
})

t.test('a rule of somebody else that lets all pass comes behind ours', { skip: VARIANT === null }, async (t) => {
  const listed = (): Promise<string> => inside('n1', `iptables-${VARIANT}`, '-w', '-t', 'nat', '-S', 'POSTROUTING')
  t.match(
    await listed(),
    /-j FAIRLEAD-POSTROUTING\n-A POSTROUTING -j FAIRLEAD-EGRESS\n/,
    'and ours behind that of Services',
  )
  await inside('n1', `iptables-${VARIANT}`, '-w', '-t', 'nat', '-I', 'POSTROUTING', '-j', 'ACCEPT')
  await until('pods are masqueraded again', async () => (await seen(A, OUTSIDE)) === N1)
  // Services put theirs first, too: each in its own time.
  await until('it is behind ours', async () => /-j FAIRLEAD-EGRESS\n-A POSTROUTING -j ACCEPT/.test(await listed()))
  await inside('n1', `iptables-${VARIANT}`, '-w', '-t', 'nat', '-D', 'POSTROUTING', '-j', 'ACCEPT')
})

t.test('ranges come, go, and take the place of others; the same is there as after a new start', async (t) => {
  const [n1, n2] = NODE_OBJECTS
  // `write` begins with the two nodes; the last object of a name counts.
  shipped.write(n1!, n2!, node('n3', ['172.30.0.13'], ['10.244.0.0/24', '10.244.3.0/24'], null))
  const joined = /kept4.*\n.*\n.*\n\s*elements = \{ 10\.244\.0\.0\/22,|KEPT4 10\.244\.0\.0\/22/
  await until('four ranges are one', async () => joined.test(await rules()))
  shipped.write(node('n3', ['172.30.0.13'], ['10.244.3.0/24'], null))
  let changed = ''
  await until('one went', async () => {
    changed = await rules()
    return /10\.244\.1\.0\/24,?\s[^/]*10\.244\.2\.0\/23/.test(changed) && !joined.test(changed)
  })
  await shipped.kill()
  if (VARIANT === null) await inside('n1', 'nft', 'flush', 'ruleset')
  else await inside('n1', `iptables-${VARIANT}`, '-w', '-t', 'nat', '-F')
  await begin('again', '--masquerade')
  t.equal(await rules(), changed)
  await shipped.kill()
})

t.test('destinations that an administrator lists see the pod; all of them may be', async (t) => {
  shipped.write()
  await begin('listed', '--masquerade', '--non-masquerade-cidrs', `${OUTSIDE}/32,fd00:172:30::/64`)
  t.equal(await seen(A, OUTSIDE), A)
  t.equal(await seen(six(A), six(OUTSIDE)), six(A))
  t.equal(await seen(A, N2), N1)
  await shipped.kill()
  await begin('all', '--masquerade', '--non-masquerade-cidrs', `0.0.0.0/0,::/0`)
  t.equal(await seen(A, N2), A)
  t.equal(await seen(six(A), six(N2)), six(A))
  await shipped.kill()
})

t.test('a replacement leaves no moment without it; a target that follows alone finds it clean', async (t) => {
  const target = makeMasqueradeTarget()
  const rows = new Map(
    [
      { kind: 'source', cidr: '10.244.1.0/24' } as const,
      { kind: 'kept', cidr: '0.0.0.0/0' } as const,
      { kind: 'kept', cidr: 'ff00::/8' } as const,
      { kind: 'kept', cidr: 'fd00::1/128' } as const,
    ].map((row) => [row.cidr, row]),
  )
  const to = { epoch: 'test', number: 1 }
  await target.apply({ from: 0, to, put: rows, drop: new Set(), was: new Map() }, AbortSignal.timeout(PATIENCE_MS))
  t.strictSame(await target.audit(AbortSignal.timeout(PATIENCE_MS)), { clean: true })
  await target.cleanup()
  await target.cleanup()
  t.equal(await rules(), '')
})

t.test('switched off, what was there goes; so by --cleanup, twice', async (t) => {
  await begin('on', '--masquerade')
  t.not(await rules(), '')
  await shipped.kill()
  await begin('off', '--no-masquerade')
  t.equal(await rules(), '')
  t.equal(await seen(A, OUTSIDE), A)
  await shipped.kill()
  await begin('on again', '--masquerade')
  await shipped.kill()
  t.not(await rules(), '')
  for (const _ of [1, 2]) {
    const result = await exec([process.execPath, '--disable-warning=ExperimentalWarning', MAIN, 'agent', '--cleanup'])
    t.equal(result.kind, 'done', JSON.stringify(result))
    t.equal(await rules(), '')
  }
})
