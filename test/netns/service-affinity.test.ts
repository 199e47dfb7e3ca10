/** Session affinity on a real kernel: e2e `session affinity should work / switch / time out`, and what must not come of it. */
import t from 'tap'
import { enterWorld, inside } from './world.ts'
await enterWorld()

import { nftProcess } from '../../src/kernel/nft.ts'
import { endpoint, READY, service, slice, UNREADY, type Raw } from '../contract/service-objects.ts'
import { NODE, NODE6, OUTSIDE, OUTSIDE6, POD, POD6 } from '../contract/service-room.ts'
import { Hosts } from './hosts.ts'
import { PATIENCE_MS } from './peer.ts'
import { targetName } from './target.ts'
import { Stage } from './stage.ts'
import { until } from './waiting.ts'
import { six } from './topology.ts'

const hosts = new Hosts()
const IP = '10.96.0.10'
const IP6 = 'fd00:10:96::10'
const VIP = '172.30.0.200'
const VIP6 = 'fd00:172:30::200'
const PODS = ['10.244.1.10', '10.244.1.11', '10.244.2.10', '10.244.2.11'] as const
const CLIENTS = Array.from({ length: 24 }, (_, i) => `203.0.113.${i + 1}`)
t.setTimeout(570_000)
t.jobs = 1
t.teardown(() => hosts.close())

t.test('the hosts stand', { timeout: 120_000 }, async () => {
  await hosts.build([POD, OUTSIDE, ...PODS, ...CLIENTS], [IP, IP6, VIP, VIP6])
  const ports = [8080, ...Array.from({ length: 50 }, (_, i) => 9000 + i)]
  await hosts.listen(PODS.flatMap((pod) => ports.map((port) => `${pod}:${port}`)))
})

t.test('one memory for the ClusterIP, the node port and the load balancer address', async (t) => {
  const stage = new Stage()
  await stage.put(sticky(), pods())
  const endpoints = new Set<string>()
  for (const client of CLIENTS.slice(0, 12)) {
    const answers = await asks(client, [IP, 80], 7)
    answers.push(...(await asks(client, [NODE, 30080], 7)), ...(await asks(client, [VIP, 80], 6)))
    t.equal(new Set(answers).size, 1, `${client}: ${answers.length} connections, one endpoint`)
    endpoints.add(answers[0]!)
  }
  t.ok(endpoints.size > 1, 'and not all clients the same one')
  for (const client of [POD, NODE])
    t.equal(new Set([...(await asks(client, [IP, 80], 10)), ...(await asks(client, [NODE, 30080], 10))]).size, 1)
  await stage.close()
})

t.test('IPv6', async (t) => {
  const stage = new Stage()
  await stage.put(sticky(), slice('web-6', 'web', PODS.map((pod) => endpoint(six(pod))))) // prettier-ignore
  for (const client of [OUTSIDE6, POD6, NODE6]) {
    const answers = await asks(client, [IP6, 80], 8)
    answers.push(...(await asks(client, [NODE6, 30080], 8)), ...(await asks(client, [VIP6, 80], 8)))
    t.equal(new Set(answers).size, 1, client)
  }
  await stage.close()
})

t.test('switched on and off while running', async (t) => {
  const stage = new Stage()
  for (let round = 0; round < 2; round++) {
    await stage.put(sticky({ sessionAffinity: 'None' }), pods())
    t.ok(new Set(await asks(POD, [IP, 80], 40)).size > 1, 'off: spread')
    await stage.put(sticky())
    t.equal(new Set(await asks(POD, [IP, 80], 20)).size, 1, 'on: one')
  }
  await stage.close()
})

t.test('it is forgotten after the timeout, and each new connection begins it anew', { timeout: 240_000 }, async (t) => {
  const stage = new Stage()
  await stage.put(sticky(timeout(1)), pods())
  const [first] = await asks(OUTSIDE, [IP, 80], 1)
  await until('another endpoint, when it was forgotten', async () => {
    await until('it is forgotten', async () => (await remembered(OUTSIDE)) === null)
    return (await asks(OUTSIDE, [IP, 80], 1))[0] !== first
  })
  await stage.put(sticky(timeout(3600)))
  await asks(OUTSIDE, [IP, 80], 1)
  const begun = await remembered(OUTSIDE)
  t.ok(begun! > 1_000_000, `a new connection has the new timeout: ${begun}`)
  await until('some of it has passed', async () => (await remembered(OUTSIDE))! < begun! - 200)
  const before = (await remembered(OUTSIDE))!
  // ipset tells whole seconds, and they pass: what began anew may be read when its first one is over.
  await until(`more than ${before} ms left, after another connection`, async () => {
    await asks(OUTSIDE, [VIP, 80], 1)
    return (await remembered(OUTSIDE))! > before
  })
  await stage.close()
})

t.test('an endpoint that is not ready any more lets go of its clients, others keep theirs', async (t) => {
  const stage = new Stage()
  await stage.put(sticky(), pods())
  const before = await byClient()
  const gone = before.get(CLIENTS[0]!)!
  const others = PODS.map((pod) => endpoint(pod, gone.startsWith(`${pod}:`) ? UNREADY : READY))
  await stage.put(slice('web-1', 'web', others))
  const after = await byClient()
  for (const client of CLIENTS) {
    if (before.get(client) === gone) t.not(after.get(client), gone, `${client} moves`)
    else t.equal(after.get(client), before.get(client), `${client} stays`)
  }
  await stage.put(pods())
  t.same(await byClient(), after, 'nobody moves when it comes back')
  await stage.reload()
  t.same(await byClient(), after, 'nor when everything is loaded anew')
  await stage.close()
})

t.test('externalTrafficPolicy Local: outside sticks to an endpoint here, pods to any', async (t) => {
  const stage = new Stage()
  await stage.put(sticky({ externalTrafficPolicy: 'Local' }), pods())
  for (const client of CLIENTS.slice(0, 4)) {
    const answers = [...(await asks(client, [NODE, 30080], 10)), ...(await asks(client, [VIP, 80], 10))]
    t.equal(new Set(answers).size, 1, client)
    t.match(answers[0], /^10\.244\.1\./)
  }
  for (const address of [
    [NODE, 30080],
    [VIP, 80],
    [IP, 80],
  ] as const)
    // prettier-ignore
    t.equal(new Set(await asks(POD, address, 20)).size, 1)
  await stage.close()
})

t.test('more endpoints than one exact set: 200', async (t) => {
  const stage = new Stage()
  const slices = Array.from({ length: 50 }, (_, i) =>
    slice(
      `web-${i}`,
      'web',
      PODS.map((pod) => endpoint(pod)),
      [{ port: 9000 + i }],
    ),
  )
  await stage.put(sticky(), ...slices)
  const before = await byClient()
  t.ok(new Set(before.values()).size > 12, `${new Set(before.values()).size} endpoints for 24 clients`)
  t.same(await byClient([VIP, 80]), before)
  const lost = Number(before.get(CLIENTS[0]!)!.split(':')[1])
  await stage.drop(slices[lost - 9000]!)
  const after = await byClient()
  for (const client of CLIENTS) {
    if (before.get(client)!.endsWith(`:${lost}`)) t.notMatch(after.get(client), new RegExp(`:${lost}$`))
    else t.equal(after.get(client), before.get(client), `${client} stays`)
  }
  await stage.close()
})

t.test('the mark is as it was: 0, or what somebody else put there, who then gets affinity by a hash', async (t) => {
  const stage = new Stage()
  await stage.put(sticky(), pods())
  t.equal((await nftProcess.run(WATCH)).kind, 'committed')
  const counted = async (): Promise<Record<string, number>> => {
    const listing = await inside('n1', 'nft', 'list', 'table', 'inet', 'watch')
    return Object.fromEntries(
      [...listing.matchAll(/packets (\d+) bytes \d+ (?:return )?comment "(\w+)"/g)].map((m) => [m[2], Number(m[1])]),
    )
  }
  t.equal(new Set(await asks(POD, [IP, 80], 20)).size, 1)
  t.match(await counted(), { forward_other: 0, after_other: 0, forward_ours: 0 }, 'a pod: no mark, no masquerade')
  t.ok((await counted())['forward_zero']! > 0, 'and they passed by')
  t.equal(new Set(await asks(CLIENTS[0]!, [IP, 80], 20)).size, 1)
  const plain = await counted()
  t.match(plain, { forward_other: 0, after_other: 0 }, 'from outside: at most the masquerade bit, and not after that')
  t.ok(plain['forward_ours']! > 0, 'which was seen')
  for (const client of CLIENTS.slice(1, 9))
    t.equal(new Set(await asks(client, [IP, 80], 10)).size, 1, `marked ${client}`)
  const marked = await counted()
  t.ok(marked['forward_marked_ours']! >= 80, `the other mark and the masquerade bit: ${marked['forward_marked_ours']}`)
  t.ok(marked['after_marked']! >= 80, 'the other mark alone, after that')
  t.match(marked, { forward_other: 0, after_other: 0 })
  t.equal(marked['priority'], 0, 'no packet is forwarded with the identity as its priority')
  await inside('n1', 'nft', 'delete', 'table', 'inet', 'watch')
  await stage.close()
})

const WATCH = `table inet watch {
  chain marking { type filter hook prerouting priority -150; ip saddr 203.0.113.2-203.0.113.9 meta mark set 0x55; }
  chain passing {
    type filter hook forward priority 0;
    tcp flags & (syn | ack) != syn return
    meta priority != 0 counter comment "priority"
    meta mark 0 counter return comment "forward_zero"
    meta mark 0x4000 counter return comment "forward_ours"
    meta mark 0x4055 counter return comment "forward_marked_ours"
    counter comment "forward_other"
  }
  chain leaving {
    type filter hook postrouting priority 200;
    tcp flags & (syn | ack) != syn return
    meta mark 0 counter return comment "after_zero"
    meta mark 0x55 counter return comment "after_marked"
    counter comment "after_other"
  }
}`

function sticky(more: Raw = {}): Raw {
  return service(
    'web',
    [IP, IP6],
    {
      ...{ type: 'LoadBalancer', ports: [{ port: 80, targetPort: 8080, nodePort: 30080 }] },
      ...{ sessionAffinity: 'ClientIP', ...more },
    },
    { lb: [VIP, VIP6] },
  )
}

const timeout = (seconds: number): Raw => ({ sessionAffinityConfig: { clientIP: { timeoutSeconds: seconds } } })
const pods = (): Raw =>
  slice(
    'web-1',
    'web',
    PODS.map((pod) => endpoint(pod)),
  )

/** Who answered, `times` times in a row. */
async function asks(from: string, [to, port]: readonly [string, number], times: number): Promise<string[]> {
  const answers: string[] = []
  for (let i = 0; i < times; i++) {
    const answer = await hosts.peer(from).send({ protocol: 'tcp', from, to, port, waitMs: PATIENCE_MS })
    answers.push(answer.kind === 'answered' ? answer.by : answer.kind)
  }
  return answers
}

async function byClient(to: readonly [string, number] = [IP, 80]): Promise<Map<string, string>> {
  return new Map(await Promise.all(CLIENTS.map(async (client) => [client, (await asks(client, to, 1))[0]!] as const)))
}

/** For how many ms more the kernel remembers a client; null: not at all. */
async function remembered(client: string): Promise<number | null> {
  if (targetName !== 'nftables') {
    const sets = await inside('n1', 'ipset', 'list')
    const seconds = new RegExp(`^${client.replaceAll('.', '\\.')} timeout (\\d+)$`, 'm').exec(sets)
    return seconds === null ? null : Number(seconds[1]) * 1000
  }
  const listing = await inside('n1', 'nft', 'list', 'map', 'inet', 'fairlead_service', 'affinity4')
  const found = new RegExp(`\\. ${client.replaceAll('.', '\\.')} .*?expires (\\S+) :`).exec(listing)
  if (found === null) return null
  const units = { d: 86_400_000, h: 3_600_000, m: 60_000, s: 1_000, ms: 1 } as const
  return [...found[1]!.matchAll(/(\d+)(ms|[dhms])/g)].reduce(
    (sum, [, count, unit]) => sum + Number(count) * units[unit as keyof typeof units],
    0,
  )
}
