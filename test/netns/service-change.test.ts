/** Services that change while the agent runs (e2e: type changes, labels toggled, node ports released, health check node port). */
import t, { type Test } from 'tap'
import { enterWorld, inside } from './world.ts'
await enterWorld()

import { Cursor } from '../../src/core/cursor.ts'
import { exec } from '../../src/kernel/exec.ts'
import { HealthPorts } from '../../src/status/healthport.ts'
import type { HealthPort } from '../../src/service/healthports.ts'
import { asTable } from '../../src/core/table.ts'
import {
  endpoint,
  node,
  NODES as NODE_OBJECTS,
  READY,
  service,
  slice,
  TERMINATING,
  type Raw,
} from '../contract/service-objects.ts'
import { NODE, OUTSIDE, POD } from '../contract/service-room.ts'
import { Hosts } from './hosts.ts'
import { PATIENCE_MS } from './peer.ts'
import { Stage } from './stage.ts'
import { within } from './world.ts'

const hosts = new Hosts()
const [IP, OTHER, VIP, SECOND] = ['10.96.0.10', '10.96.0.11', '172.30.0.200', '172.30.0.9']
const [A1, A2, B1] = ['10.244.1.10', '10.244.1.11', '10.244.2.10'] as const
const RENUMBERED = '172.30.0.21'
const MANY = Array.from({ length: 30 }, (_, i) => 9000 + i)
t.setTimeout(570_000)
t.jobs = 1
t.teardown(() => hosts.close())

t.test('the hosts stand', { timeout: 120_000 }, async () => {
  await hosts.build([POD, OUTSIDE, SECOND, A1, A2, B1], [IP, OTHER, VIP])
  await hosts.listen([A1, A2, B1].flatMap((pod) => [`${pod}:8080`, `${pod}:9090`]))
})

t.test('ClusterIP, NodePort, LoadBalancer, ExternalName, and back', async (t) => {
  const stage = new Stage()
  await stage.put(pods())
  const types = ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName', 'LoadBalancer', 'NodePort', 'ClusterIP', 'ExternalName', 'ClusterIP'] // prettier-ignore
  for (const type of types) {
    await stage.put(web(type))
    const [cluster, port, balancer] = [type !== 'ExternalName', /^N|^L/.test(type), type === 'LoadBalancer']
    await seen(t, type, [
      [POD, IP, 80, cluster ? A1 : 'silent'],
      [OUTSIDE, NODE, 30080, port ? A1 : 'refused'], // nobody else listens there
      [OUTSIDE, VIP, 80, balancer ? A1 : 'not ours'],
    ])
  }
  await stage.close()
})

t.test('labels that make a Service somebody else’s, toggled', async (t) => {
  const stage = new Stage()
  await stage.put(pods())
  const labels = [
    { 'service.kubernetes.io/service-proxy-name': 'foo' },
    {},
    { 'service.kubernetes.io/headless': '' },
    {},
  ]
  await stage.put(web('LoadBalancer'))
  for (const each of labels) {
    await stage.put(web('LoadBalancer', {}, { labels: each }))
    const ours = Object.keys(each).length === 0
    await seen(t, JSON.stringify(each), [
      [POD, IP, 80, ours ? A1 : 'silent'],
      [OUTSIDE, NODE, 30080, ours ? A1 : 'refused'],
    ])
  }
  await stage.close()
})

t.test('a node port is released on delete, and taken by another; one number on TCP and UDP is two', async (t) => {
  const stage = new Stage()
  const ports = (protocol: string) => [{ port: 80, targetPort: 8080, nodePort: 30080, protocol }]
  const other = service('zoo', [OTHER], { type: 'NodePort', ports: ports('TCP') })
  const otherPods = slice('zoo-1', 'zoo', [endpoint(A2)])
  const udp = service('udp', ['10.96.0.12'], { type: 'NodePort', ports: ports('UDP') })
  await stage.put(
    web('NodePort'),
    pods(),
    udp,
    slice('udp-1', 'udp', [endpoint(B1)], [{ port: 9090, protocol: 'UDP' }]),
  )
  await seen(t, 'TCP and UDP', [[OUTSIDE, NODE, 30080, A1]])
  t.match(
    await hosts.peer(OUTSIDE).send({ protocol: 'udp', from: OUTSIDE, to: NODE, port: 30080, waitMs: PATIENCE_MS }),
    {
      by: `${B1}:9090`,
    },
  )
  await stage.drop(web('NodePort'))
  await seen(t, 'deleted', [[OUTSIDE, NODE, 30080, 'refused']])
  t.match(
    await hosts.peer(OUTSIDE).send({ protocol: 'udp', from: OUTSIDE, to: NODE, port: 30080, waitMs: PATIENCE_MS }),
    {
      by: `${B1}:9090`,
    },
  )
  await stage.put(other, otherPods)
  await seen(t, 'taken by another', [[OUTSIDE, NODE, 30080, A2]])
  await stage.put(web('NodePort', {}, { creationTimestamp: '2026-02-01T00:00:00Z' }))
  await seen(t, 'wanted by a younger one', [[OUTSIDE, NODE, 30080, A2], [POD, IP, 80, A1]]) // prettier-ignore
  await stage.drop(other)
  await seen(t, 'and left to it', [[OUTSIDE, NODE, 30080, A1]])
  await stage.put(web('NodePort', { ports: [{ port: 80, targetPort: 8080, nodePort: 30081 }] }))
  await seen(t, 'changed', [[OUTSIDE, NODE, 30080, 'refused'], [OUTSIDE, NODE, 30081, A1]]) // prettier-ignore
  await stage.close()
})

t.test('source ranges come, change and go', async (t) => {
  const stage = new Stage()
  await stage.put(pods())
  const steps: [readonly string[] | null, string, string][] = [
    [null, A1, A1],
    [['172.30.0.1/32'], A1, 'silent'],
    [['172.30.0.0/24'], A1, A1],
    [['172.30.0.8/29'], 'silent', A1],
    [['10.0.0.0/8', '172.0.0.0/8'], A1, A1],
    [['10.0.0.0/8', '172.30.0.1/32', '172.30.0.9/32'], A1, A1],
    [['172.30.0.9/32'], 'silent', A1],
    [['0.0.0.0/0'], A1, A1],
    [['0.0.0.0/1', '192.0.0.0/2'], 'silent', 'silent'],
    [['fd00::/8'], 'silent', 'silent'],
    [null, A1, A1],
  ]
  for (const [ranges, first, second] of steps) {
    await stage.put(web('LoadBalancer', ranges === null ? {} : { loadBalancerSourceRanges: ranges }))
    await seen(t, JSON.stringify(ranges), [[OUTSIDE, VIP, 80, first], [SECOND, VIP, 80, second], [SECOND, NODE, 30080, A1]]) // prettier-ignore
  }
  await stage.close()
})

t.test('without node ports (allocateLoadBalancerNodePorts: false), and with them again', async (t) => {
  const stage = new Stage()
  await stage.put(pods())
  for (const nodePort of [0, 30080, 0]) {
    await stage.put(
      web('LoadBalancer', { allocateLoadBalancerNodePorts: false, ports: [{ port: 80, targetPort: 8080, nodePort }] }),
    )
    const served = [...stage.room.rows().values()].filter((row) => row.kind === 'frontend').map(({ port }) => port)
    t.same(served.toSorted(), nodePort === 0 ? [80, 80] : [30080, 80, 80], 'port 0 is none')
    await seen(t, `nodePort ${nodePort}`, [[OUTSIDE, VIP, 80, A1], [OUTSIDE, NODE, 30080, nodePort === 0 ? 'refused' : A1]]) // prettier-ignore
  }
  await stage.close()
})

t.test('the node gets another address', async (t) => {
  await inside('n1', 'ip', 'addr', 'add', `${RENUMBERED}/24`, 'dev', 'eth0')
  const stage = new Stage()
  await stage.put(web('NodePort'), pods())
  await seen(t, 'before', [[OUTSIDE, NODE, 30080, A1], [OUTSIDE, RENUMBERED, 30080, 'refused']]) // prettier-ignore
  await stage.put(node('n1', [RENUMBERED, 'fd00:172:30::21'], ['10.244.1.0/24', 'fd00:10:244:1::/64'], 'zone-a'))
  await seen(t, 'after', [[OUTSIDE, NODE, 30080, 'refused'], [OUTSIDE, RENUMBERED, 30080, A1], [POD, IP, 80, A1]]) // prettier-ignore
  await stage.put(NODE_OBJECTS[0]!)
  await seen(t, 'back', [[OUTSIDE, NODE, 30080, A1], [OUTSIDE, RENUMBERED, 30080, 'refused']]) // prettier-ignore
  await stage.close()
})

t.test('more and fewer ports, and endpoints, than a set holds exactly', async (t) => {
  const stage = new Stage()
  const crowd = (count: number): Raw[] =>
    MANY.slice(0, count / 10).map((port, i) => slice(`web-${i}`, 'web', Array.from({ length: 10 }, (_, j) => endpoint(`10.244.9.${i * 10 + j}`)), [{ port }])) // prettier-ignore
  for (const count of [0, 120, 130, 250, 130, 120, 10, 0]) {
    stage.room.drop(...crowd(300))
    await stage.put(web('LoadBalancer'), ...crowd(count))
    const frontend = [...stage.room.rows().values()].find((row) => row.kind === 'frontend')!
    t.ok(frontend.slots >= count, `${count} endpoints, ${frontend.slots} slots: loaded as audited`)
  }
  await stage.put(pods())
  await seen(t, 'and at the end', [[POD, IP, 80, A1], [OUTSIDE, VIP, 80, A1]]) // prettier-ignore
  await stage.close()
})

t.test('the health check node port, asked from outside', async (t) => {
  const stage = new Stage()
  let healthy = true
  const ports = new HealthPorts(() => healthy)
  const table = asTable<HealthPort>(stage.room.services.health)
  const cursor = new Cursor(table, stage.room.graph.epoch)
  const local = (port: number): Raw =>
    web('LoadBalancer', { externalTrafficPolicy: 'Local', healthCheckNodePort: port })
  const check = async (port = 32000): Promise<{ code: number; body?: unknown }> => {
    const delta = cursor.take()
    if (delta !== null) cursor.landed(await ports.apply(delta))
    const url = `http://${NODE}:${port}/`
    const result = await exec([
      ...within('outside'),
      'curl',
      '-s',
      '-m',
      '20',
      '-w',
      '\n%{http_code}',
      url,
    ] as unknown as readonly [string])
    if (result.kind !== 'done') return { code: 0 }
    const lines = result.stdout.split('\n')
    return { code: Number(lines.at(-1)), body: JSON.parse(lines.slice(0, -1).join('\n')) }
  }
  const service = { namespace: 'shop', name: 'web' }
  await stage.put(local(32000), pods())
  t.same(await check(), { code: 200, body: { service, localEndpoints: 1, serviceProxyHealthy: true } })
  await stage.put(slice('web-1', 'web', [endpoint(A1), endpoint(A2), endpoint(B1)]))
  t.match(await check(), { code: 200, body: { localEndpoints: 2 } })
  healthy = false
  t.match(await check(), { code: 503, body: { localEndpoints: 2, serviceProxyHealthy: false } })
  healthy = true
  await stage.put(slice('web-1', 'web', [endpoint(A1, TERMINATING), endpoint(B1, READY)]))
  t.match(await check(), { code: 503, body: { localEndpoints: 0 } }, 'only terminating here')
  await seen(t, 'which still serve', [[OUTSIDE, VIP, 80, A1], [OUTSIDE, NODE, 30080, A1]]) // prettier-ignore
  await stage.put(slice('web-1', 'web', [endpoint(B1)]))
  t.match(await check(), { code: 503 })
  await stage.put(local(32001), pods())
  t.match(await check(32001), { code: 200 }, 'another port')
  t.same(await check(), { code: 0 }, 'and not the old one')
  await stage.put(web('LoadBalancer'))
  t.same(await check(32001), { code: 0 }, 'Cluster policy: nobody is to ask')
  await stage.put(local(32000))
  t.match(await check(), { code: 200 })
  await stage.drop(local(32000))
  t.same(await check(), { code: 0 }, 'the port does not outlive the Service')
  await ports.cleanup()
  await stage.close()
})

function web(type: string, spec: Raw = {}, metadata: Raw = {}): Raw {
  const ports = [{ port: 80, targetPort: 8080, ...(/^[NL]/.test(type) && { nodePort: 30080 }) }]
  const own = type === 'ExternalName' ? { externalName: 'example.org', clusterIP: undefined } : {}
  const lb = type === 'LoadBalancer' ? [VIP] : []
  return service('web', type === 'ExternalName' ? [] : [IP], { type, ports, ...own, ...spec }, { lb, ...metadata })
}

const pods = (): Raw => slice('web-1', 'web', [endpoint(A1)])

/** How long nobody answers, where nobody is to. */
const WAITS_MS: Readonly<Record<string, number>> = { silent: 300, 'not ours': 3000 }

/** `who`: the pod that must answer, or what must happen instead. */
async function seen(
  t: Test,
  what: string,
  packets: readonly (readonly [string, string, number, string])[],
): Promise<void> {
  for (const [from, to, port, who] of packets) {
    const answer = await hosts
      .peer(from)
      .send({ protocol: 'tcp', from, to, port, waitMs: WAITS_MS[who] ?? PATIENCE_MS })
    const got = answer.kind === 'answered' ? answer.by.replace(/:\d+$/, '') : answer.kind
    if (who === 'not ours') t.not(answer.kind, 'answered', `${what}: ${from} -> ${to}:${port}`)
    else t.equal(got, who, `${what}: ${from} -> ${to}:${port}`)
  }
}
