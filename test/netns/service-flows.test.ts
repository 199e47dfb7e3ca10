/** What an agent does about conntrack that a test of its target cannot show: over restarts, failures and lost rules. */
import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { enterWorld, inside } from './world.ts'
await enterWorld()

import { carrier } from '../../src/kernel/carrier.ts'
import { nftProcess } from '../../src/kernel/nft.ts'
import { endpoint, GONE as NO_MORE, READY, service, slice, TERMINATING, type Raw } from '../contract/service-objects.ts'
import { NODE, OUTSIDE, POD } from '../contract/service-room.ts'
import { Hosts } from './hosts.ts'
import { PATIENCE_MS } from './peer.ts'
import { Shipped, type Agent } from './shipped.ts'
import { until } from './waiting.ts'
import { six } from './topology.ts'

const hosts = new Hosts()
const shipped = new Shipped()
const [DNS, GONE, VIP, GONE6] = ['10.96.0.10', '10.96.0.11', '172.30.0.200', 'fd00:10:96::11']
const [A, B] = ['10.244.1.10', '10.244.2.10'] as const
const UDP = [{ port: 8080, protocol: 'UDP' }]
t.setTimeout(570_000)
t.jobs = 1
t.afterEach(async () => {
  await shipped.kill()
  await inside('n1', 'conntrack', '-F')
})
t.teardown(() => {
  hosts.close()
  shipped.close()
})

t.test('the hosts stand', { timeout: 120_000 }, async () => {
  await hosts.build([POD, OUTSIDE, A, B], [DNS, GONE, VIP, GONE6])
  await hosts.listen([A, B].map((pod) => `${pod}:8080`))
  // Flows do not end by themselves while a test counts them.
  await inside('n1', 'sysctl', '-qw', 'net.netfilter.nf_conntrack_udp_timeout=600')
})

t.test('what went while no agent ran: its flows go when one starts, and no other', async (t) => {
  shipped.write(...dns(A, B), ...gone())
  const first = await shipped.start('first')
  // A flow to each endpoint of the Service that stays, and to each kind of address of the one that goes.
  const ports = Array.from({ length: 20 }, (_, i) => 41_000 + i)
  for (const port of ports) await ask(POD, DNS, 80, port)
  for (const [from, to, port] of GOING) t.match(await ask(from, to, port), { kind: 'answered' }, `${from} -> ${to}`)
  t.equal((await flows(`dst=${DNS} `)).length, 20)
  const [toA, toB] = [await flows(`dst=${DNS} .*src=${A} `), await flows(`dst=${DNS} .*src=${B} `)]
  t.ok(toA.length > 0 && toB.length > 0)
  await first.kill()

  // Somebody else's: translated by rules that are not ours, and not translated.
  t.equal((await nftProcess.run(FOREIGN)).kind, 'committed')
  t.match(await ask(OUTSIDE, NODE, 9999), { by: `${A}:8080` })
  t.match(await ask(OUTSIDE, A, 8080), { by: `${A}:8080` })
  const others = ids([
    ...(await flows('dport=9999')),
    ...(await flows(`src=${OUTSIDE} dst=${A} .*dport=8080 src=${A} `)),
  ])
  t.equal(others.size, 2)

  shipped.write(...dns(B))
  const second = await shipped.start('second')
  t.same(await ids(`dst=${DNS} `), ids(toB), 'of the Service that stays: the flows to the endpoint that stays')
  for (const [, to, port] of GOING) t.same(await flows(`dst=${to} .*dport=${port} `), [], `none to ${to}:${port}`)
  t.ok((await ids('.')).isSupersetOf(others), 'and all that is not ours')
  t.match(await ask(POD, DNS, 80, 41_000), { by: `${B}:8080` })
  const counted = await second.metric('kubeproxy_conntrack_reconciler_deleted_entries_total{ip_family="IPv4"}')
  t.equal(counted, toA.length + GOING.length - 1)
  t.equal(await second.metric('kubeproxy_conntrack_reconciler_deleted_entries_total{ip_family="IPv6"}'), 1)
  t.ok((await second.metric('kubeproxy_conntrack_reconciler_sync_duration_seconds_count{ip_family="IPv4"}')) >= 1)
  await second.kill()
  await nftProcess.run('delete table ip foreign')
})

t.test(
  'a flow stays with an endpoint that terminates and serves, over a restart too, and leaves when it serves no more',
  async (t) => {
    const draining = (state: Raw): Raw[] => [
      ...dns().slice(0, 1),
      slice('dns-1', 'dns', [endpoint(A, state), ...(state === READY ? [] : [endpoint(B)])], UDP),
    ]
    shipped.write(...draining(READY))
    const first = await shipped.start('first')
    t.match(await ask(POD, DNS, 80), { by: `${A}:8080` })
    await changed(first, () => shipped.write(...draining(TERMINATING)))
    t.match(await ask(POD, DNS, 80, 41_000), { by: `${B}:8080` }, 'a flow that begins now')
    t.match(await ask(POD, DNS, 80), { by: `${A}:8080` }, 'one that was there')
    await first.kill()
    const second = await shipped.start('second')
    t.match(await ask(POD, DNS, 80), { by: `${A}:8080` }, 'and after a restart')
    await changed(second, () => shipped.write(...draining(NO_MORE)))
    t.match(await ask(POD, DNS, 80), { by: `${B}:8080` })
    t.match(await ask(POD, DNS, 80, 41_000), { by: `${B}:8080` })
    await second.kill()
  },
)

t.test('killed between its rules and the clean-up: the next one still knows what was served', async (t) => {
  shipped.write(...dns(A), ...gone())
  const first = await shipped.start('first')
  for (const [from, to, port] of GOING) await ask(from, to, port)
  await first.kill()
  shipped.write(...dns(A))
  const hung = shipped.begin('hung', { env: { FAIRLEAD_CARRIER: fake('hangs', 'exec sleep 1000') } })
  let port = 45_000 // a flow that is known would be answered for ever
  await until('its rules stand', async () => (await ask(POD, GONE, 80, ++port, SILENCE_MS)).kind !== 'answered')
  t.equal((await flows(`dst=${GONE} sport=40080 .*src=${A} `)).length, 1, 'the old flow stands')
  await hung.kill()
  const next = await shipped.start('next')
  for (const [, to, port] of GOING) t.same(await flows(`dst=${to} .*dport=${port} `), [], `none to ${to}:${port}`)
  await next.kill()
})

t.test('rules that are slow to come: no flow is deleted that would begin anew by the old ones', async (t) => {
  shipped.write(...dns(A))
  const pid = join(shipped.folder, 'nft.pid')
  const path = fake('told', `echo $$ >${pid}`, 'nft')
  const agent = await shipped.start('slow', { env: { FAIRLEAD_CARRIER: path } })
  for (const pods of [[A, B], [A]]) await changed(agent, () => shipped.write(...dns(...pods)))
  t.match(await ask(POD, DNS, 80), { by: `${A}:8080` })
  const nft = Number(readFileSync(pid, 'utf8'))
  process.kill(nft, 'SIGSTOP')
  const seen = () => agent.metric('kubeproxy_sync_proxy_rules_endpoint_changes_total')
  const before = await seen()
  shipped.write(...dns(B))
  await until('it knows', async () => (await seen()) > before)
  for (let i = 0; i < 50; i++) t.match(await ask(POD, DNS, 80), { by: `${A}:8080` })
  process.kill(nft, 'SIGCONT')
  await until('the flow follows', async () => {
    const answer = await ask(POD, DNS, 80)
    return answer.kind === 'answered' && answer.by === `${B}:8080`
  })
  await agent.kill()
})

t.test('a clean-up that fails is seen, tried again, and keeps no Service from being programmed', async (t) => {
  const broken = join(shipped.folder, 'broken')
  shipped.write(...dns(A), ...gone())
  const path = fake('breaks', `if [ -e ${broken} ]; then echo "no more netlink today" >&2; exit 1; fi`)
  const agent = await shipped.start('breaking', { env: { FAIRLEAD_CARRIER: path } })
  await ask(POD, DNS, 80)
  for (const [from, to, port] of GOING) await ask(from, to, port)
  writeFileSync(broken, '')
  shipped.write(...dns(B))
  await until('status shows it', async () => {
    const target = (await agent.report())!.targets.find(({ name }) => name === 'conntrack')!
    return target.error !== null && target.error.includes('no more netlink today')
  })
  await until('it was tried again', async () => (await agent.metric('fairlead_target_failures_total{target="conntrack"}')) >= 2) // prettier-ignore
  await until('it is logged', () =>
    agent.said.some((line) => /WARN.*could not program.*target=conntrack.*no more netlink/i.test(line)),
  )
  await agent.settled('nftables')
  t.match(await ask(POD, DNS, 80, 45_001), { by: `${B}:8080` }, 'services go on')
  t.equal((await agent.report())!.healthy, true)
  t.equal((await flows(`dst=${GONE} .*src=${A} `)).length, 1, 'the stale flows still stand')
  rmSync(broken)
  await agent.settled()
  t.same(await flows(`src=${A} `), [], 'and are gone: of the endpoint that went, and of the Service that went')
  t.match(await ask(POD, DNS, 80), { by: `${B}:8080` })
  await agent.kill()
})

t.test('rules that were lost: flows that began meanwhile are found when the rules are back', async (t) => {
  shipped.write(...dns(A))
  const guest = 'table inet guest { chain c { type filter hook forward priority 0; ct state established accept; }; }'
  t.equal((await nftProcess.run(guest)).kind, 'committed')
  const agent = await shipped.start('agent')
  agent.child.kill('SIGSTOP')
  await inside('n1', 'nft', 'delete', 'table', 'inet', 'fairlead_service')
  t.equal((await ask(POD, DNS, 80, 40_080, SILENCE_MS)).kind, 'silent')
  t.match(await flows(`dst=${DNS} .*UNREPLIED`), { length: 1 }, 'an entry that leads nowhere')
  agent.child.kill('SIGCONT')
  await until('answered', async () => (await ask(POD, DNS, 80, 40_080, SILENCE_MS)).kind === 'answered')
  await agent.kill()
  await nftProcess.run('delete table inet guest')
})

t.test('TCP is tracked strictly unless --conntrack-tcp-be-liberal says otherwise', async (t) => {
  shipped.write(...dns(A))
  const liberal = async (): Promise<string> => (await readFile(LIBERAL, 'utf8')).trim()
  const features = async (agent: Agent) =>
    (await agent.report())!.kernel.filter(({ name }) => name === 'tcp_be_liberal')
  t.equal(await liberal(), '0')
  const strict = await shipped.start('strict')
  t.equal(await liberal(), '0', 'not touched by default')
  t.same(await features(strict), [])
  await strict.kill()
  const args = ['--conntrack-tcp-be-liberal']
  const readOnly = await shipped.start('read-only', { args, enter: READ_ONLY })
  t.equal(await liberal(), '0')
  t.match(await features(readOnly), [{ present: false, remedy: /cannot set .*tcp_be_liberal.*read-only.*sysctl -w/ }])
  await until('it says so, and goes on', () =>
    readOnly.said.some((line) => /ERROR.*strictly.*read-only.*remedy=.*sysctl -w/.test(line)),
  )
  await readOnly.kill()
  const able = await shipped.start('able', { args })
  t.equal(await liberal(), '1')
  t.match(await features(able), [{ present: true }])
  await able.kill()
  const again = await shipped.start('again', { args, enter: READ_ONLY })
  t.match(await features(again), [{ present: true }], 'it is set: nothing needs to be written')
  await writeFile(LIBERAL, '0')
})

t.test('how full conntrack is', async (t) => {
  shipped.write(...dns(A))
  const agent = await shipped.start('agent')
  for (let port = 42_000; port < 42_005; port++) await ask(POD, DNS, 80, port)
  const { entries, max } = (await agent.report())!.connections!
  t.equal(entries, Number(await inside('n1', 'conntrack', '-C')))
  t.ok(entries >= 5 && max > entries)
  t.equal(await agent.metric('fairlead_conntrack_max'), max)
  t.ok((await agent.metric('fairlead_conntrack_entries')) >= 5)
})

const LIBERAL = '/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal'
/** As in a container that is not privileged. */
const READ_ONLY = ['unshare', '--mount', 'sh', '-ec', 'mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys; exec "$@"', 'sh'] // prettier-ignore

const GOING = [
  [POD, GONE, 80],
  [OUTSIDE, NODE, 30080],
  [OUTSIDE, VIP, 80],
  [six(POD), GONE6, 80],
] as const
const FOREIGN = `table ip foreign { chain p { type nat hook prerouting priority dstnat;
  ip daddr ${NODE} udp dport 9999 dnat to ${A}:8080
}; }`

const dns = (...pods: string[]): Raw[] => [
  service('dns', [DNS], { ports: [{ port: 80, targetPort: 8080, protocol: 'UDP' }] }),
  slice('dns-1', 'dns', pods.map((pod) => endpoint(pod)), UDP), // prettier-ignore
]
const gone = (): Raw[] => [
  service(
    'gone',
    [GONE, GONE6],
    { type: 'LoadBalancer', ports: [{ port: 80, targetPort: 8080, nodePort: 30080, protocol: 'UDP' }] },
    { lb: [VIP] },
  ),
  slice('gone-1', 'gone', [endpoint(A)], UDP),
  slice('gone-6', 'gone', [endpoint(six(A))], UDP),
]

/** Until conntrack was brought behind what `act` changes. */
async function changed(agent: Agent, act: () => void): Promise<void> {
  const applied = async (): Promise<string | null | undefined> =>
    (await agent.report())!.targets.find(({ name }) => name === 'conntrack')!.appliedAt
  const before = await applied()
  act()
  await until('conntrack is behind it', async () => (await applied()) !== before)
}

/** A carrier that does these words of shell before it cleans conntrack, or whatever begins with `command`. */
function fake(name: string, words: string, command = 'conntrack stale'): string {
  const path = join(shipped.folder, name)
  writeFileSync(path, `#!/bin/sh\ncase "$*" in\n"${command}"*) ${words} ;;\nesac\nexec ${carrier} "$@"\n`)
  chmodSync(path, 0o755)
  return path
}

/** `waitMs`: where no answer is to come, or not yet. */
const ask = (from: string, to: string, port: number, fromPort = 40_000 + (port % 1000), waitMs = PATIENCE_MS) =>
  hosts.peer(from).send({ protocol: 'udp', from, to, port, fromPort, waitMs })
const SILENCE_MS = 1000

async function flows(pattern: string): Promise<string[]> {
  const all = await Promise.all(
    ['ipv4', 'ipv6'].map((family) => inside('n1', 'conntrack', '-L', '-f', family, '-p', 'udp', '-o', 'id')),
  )
  return all.flatMap((text) => text.split('\n')).filter((line) => line !== '' && new RegExp(pattern).test(line))
}

function ids(lines: readonly string[]): Set<string>
function ids(pattern: string): Promise<Set<string>>
function ids(of: string | readonly string[]): Set<string> | Promise<Set<string>> {
  if (typeof of === 'string') return flows(of).then(ids)
  return new Set(of.map((line) => /id=(\d+)/.exec(line)![1]!))
}
