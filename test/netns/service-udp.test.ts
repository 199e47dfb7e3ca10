/** UDP flows and conntrack on a real kernel: what is stale goes, what is healthy stays (kubernetes issues 48370, 122740, 139628, 129982). */
import t from 'tap'
import { enterWorld, inside } from './world.ts'
await enterWorld()

import { nftProcess } from '../../src/kernel/nft.ts'
import { endpoint, GONE, READY, service, slice, TERMINATING, UNREADY, type Raw } from '../contract/service-objects.ts'
import { NODE, OUTSIDE, OUTSIDE6, POD, POD6 } from '../contract/service-room.ts'
import { Hosts } from './hosts.ts'
import { PATIENCE_MS, type Answer } from './peer.ts'
import { Stage } from './stage.ts'
import { six } from './topology.ts'

const hosts = new Hosts()
const [IP, OTHER, VIP] = ['10.96.0.10', '10.96.0.11', '172.30.0.200']
const [IP6, VIP6] = ['fd00:10:96::10', 'fd00:172:30::200']
const [A1, A2, B1] = ['10.244.1.10', '10.244.1.11', '10.244.2.10'] as const
const PORTS = [{ port: 80, targetPort: 8080, nodePort: 30080, protocol: 'UDP' }]
const EVERYWHERE = [
  [POD, IP, 80],
  [OUTSIDE, IP, 80],
  [POD, NODE, 30080],
  [OUTSIDE, NODE, 30080],
  [OUTSIDE, VIP, 80],
] as const
t.setTimeout(570_000)
t.jobs = 1
t.teardown(() => hosts.close())

t.test('the hosts stand', { timeout: 120_000 }, async () => {
  await hosts.build([POD, OUTSIDE, A1, A2, B1], [IP, OTHER, VIP, IP6, VIP6])
  await hosts.listen([A1, A2, B1].flatMap((pod) => [`${pod}:8080`, `${pod}:9090`]))
  // Flows do not end by themselves while a test counts them.
  await inside('n1', 'sysctl', '-qw', 'net.netfilter.nf_conntrack_udp_timeout=600')
})

t.test('entries made before the Service existed do not keep clients from it', async (t) => {
  // Connections are tracked as soon as anybody's rules ask for it.
  const guest = 'table inet guest { chain c { type filter hook forward priority 0; ct state established accept; }; }'
  t.equal((await nftProcess.run(guest)).kind, 'committed')
  t.equal((await ask(POD, IP, 80, 40_080, SILENCE_MS)).kind, 'silent')
  t.match(await flows('dst=10.96.0.10 .*UNREPLIED'), { length: 1 }, 'an entry that leads nowhere')
  const stage = new Stage()
  t.equal((await ask(POD, VIP, 80, 40_080, SILENCE_MS)).kind, 'silent')
  await stage.put(web(), pods([A1]))
  t.match(await ask(POD, IP, 80), { by: `${A1}:8080` }, 'known when the agent started: the ClusterIP')
  t.match(await ask(POD, VIP, 80), { by: `${A1}:8080` }, 'and the load balancer address')
  // The same for addresses that come while the agent runs.
  await stage.drop(web())
  await forget()
  t.equal((await ask(OUTSIDE, VIP, 80, 40_080, SILENCE_MS)).kind, 'silent')
  t.match(await flows('dst=172.30.0.200 .*UNREPLIED'), { length: 1 })
  await stage.put(web())
  t.match(await ask(OUTSIDE, VIP, 80), { by: `${A1}:8080` })
  await stage.close()
})

t.test('initially unready endpoints: refused without an entry, then served', async (t) => {
  const stage = new Stage()
  await forget()
  await stage.put(web(), pods([A1], UNREADY))
  for (const [from, to, port] of EVERYWHERE) t.equal((await ask(from, to, port)).kind, 'refused', `${from} -> ${to}`)
  t.same(await flows(' dport=(80|30080) '), [], 'nothing that is refused leaves an entry')
  await stage.put(pods([A1], READY))
  for (const [from, to, port] of EVERYWHERE) t.match(await ask(from, to, port), { by: `${A1}:8080` })
  await stage.close()
})

t.test('flows follow when their endpoint goes, on every address; so do those of IPv6', async (t) => {
  const stage = new Stage()
  const served = [...EVERYWHERE, [POD6, IP6, 80], [OUTSIDE6, VIP6, 80]] as const
  const at = (pod: string): Raw[] => [pods([pod]), pods([six(pod)], READY, 'web-6')]
  await stage.put(web(), ...at(A1))
  for (const pod of [A2, B1, A1]) {
    await stage.put(...at(pod))
    for (const [from, to, port] of served) {
      const by = from.includes(':') ? `[${six(pod)}]:8080` : `${pod}:8080`
      t.match(await ask(from, to, port), { by }, `${from} -> ${to}: ${by}`)
    }
  }
  t.equal(stage.deleted, served.length, 'as many entries went as there were flows')
  await stage.close()
})

t.test('internalTrafficPolicy Local: follows among the endpoints here', async (t) => {
  const stage = new Stage()
  const local = web({ internalTrafficPolicy: 'Local' })
  await stage.put(local, pods([A1, B1]))
  t.match(await ask(POD, IP, 80), { by: `${A1}:8080` })
  await stage.put(pods([A2, B1]))
  t.match(await ask(POD, IP, 80), { by: `${A2}:8080` })
  await stage.put(pods([B1]))
  t.equal((await ask(POD, IP, 80, 40_080, SILENCE_MS)).kind, 'silent', 'none here: dropped')
  t.same(await flows('dst=10.96.0.10 '), [], 'and no entry')
  await stage.put(pods([A1, B1]))
  t.match(await ask(POD, IP, 80), { by: `${A1}:8080` })
  await stage.close()
})

t.test('a flow stays with its endpoint for as long as that serves, and no longer', async (t) => {
  const served = [...EVERYWHERE, [POD6, IP6, 80], [OUTSIDE6, VIP6, 80]] as const
  const by = (from: string, pod: string) => (from.includes(':') ? `[${six(pod)}]:8080` : `${pod}:8080`)
  /** `port`: the client's. */
  const all = async (pod: string, port: number, why: string): Promise<void> => {
    for (const [from, to, at] of served) {
      t.match(await ask(from, to, at, port), { by: by(from, pod) }, `${why}: ${from} -> ${to}`)
    }
  }
  const stage = new Stage()
  const put = async (...endpoints: [string, Raw, Raw?][]): Promise<void> => {
    const of = (name: string, address: (pod: string) => string) =>
      slice(name, 'web', endpoints.map(([pod, ...how]) => endpoint(address(pod), ...how)), [{ port: 8080, protocol: 'UDP' }]) // prettier-ignore
    await stage.put(
      of('web-1', (pod) => pod),
      of('web-6', six),
    )
  }
  await forget()
  await stage.put(web())
  await put([B1, READY])
  await all(B1, 42_000, 'it begins')
  await put([B1, TERMINATING], [A1, READY])
  await all(B1, 42_000, 'it terminates and serves')
  await all(A1, 42_001, 'a flow that begins now')
  t.equal(stage.deleted, 0)
  await put([B1, GONE], [A1, READY])
  await all(A1, 42_000, 'it serves no more')
  t.equal(stage.deleted, served.length, 'those to it, and no other')
  // Topology and policy decide about new flows.
  const hint = (name: string): Raw => ({ hints: { forZones: [{ name }] } })
  await put([A1, READY, hint('zone-b')], [A2, READY, hint('zone-a')])
  await all(A1, 42_000, 'left to another zone')
  await all(A2, 42_002, 'left to another zone, a flow that begins now')
  await put([B1, READY])
  await all(B1, 42_003, 'one elsewhere')
  await put([B1, READY], [A1, READY])
  await stage.put(web({ internalTrafficPolicy: 'Local', externalTrafficPolicy: 'Local' }))
  t.equal(stage.deleted, 0)
  await all(B1, 42_003, 'only what is here, by policy')
  await put([A1, READY])
  t.ok(stage.deleted >= served.length)
  await all(A1, 42_003, 'gone, and in no slot before')
  await stage.close()
})

t.test('a deleted Service, and a port that it has no more', async (t) => {
  const stage = new Stage()
  const two = [...PORTS, { name: 'second', port: 90, targetPort: 9090, nodePort: 30090, protocol: 'UDP' }]
  const slices = pods([A1], READY, 'web-1', [{ port: 8080, protocol: 'UDP' }, { name: 'second', port: 9090, protocol: 'UDP' }]) // prettier-ignore
  await stage.put(web({ ports: two }), slices)
  for (const port of [80, 90]) t.equal((await ask(POD, IP, port)).kind, 'answered')
  await stage.put(web())
  t.equal((await ask(POD, IP, 80)).kind, 'answered')
  t.equal((await ask(POD, IP, 90)).kind, 'refused', 'the port went, and its flow')
  t.equal(stage.deleted, 1)
  for (const [from, to, port] of EVERYWHERE) t.equal((await ask(from, to, port)).kind, 'answered')
  await stage.drop(web())
  t.same(await flows('dport=8080|src=10.244.1.10 '), [], 'no flow of the Service is left')
  t.equal((await ask(POD, IP, 80, 40_080, SILENCE_MS)).kind, 'silent', 'and the address is nobody’s')
  await stage.close()
})

t.test('healthy flows are left alone, of this Service and of others', async (t) => {
  const stage = new Stage()
  const other = service('other', [OTHER], { ports: [{ port: 80, targetPort: 9090, protocol: 'UDP' }] })
  const otherPods = slice('other-1', 'other', [endpoint(A1)], [{ port: 9090, protocol: 'UDP' }])
  await forget()
  await stage.put(web(), pods([A1, A2, B1]), other, otherPods)
  const ports = Array.from({ length: 30 }, (_, i) => 41_000 + i)
  const answers = await Promise.all(ports.map((port) => ask(POD, IP, 80, port)))
  await Promise.all(ports.map((port) => ask(POD, OTHER, 80, port)))
  const before = await ids()
  const stale = answers.filter((answer) => answer.kind === 'answered' && answer.by === `${A1}:8080`).length
  t.equal(before.size, 60)
  t.ok(stale > 0 && stale < 30)
  for (const hosts of [[A1, A2, B1], [B1, A2, A1]]) await stage.put(pods(hosts)) // prettier-ignore
  t.same(await ids(), before, 'nothing changed: nothing goes')
  await stage.put(web({ sessionAffinity: 'ClientIP' }))
  await stage.put(web())
  await stage.reload()
  t.same(await ids(), before, 'affinity, and a full load: nothing goes')
  await stage.put(pods([A2, B1]))
  t.equal(stage.deleted, stale)
  const after = await ids()
  t.equal(after.size, 60 - stale)
  t.ok(after.isSubsetOf(before), 'those that stay are the same entries')
  await stage.put(pods([A1, A2, B1]))
  await stage.drop(web())
  t.equal((await ids()).size, 30, 'the other Service keeps all of its flows')
  await stage.close()
})

function web(more: Raw = {}): Raw {
  return service('web', [IP, IP6], { type: 'LoadBalancer', ports: PORTS, ...more }, { lb: [VIP, VIP6] })
}

function pods(
  addresses: readonly string[],
  state: Raw = READY,
  name = 'web-1',
  ports: Raw[] = [{ port: 8080, protocol: 'UDP' }],
): Raw {
  return slice(
    name,
    'web',
    addresses.map((pod) => endpoint(pod, state)),
    ports,
  )
}

/** Always from one port unless told, so that conntrack takes all for one flow. */
const ask = (
  from: string,
  to: string,
  port: number,
  fromPort = 40_000 + (port % 1000),
  waitMs = PATIENCE_MS,
): Promise<Answer> => hosts.peer(from).send({ protocol: 'udp', from, to, port, fromPort, waitMs })
const SILENCE_MS = 400

async function flows(pattern: string): Promise<string[]> {
  const all = await Promise.all(
    ['ipv4', 'ipv6'].map((family) => inside('n1', 'conntrack', '-L', '-f', family, '-p', 'udp', '-o', 'id')),
  )
  return all
    .join('\n')
    .split('\n')
    .filter((line) => new RegExp(pattern).test(line))
}

/** Of the flows to ClusterIPs. */
const ids = async (): Promise<Set<string>> =>
  new Set((await flows('dst=10.96.')).map((line) => /id=(\d+)/.exec(line)![1]!))

const forget = (): Promise<unknown> => inside('n1', 'conntrack', '-F')
