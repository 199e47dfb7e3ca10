/** Followed objects, the leader, the status writer, and what is kept of certificates, on the lab's API: an API server to those who do not know. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { connect, findSettings, Followed, type Connection, type Reference } from '../../src/cluster/source/kube.ts'
import { createInlets, createTables } from '../../src/cluster/tables.ts'
import type { Delta } from '../../src/core/delta.ts'
import { KubeSecrets } from '../../src/ingress/acme/kubesecrets.ts'
import { Presence } from '../../src/ingress/acme/presence.ts'
import { askAddresses, addressesOf } from '../../src/ingress/status/addresses.ts'
import { lead } from '../../src/ingress/status/leader.ts'
import { StatusWriter } from '../../src/ingress/status/writer.ts'
import { createStore } from '../../src/lab/api/create.ts'
import { createApiServer } from '../../src/lab/api/server.ts'
import { until } from '../netns/waiting.ts'
import { ingress, secret } from './ingress-objects.ts'
import type { Raw } from './service-objects.ts'

const folder = mkdtempSync(join(tmpdir(), 'ingress-follow-'))
t.teardown(() => rmSync(folder, { recursive: true }))
let sockets = 0

/** An API, and a way to it that writes down what was asked. */
async function world(t: Test) {
  const store = createStore()
  const path = join(folder, `${sockets++}.sock`)
  const server = createApiServer(store)
  await new Promise<void>((resolve) => server.listen({ path }, resolve))
  const found = await findSettings({ server: `unix://${path}`, env: {} })
  if (found.kind === 'problem') throw new Error(found.message)
  const inner = connect(found.settings)
  const abort = new AbortController()
  const asked: string[] = []
  const connection: Connection = {
    ...inner,
    request: (path, options) => {
      asked.push(`${options.method ?? 'GET'} ${path}`)
      return inner.request(path, options)
    },
  }
  t.teardown(async () => {
    abort.abort()
    await inner.close()
    server.closeAllConnections()
    server.close()
  })
  const call = async (method: 'POST' | 'PATCH' | 'GET' | 'DELETE', path: string, body?: Raw): Promise<Raw> => {
    const answer = await inner.request(path, {
      method,
      signal: abort.signal,
      ...(body && { body }),
      ...(method === 'PATCH' && PATCH),
    })
    if (answer.kind === 'failed') throw new Error(answer.problem.message)
    const chunks: Uint8Array[] = []
    for await (const chunk of answer.body) chunks.push(chunk)
    return JSON.parse(Buffer.concat(chunks).toString())
  }
  for (const name of ['x', 'y'])
    await call('POST', '/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } }).catch(
      () => {},
    )
  return { connection, asked, abort, call }
}

const SECRETS = '/api/v1/namespaces/x/secrets'
const reference = (name: string): [string, Reference] => [`Secret x/${name}`, { kind: 'Secret', namespace: 'x', name }]
const delta = (put: readonly [string, Reference][], drop: readonly string[] = [], from = 0): Delta<Reference> => ({
  ...{ from, to: { epoch: 'e', number: from + 1 }, put: new Map(put), drop: new Set(drop), was: new Map() },
})

t.test('objects are followed by name, and no others are ever asked for', async (t) => {
  const { connection, asked, abort, call } = await world(t)
  await call('POST', SECRETS, secret('x/a', { auth: 'a:1' }))
  await call('POST', SECRETS, secret('x/other', { auth: 'o:1' }))
  const tables = createTables()
  const { secrets, configMaps } = createInlets(tables)
  const followed = new Followed({ connection, inlets: [secrets, configMaps], signal: abort.signal, patienceMs: 1 })
  const never = new AbortController().signal
  t.same(await followed.apply(delta([reference('a'), reference('absent')]), never), [])
  t.same(
    [...tables.secrets.entries()].map(([key]) => key),
    ['x/a'],
  )
  t.notOk(tables.secrets.synced, 'what is synced is for others to say')
  await call('POST', SECRETS, secret('x/absent', { auth: 'b:1' }))
  await until('it has come', () => tables.secrets.has('x/absent'))
  await call('DELETE', `${SECRETS}/absent`)
  await until('it is gone', () => !tables.secrets.has('x/absent'))
  await followed.apply(delta([], ['Secret x/a'], 1), never)
  t.equal(tables.secrets.size, 0, 'what nobody refers to is let go')
  await followed.apply(delta([reference('a')]), never)
  await until('and asked for again', () => tables.secrets.has('x/a'))
  const names = new Set(asked.map((path) => /fieldSelector=metadata.name%3D(\w+)/.exec(path)?.[1] ?? path))
  t.same([...names].sort(), ['a', 'absent'])
  abort.abort()
  await followed.done()
})

t.test('what may not be read is an answer, and told', async (t) => {
  const { connection, abort } = await world(t)
  const tables = createTables()
  const { secrets } = createInlets(tables)
  const problem = { status: 403, message: 'secrets "a" is forbidden', remedy: '', retryAfterMs: null }
  const forbidding: Connection = { ...connection, request: async () => ({ kind: 'failed', problem }) }
  const followed = new Followed({ connection: forbidding, inlets: [secrets], signal: abort.signal })
  const refused = await followed.apply(delta([reference('a')]), new AbortController().signal)
  t.match(refused, [{ key: 'Secret x/a', reason: /forbidden/, remedy: /allow "list" on namespaces\/x\/secrets/ }])
  t.match(followed.states(), [{ kind: 'Secret', problem: { status: 403 } }])
  abort.abort()
  await followed.done()
})

t.test('one leads; when it ends, the next one does; one that is stuck is waited out', async (t) => {
  const { connection, call } = await world(t)
  // Time passes when the test says so: a machine under load must not end anybody's lease.
  let now = 0
  const times = { leaseMs: 15_000, renewMs: 10_000, retryMs: 5 }
  const problems: string[] = []
  const candidate = (identity: string, over: Connection = connection) => {
    const ending = new AbortController()
    const state = { leads: false }
    const done = lead({
      ...{ connection: over, namespace: 'x', name: 'leader', identity, signal: ending.signal, times, now: () => now },
      onChange: (leads) => (state.leads = leads),
      onProblem: (problem) => problems.push(problem),
    })
    const end = (): Promise<void> => (ending.abort(), done)
    return { state, end }
  }
  let isStuck = false
  const stuck: Connection = {
    ...connection,
    request: (path, options) => (isStuck ? Promise.resolve(FAILED) : connection.request(path, options)),
  }
  const first = candidate('first', stuck)
  await until('the first leads', () => first.state.leads)
  const second = candidate('second')
  const lease = await call('GET', LEASE)
  t.match(lease['spec'], { holderIdentity: 'first', leaseTransitions: 0 })
  t.notOk(second.state.leads)
  isStuck = true
  // From when the second has seen the last renewal, which may be after this.
  await until('the second leads', () => {
    now += 1_000
    return second.state.leads
  })
  await until('the first has given up', () => !first.state.leads)
  t.match(problems, ['away'])
  isStuck = false
  await second.end()
  t.notOk(second.state.leads)
  await until('the first leads again', () => first.state.leads)
  await first.end()
  t.match((await call('GET', LEASE))['spec'], { holderIdentity: '' })
})

t.test('status is written, and cleared', async (t) => {
  const { connection, call } = await world(t)
  const writer = new StatusWriter(connection)
  await call('POST', '/apis/networking.k8s.io/v1/namespaces/x/ingresses', ingress('x/i', { paths: { 'a.org/': 'a' } }))
  const write = (addresses: readonly string[], name = 'i') =>
    writer.apply(
      {
        from: 0,
        to: { epoch: 'e', number: 1 },
        put: new Map([[`x/${name}`, { namespace: 'x', name, addresses }]]),
        drop: new Set(),
        was: new Map(),
      },
      new AbortController().signal,
    )
  const status = async () => (await call('GET', '/apis/networking.k8s.io/v1/namespaces/x/ingresses/i'))['status']
  t.same(await write(['192.0.2.1', 'lb.example.org']), [])
  t.same(await status(), { loadBalancer: { ingress: [{ ip: '192.0.2.1' }, { hostname: 'lb.example.org' }] } })
  t.same(await write([]), [])
  t.same(await status(), { loadBalancer: { ingress: [] } })
  t.same(await write(['192.0.2.1'], 'gone'), [], 'gone meanwhile: nobody misses it')
})

t.test('where the ingress is', async (t) => {
  const { connection } = await world(t)
  t.match(await askAddresses(connection, 'x/none', new AbortController().signal), { problem: /not found/ })
  const of = (spec: Raw, balanced: readonly Raw[] = []) =>
    addressesOf({ spec, status: { loadBalancer: { ingress: balanced } } })
  t.same(of({ type: 'LoadBalancer', externalIPs: ['192.0.2.9'] }, [{ ip: '192.0.2.1' }, { hostname: 'lb' }]), [
    '192.0.2.1',
    '192.0.2.9',
    'lb',
  ])
  t.same(of({ type: 'ClusterIP', clusterIP: '10.96.0.1' }), ['10.96.0.1'])
  t.same(of({ type: 'ExternalName', externalName: 'x.org' }), ['x.org'])
  t.same(addressesOf('nonsense'), [])
})

t.test('Secrets: one writer at a time, and what others keep in them stays', async (t) => {
  const { connection, call, abort } = await world(t)
  const { signal } = abort
  const secrets = new KubeSecrets(connection)
  t.equal(await secrets.get('x/s', signal), null)
  const fresh = { path: 'x/s', type: 'Opaque', labels: { l: '1' }, annotations: { a: '1' }, data: { k: 'v' } }
  const made = (await secrets.put({ ...fresh, version: '' }, signal))!
  t.match(made, fresh)
  t.equal(await secrets.put({ ...fresh, version: '' }, signal), null, 'there is one already')
  const binary = Buffer.from([0xff, 0xfe, 0x00]).toString('base64')
  await call('PATCH', `${SECRETS}/s`, { data: { binary }, metadata: { annotations: { b: '2' } } })
  t.equal(await secrets.put({ ...made, data: { k: 'w' } }, signal), null, 'somebody changed it')
  const read = (await secrets.get('x/s', signal))!
  t.same(read.data, { k: 'v' }, 'what is no text is not read')
  t.match((await secrets.put({ ...read, data: { k: 'w' } }, signal))?.data, { k: 'w' })
  const now = await call('GET', `${SECRETS}/s`)
  t.equal(now['data'].binary, binary, 'and not written over')
  t.match(now['metadata'].annotations, { a: '1', b: '2' })
  t.same(
    (await secrets.list('x', 'l', '1', signal)).map(({ path }) => path),
    ['x/s'],
  )
  t.same(await secrets.list('x', 'l', '2', signal), [])
  await secrets.drop('x/s', signal)
  await secrets.drop('x/s', signal)
  t.equal(await secrets.get('x/s', signal), null)
  t.equal(await secrets.put(read, signal), null, 'gone meanwhile')
  const problem = { status: 403, message: 'secrets is forbidden', remedy: '', retryAfterMs: null }
  const forbidden = new KubeSecrets({ ...connection, request: async () => ({ kind: 'failed', problem }) })
  await t.rejects(forbidden.get('x/s', signal), {
    message: /forbidden/,
    remedy: /allow "get" on secrets in namespace x/,
  })
  await t.rejects(forbidden.list('x', 'l', '1', signal), { message: /forbidden/, remedy: /allow "list"/ })
})

t.test('replicas say that they live and what they have in place; who is silent is gone', async (t) => {
  const { connection, abort, call } = await world(t)
  let now = 0
  let isServing = true
  const presence = (name: string, address: string | null) =>
    new Presence({
      ...{ connection, namespace: 'x', name, address, now: () => now, times: { leaseMs: 15_000, renewMs: 5 } },
      ...{ isServing: () => isServing, onProblem: (message) => t.fail(message) },
    })
  const [one, two] = [presence('one', '10.0.0.1'), presence('two', null)]
  const ending = new AbortController()
  const running = two.run(ending.signal)
  const { signal } = abort
  t.same(await one.list(signal), [], 'nobody is waited for who has nothing in place yet')
  await one.acknowledge('r1', signal)
  await two.acknowledge('r2', signal)
  t.same(await one.list(signal), [
    { name: 'one', isLive: true, revision: 'r1', address: '10.0.0.1' },
    { name: 'two', isLive: true, revision: 'r2', address: null },
  ])
  const live = async () => (await one.list(signal)).filter((each) => each.isLive).map(({ name }) => name)
  await until('only who renews its own is there', async () => {
    now += 1_000
    return (await live()).join() === 'two'
  })
  isServing = false
  await until('a proxy that does not serve is not waited for', async () => {
    now += 1_000
    return (await live()).length === 0
  })
  await until('what is left of who ended long ago is taken away', async () => {
    now += 60_000
    await live()
    return (await call('GET', '/apis/coordination.k8s.io/v1/namespaces/x/leases'))['items'].length === 0
  })
  isServing = true
  await until('it comes again', async () => (await live()).length === 1)
  ending.abort()
  await running
  t.same(await one.list(signal), [], 'who ends takes its own away')
})

const FAILED = { kind: 'failed' as const, problem: { status: null, message: 'away', remedy: '', retryAfterMs: null } }
const PATCH = { contentType: 'application/merge-patch+json' }
const LEASE = '/apis/coordination.k8s.io/v1/namespaces/x/leases/leader'
