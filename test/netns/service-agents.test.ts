/**
 * One agent a network namespace: a second one is refused, waits for one that is ending, and takes over from one that died.
 * A program that writes into our table all the same (an agent of before that rule) is told of, and breaks no connection.
 */
import t from 'tap'
import { enterWorld, inside, within } from './world.ts'
await enterWorld()

import { exec } from '../../src/kernel/exec.ts'
import { claimNamespace, describeTaken } from '../../src/kernel/sole-agent.ts'
import { endpoint, service, slice, type Raw } from '../contract/service-objects.ts'
import { OUTSIDE, POD } from '../contract/service-room.ts'
import { Hosts } from './hosts.ts'
import { MAIN, Shipped, type Agent } from './shipped.ts'
import { finish, killLoads, ready, run } from './load.ts'
import { Stage } from './stage.ts'
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

t.test('a second agent is refused, and so is a cleanup; nothing of the first is touched', async (t) => {
  shipped.write(...web(A, B))
  const one = await shipped.start('one')
  const steady = [POD, OUTSIDE].map((from) => run(hosts.name(from), 'load', 'steady', '--to', `${IP}:80`, '--rate', '100', '--from', from)) // prettier-ignore
  for (const load of steady) await ready(load)
  const two = shipped.begin('two', { args: ['--metrics-bind-address', '127.0.0.1:0'] })
  const cleaning = await exec([process.execPath, MAIN, 'agent', '--cleanup'])
  t.equal(await two.ended, 1)
  const named = new RegExp(`^fairlead: only one agent .* the agent of node n1 \\(pid ${one.child.pid}, version .*\\) runs here; end that one first`) // prettier-ignore
  t.match(two.said.at(-1), named)
  t.match(two.said[0], /INFO.*another agent is here: waiting for its end.* waitMs=5000/)
  t.match(cleaning.kind === 'failed' && cleaning.stderr.trim(), named)
  t.ok((await inside('n1', 'nft', 'list', 'tables')).includes('fairlead_service'))
  shipped.write(...web(B))
  await one.settled()
  for (const load of steady) t.match(await finish(load), { failedTotal: 0 })
  // In a namespace of its own it may.
  await inside('n1', 'ip', 'netns', 'add', 'elsewhere')
  const third = await shipped.start('third', { enter: within('elsewhere') })
  t.equal((await third.report())!.node, 'n1')
})

t.test('an agent that is ending is waited for; one that was killed leaves nothing to wait for', async (t) => {
  shipped.write(...web(A))
  const one = await shipped.start('one')
  const two = shipped.begin('two')
  await until('it waits', () => two.said.some((line) => /waiting for its end/.test(line)))
  one.child.kill('SIGTERM')
  t.equal(await one.ended, 0)
  await two.settled()
  await two.kill()
  const three = await shipped.start('three')
  t.notOk(three.said.some((line) => /waiting/.test(line)))
})

t.test('one that is stopped cannot say who it is: refused all the same, with how to find it', async (t) => {
  shipped.write(...web(A))
  const one = await shipped.start('one')
  one.child.kill('SIGSTOP')
  const two = shipped.begin('two')
  t.equal(await two.ended, 1)
  t.match(two.said.at(-1), /something that does not say who it is .* find it with: ss -xlp \| grep fairlead-agent/)
  t.match(await inside('n1', 'ss', '-xlp'), new RegExp(`@fairlead-agent .*pid=${one.child.pid},`), 'which finds it')
  one.child.kill('SIGCONT')
  await one.settled()
})

t.test('the claim itself', async (t) => {
  const self = { node: 'n9', pid: 7, version: '1.2.3' }
  const first = await claimNamespace(self, { waitMs: 0 })
  if (first.kind !== 'held') return void t.fail(first.kind)
  const second = await claimNamespace(self, { waitMs: 0 })
  t.same(second, { kind: 'taken', holder: self })
  t.match(describeTaken(self), 'node n9 (pid 7, version 1.2.3)')
  const waiting = claimNamespace(self, { waitMs: 20_000, onWait: () => void first.release() })
  const third = await waiting
  t.equal(third.kind, 'held', 'free again: held at once')
  const gone = new AbortController()
  const given = await claimNamespace(self, { waitMs: 60_000, signal: gone.signal, onWait: () => gone.abort() })
  t.equal(given.kind, 'taken', 'who is told to stop waits no more')
  if (third.kind === 'held') await third.release()
})

t.test('somebody else loads our table: told, repaired, and no connection fails', { timeout: 240_000 }, async (t) => {
  shipped.write(...web(A, B))
  const one = await shipped.start('one')
  const steady = [POD, OUTSIDE].map((from) => run(hosts.name(from), 'load', 'steady', '--to', `${IP}:80`, '--rate', '100', '--from', from)) // prettier-ignore
  for (const load of steady) await ready(load)
  const other = new Stage()
  // What it loads is taken from it, perhaps before it has looked, or before it is whole: then it loads again.
  await other.put(...web(A, B)).catch(() => {})
  await until('it knows', async () => {
    const isSaid = one.said.some((line) => /another agent/.test(line))
    if (!isSaid) await other.reload().catch(() => {})
    return isSaid
  })
  for (const endpoints of [[B], [A, B]]) {
    shipped.write(...web(...endpoints))
    await until(`it follows: ${endpoints.join()}`, async () => {
      const listing = await inside('n1', 'nft', 'list', 'table', 'inet', 'fairlead_service')
      return [A, B].every((each) => endpoints.includes(each) === listing.includes(`${each} . 8080`))
    })
  }
  await one.settled()
  for (const load of steady) t.match(await finish(load), { failedTotal: 0 })
})

t.test('network_programming_duration_seconds counts changes, not what was there', { timeout: 240_000 }, async (t) => {
  const count = (agent: Agent): Promise<number> =>
    agent.metric('kubeproxy_network_programming_duration_seconds_count{ip_family="IPv4"}').then((value) => value || 0)
  shipped.write(web()[0]!, triggered(A, B))
  const one = await shipped.start('one')
  t.equal(await count(one), 0)
  shipped.write(web()[0]!, triggered(A))
  await until('counted', async () => (await count(one)) === 1)
  t.equal(await count(one), 1)
})

const web = (...pods: string[]): Raw[] => [service('web', [IP]), slice('web-1', 'web', pods.map((pod) => endpoint(pod)))] // prettier-ignore

/** The slice of `web`, as a controller writes it that says when its pods changed. */
function triggered(...pods: string[]): Raw {
  const made = web(...pods)[1]!
  made['metadata'].annotations = { 'endpoints.kubernetes.io/last-change-trigger-time': new Date().toISOString() }
  return made
}
