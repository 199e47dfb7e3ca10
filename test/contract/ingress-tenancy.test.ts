/** Certificates of a namespace are ordered by one ingress: another one is refused there, and says so. */
import t from 'tap'
import type { Rejection } from '../../src/cluster/rejection.ts'
import { InputTable } from '../../src/core/table.ts'
import { Tenancy } from '../../src/ingress/acme/tenancy.ts'
import { until } from '../netns/waiting.ts'
import { CLASS } from './ingress-objects.ts'
import { world } from './ingress-world.ts'
import type { Raw } from './service-objects.ts'

t.setTimeout(570_000)
t.jobs = 1

t.test('who orders certificates in a namespace', async (t) => {
  const { connection, call } = await world(t)
  const holder = async (): Promise<string> => (await call('GET', LEASE))['spec'].holderIdentity
  const ingress = (election: string) => {
    const refused = new InputTable<Rejection>('refused')
    const state = { isOurs: false, looks: 0, mayEnd: Promise.resolve() }
    const tenancy = new Tenancy({
      ...{ namespace: 'x', election, refused, object: `Pod x/${election}` },
      // Time passes for nobody: no Lease lapses while the machine is busy.
      ...{ times: { leaseMs: 15_000, renewMs: 10_000, retryMs: 5 }, now: () => 0 },
      connection: {
        ...connection,
        request: (path, options) => (state.looks++, connection.request(path, options)),
      },
      onChange: async (isOurs) => {
        if (!isOurs) await state.mayEnd
        state.isOurs = isOurs
      },
      onProblem: (problem) => t.fail(problem),
    })
    t.teardown(() => tenancy.lead(false))
    return { tenancy, state, refused }
  }
  const [first, second, other] = [ingress('a'), ingress('a'), ingress('b')]
  await first.tenancy.lead(true)
  await until('the first has it', () => first.state.isOurs)
  await other.tenancy.lead(true)
  await until('the other one is told', () => other.refused.size === 1)
  t.match(other.refused.get('tenancy'), {
    object: 'Pod x/b',
    problem: /that of --election-id a, orders certificates in namespace x; this one \(b\) orders none/,
    remedy: /namespace of its own/,
  })
  await second.tenancy.lead(true)
  await until('the next leader of the same has it at once', () => second.state.isOurs)
  t.equal(other.state.isOurs, false)
  await other.tenancy.lead(false)
  t.equal(other.refused.size, 0, 'who does not lead has nothing to complain of')
  t.equal(await holder(), 'a')
  await second.tenancy.lead(false)
  await until('the first has it again', async () => (await holder()) === 'a')
  await other.tenancy.lead(true)
  await until('the other one is told again', () => other.refused.size === 1)

  const end = Promise.withResolvers<void>()
  first.state.mayEnd = end.promise
  const ended = first.tenancy.lead(false)
  const { looks } = other.state
  await until('the other one has asked again', () => other.state.looks > looks + 4)
  t.equal(other.state.isOurs, false, 'not before what was begun has ended')
  end.resolve()
  await ended
  await until('then it is', () => other.state.isOurs)
  t.equal(await holder(), 'b')
  t.equal(other.refused.size, 0)
})

t.test('a controller that is refused says so in status, as a metric and in an Event', async (t) => {
  const { call, apply, start } = await world(t)
  await apply(CLASS)
  const lease = {
    apiVersion: 'coordination.k8s.io/v1',
    kind: 'Lease',
    metadata: { namespace: 'x', name: 'fairlead-acme' },
  }
  await call('POST', LEASE.slice(0, LEASE.lastIndexOf('/')), { ...lease, spec: { holderIdentity: 'other' } })
  let renewals = 0
  const renew = (): Promise<Raw> => call('PATCH', LEASE, { spec: { renewTime: `renewal ${renewals++}` } })
  const controller = start('--acme-directory', 'https://127.0.0.1:1/directory', '--publish-status-address', '192.0.2.1')
  const told = /another ingress, that of --election-id other, orders certificates in namespace x/
  await until('status', async () => {
    await renew()
    return told.test((await controller.ask('/statusz'))[1])
  })
  await until('a metric', async () => {
    await renew()
    const line = 'fairlead_rejected{object="Pod x/pod",field="--acme-directory"} 1'
    return (await controller.ask('/metrics'))[1].includes(line)
  })
  await until('an Event', async () => {
    await renew()
    const events: Raw[] = (await call('GET', '/api/v1/namespaces/x/events'))['items']
    return events.some(({ involvedObject, message }) => involvedObject.name === 'pod' && told.test(message))
  })
  await call('DELETE', LEASE)
  await until('it orders once the other one is gone', async () => (await call('GET', LEASE).catch(() => null)) !== null)
  await until('and says nothing any more', async () => !told.test((await controller.ask('/statusz'))[1]))
})

const LEASE = '/apis/coordination.k8s.io/v1/namespaces/x/leases/fairlead-acme'
