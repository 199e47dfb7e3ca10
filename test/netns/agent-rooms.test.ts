/** An agent does what it is told, and nothing else: each room has its switch, beside the programs of others. */
import t from 'tap'
import { enterWorld, inside } from './world.ts'
await enterWorld()

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { endpoint, service, slice } from '../contract/service-objects.ts'
import { Hosts } from './hosts.ts'
import { PATIENCE_MS } from './peer.ts'
import { Shipped } from './shipped.ts'
import { until } from './waiting.ts'

const [A, B, OUTSIDE] = ['10.244.1.10', '10.244.2.10', '172.30.0.1'] as const
const IP = '10.96.0.10'
const hosts = new Hosts()
const shipped = new Shipped()
const CONF = join(shipped.folder, 'net.d')
t.setTimeout(570_000)
t.jobs = 1
t.teardown(() => {
  hosts.close()
  shipped.close()
})

const ours = async (): Promise<string> => {
  const tables = await inside('n1', 'nft', 'list', 'tables')
  return [...tables.matchAll(/fairlead_\w+/g)]
    .map(([name]) => name)
    .sort()
    .join(' ')
}
const answers = async (waitMs = PATIENCE_MS): Promise<boolean> =>
  (await hosts.peer(A).send({ protocol: 'tcp', from: A, to: IP, port: 80, waitMs })).kind === 'answered'

t.test('the hosts stand', async () => {
  await hosts.build([A, B, OUTSIDE], [IP])
  await hosts.listen([`${B}:8080`, `${OUTSIDE}:8080`])
  shipped.write(service('web', [IP], { healthCheckNodePort: 0 }), slice('web-1', 'web', [endpoint(B)]))
  mkdirSync(CONF)
  writeFileSync(join(CONF, '10-calico.conflist'), '{"name":"calico"}')
})

t.test('services only, beside the network of somebody else', async (t) => {
  await shipped.start('proxy')
  t.equal(await ours(), 'fairlead_service')
  t.ok(await answers())
  t.strictSame(readdirSync(CONF), ['10-calico.conflist'])
  await shipped.kill()
})

t.test('the network only, beside the services of somebody else: those we had go', async (t) => {
  const agent = shipped.begin('network', {
    args: ['--mode', 'none', '--masquerade', '--forwarding', '--cni-conf-dir', CONF],
  })
  await agent.settled('no services', 'masquerade', 'forwarding', 'forward', 'conflist')
  t.equal(await ours(), 'fairlead_egress')
  t.notOk(await answers(1500))
  const answer = await hosts.peer(A).send({ protocol: 'tcp', from: A, to: OUTSIDE, port: 8080, waitMs: PATIENCE_MS })
  t.match(answer, { kind: 'answered', seen: '172.30.0.11' })
  t.ok(existsSync(join(CONF, '10-fairlead.conflist')))
  t.equal(readFileSync(join(CONF, '10-calico.conflist'), 'utf8'), '{"name":"calico"}')
  await inside('n1', 'nft', 'flush', 'ruleset')
  await until('as before', async () => (await ours()) === 'fairlead_egress')
  await shipped.kill()
})

t.test('and back: services again, what is switched off goes', async (t) => {
  await shipped.start('proxy again')
  t.equal(await ours(), 'fairlead_service')
  t.ok(await answers())
})
