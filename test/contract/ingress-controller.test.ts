/** The controller as it ships, as a process of its own: between the lab's API and a carrier of the test's. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ended, until } from '../netns/waiting.ts'
import type { FakeCarrier } from '../unit/carrier-world.ts'
import { backendObjects, CLASS, ingress, secret, tlsSecret } from './ingress-objects.ts'
import { keys, start } from './ingress-process.ts'
import { GROUPS, world } from './ingress-world.ts'
import type { Raw } from './service-objects.ts'

t.setTimeout(570_000)
t.jobs = 1

t.test('tables reach the carrier, secrets first; ready once all is acknowledged; status is written', async (t) => {
  const { carrier, call, apply, start } = await world(t)
  await apply(
    CLASS,
    ...backendObjects('x/a', ['10.0.0.1']),
    secret('x/hidden', { auth: 'nobody:Very-Secret' }),
    tlsSecret('x/cert', ['a.org']),
  )
  await apply(
    ingress('x/i', {
      paths: { 'a.org/': 'a' },
      tls: [{ hosts: ['a.org'], secretName: 'cert' }],
      annotations: { 'proxy-body-size': 'many', 'ssl-redirect': 'what' },
    }),
  )
  // Of what the carrier is told, nothing is in force until it says so.
  let holds = 'secrets'
  let refusal = ''
  carrier.answer = (table) => (table === holds ? refusal : null)
  const controller = start('--publish-status-address', '192.0.2.1')
  await until('it has begun to tell', () => carrier.lines.some((line) => line.includes('"secrets"')))
  await until('it is asked', async () => (await controller.ask('/healthz'))[0] === 200)
  t.equal((await controller.ask('/readyz'))[0], 503)
  t.notOk(
    carrier.lines.some((line) => line.includes('"proxy"')),
    'routes wait for the certificates that they mean',
  )
  holds = ''
  await carrier.stop()
  await carrier.listen()
  await until('ready', async () => (await controller.ask('/readyz'))[0] === 200)
  t.same(keys(carrier, 'secrets'), ['pair default', 'pair x/cert'])
  t.same(keys(carrier, 'proxy'), [
    ...['cluster x/a:80', 'endpoint x/a:80 10.0.0.1 8080', 'listener http', 'listener https'],
    ...['route a.org Prefix / 0 https', 'route a.org Prefix / secure', 'sni ', 'sni a.org'],
  ])
  const status = async () => (await call('GET', `${GROUPS['Ingress']}/i`))['status']
  await until(
    'status',
    async () => JSON.stringify(await status()) === '{"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]}}',
  )
  const events = async () =>
    ((await call('GET', '/api/v1/namespaces/x/events'))['items'] as Raw[]).map(({ message }) => String(message))
  await until('an Event', async () => (await events()).some((message) => message.includes('proxy-body-size')))
  holds = 'secrets'
  refusal = `${JSON.stringify({ failed: { table: 'secrets', reason: 'not now' } })}\n`
  await apply(
    tlsSecret('x/later', ['b.org']),
    ingress('x/j', { paths: { 'b.org/': 'a' }, tls: [{ hosts: ['b.org'], secretName: 'later' }] }),
  )
  const told = (text: string): number => carrier.lines.filter((line) => line.includes(text)).length
  await until('the next certificate is offered, again and again', () => told('"pair x/later",') > 2)
  t.equal(told('"certificate":"pair x/later"'), 0, 'what means it waits')
  holds = ''
  await until('is shown', () =>
    JSON.stringify(carrier.tables.get('proxy')?.rows.get('sni b.org'))?.includes('pair x/later'),
  )
  await until('all is well again', async () => {
    const { healthy, rejections } = JSON.parse((await controller.ask('/statusz'))[1]) as Raw
    return healthy && rejections.count === 2
  })
  t.match((await controller.ask('/metrics'))[1], /fairlead_target_apply_seconds_count\{target="carrier proxy"/)
  controller.child.kill('SIGTERM')
  t.equal(await ended(controller.child), 0)
  const lease = await call('GET', '/apis/coordination.k8s.io/v1/namespaces/x/leases/fairlead-ingress-leader')
  t.equal(lease['spec'].holderIdentity, '', 'the next one need not wait')
  t.notMatch(controller.said(), /Very-Secret|PRIVATE KEY|BEGIN CERTIFICATE/)
  t.equal(carrier.problem, null)
})

t.test('on trial no status is written; files instead of an API server will do', async (t) => {
  const { carrier, call, apply, start, at } = await world(t)
  await apply(CLASS, ...backendObjects('x/a', ['10.0.0.1']), ingress('x/i', { paths: { 'a.org/': 'a' } }))
  const trial = start('--publish-status-address', '192.0.2.1', '--trial')
  await until('ready', async () => (await trial.ask('/readyz'))[0] === 200)
  trial.child.kill('SIGTERM')
  t.equal(await ended(trial.child), 0)
  t.equal((await call('GET', `${GROUPS['Ingress']}/i`))['status']?.loadBalancer?.ingress, undefined)
  await t.rejects(call('GET', '/apis/coordination.k8s.io/v1/namespaces/x/leases/fairlead-ingress-leader'), /not found/)
  const objects = [CLASS, ...backendObjects('x/f', ['10.0.0.7']), tlsSecret('x/cert', ['f.org'])]
  const files = [
    ...objects,
    ingress('x/f', { paths: { 'f.org/': 'f' }, tls: [{ hosts: ['f.org'], secretName: 'cert' }] }),
  ]
  writeFileSync(join(at, 'all.json'), JSON.stringify({ apiVersion: 'v1', kind: 'List', items: files }))
  const byFiles = startFiles(t, at, carrier)
  await until('ready', async () => (await byFiles.ask('/readyz'))[0] === 200)
  t.ok(keys(carrier, 'secrets').includes('pair x/cert'))
  t.ok(keys(carrier, 'proxy').includes('endpoint x/f:80 10.0.0.7 8080'))
  byFiles.child.kill('SIGTERM')
  t.equal(await ended(byFiles.child), 0)
})

const startFiles = (t: Test, at: string, carrier: FakeCarrier) =>
  start(t, at, ['--directory', join(at, 'all.json'), '--socket', carrier.path])
