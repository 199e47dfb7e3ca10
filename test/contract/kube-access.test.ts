/** How an agent gets to a real API server, and what it says when it is not let in. */
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Inlet } from '../../src/cluster/inlet.ts'
import type { Kind } from '../../src/cluster/kind.ts'
import { connect, createEvents, findSettings, type Settings, type Wanted } from '../../src/cluster/source/kube.ts'
import { NO_TLS } from '../../src/cluster/source/kube/settings.ts'
import { InputTable } from '../../src/core/table.ts'
import type { ApiServer } from '../cluster/apiserver.ts'
import { startProxy } from '../cluster/proxy.ts'
import { adminSettings, sharedApiServer, startWorld } from './kubeworld.ts'

const RBAC = '/apis/rbac.authorization.k8s.io/v1'
const api = await sharedApiServer(t)
if (api !== null) tests(api)

function tests(api: ApiServer): void {
  t.test('a resource that is forbidden, then allowed', async (t) => {
    const admin = await adminSettings(api)
    const world = startWorld(t, { ...admin, auth: { kind: 'token', token: api.weakToken } })
    const wanted = /allow "list" on endpointslices in apiGroup discovery\.k8s\.io/
    await world.until('it says so, and what to do, and tries again', () => {
      const { phase, problem } = world.state('EndpointSlice')
      return phase === 'retrying' && problem?.status === 403 && wanted.test(problem.remedy)
    })
    t.notOk(world.tables.slices.synced, 'not knowing is not the same as knowing of none')
    await allow(api, 'slices-only', [
      { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list'] },
    ])
    await world.until('watch is named next', () => /"watch"/.test(world.state('EndpointSlice').problem?.remedy ?? ''))
    t.ok(world.tables.slices.synced)
    await allow(api, 'slices-too', [
      { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['watch'] },
    ])
    await world.until('it works', () => world.state('EndpointSlice').phase === 'watching')
    t.equal(world.state('EndpointSlice').problem, null)
    await world.until('each kind by itself', () => world.state('Service').problem?.status === 403)
    await world.stop()
    for (const name of ['slices-only', 'slices-too']) {
      await api.call('DELETE', `${RBAC}/clusterrolebindings/${name}`)
      await api.call('DELETE', `${RBAC}/clusterroles/${name}`)
    }
  })

  for (const optional of [true, false]) {
    t.test(`a resource that is not installed, ${optional ? 'and need not be' : 'but must be'}`, async (t) => {
      const widgets = new Inlet(widget(optional), new InputTable<object>('widgets'), new InputTable('rejections'))
      const world = startWorld(t, await adminSettings(api), { inlets: [widgets] })
      await world.until('it says so, and looks again later', () => {
        const { phase, problem } = world.state('Widget')
        return phase === 'retrying' && /no widgets in example\.org\/v1/.test(problem?.message ?? '')
      })
      t.equal(widgets.table.synced, optional, optional ? 'an empty list' : 'nothing is known')
    })
  }

  t.test('a token file that is replaced', async (t) => {
    const path = join(api.folder, 'rotating-token')
    await writeFile(path, 'outworn')
    const admin = await adminSettings(api)
    const world = startWorld(t, { ...admin, auth: { kind: 'token-file', path } })
    await world.until('refused', () => {
      const { problem } = world.state('Service')
      return problem?.status === 401 && /token/.test(problem.remedy)
    })
    await writeFile(path, `${api.token}\n`)
    await world.until('let in', () => world.tables.services.synced)
  })

  t.test('a client certificate', async (t) => {
    const { tls } = await adminSettings(api)
    const cert = { cert: { file: api.clientCertFile }, key: { file: api.clientKeyFile } }
    await letIn(t, { server: api.url, tls: { ...tls, ...cert }, auth: { kind: 'none' } })
  })

  t.test('a client certificate inside a kubeconfig', async (t) => {
    const base64 = async (path: string) => (await readFile(path)).toString('base64')
    const path = await kubeconfig(api, 'certificates', {
      'client-certificate-data': await base64(api.clientCertFile),
      'client-key-data': await base64(api.clientKeyFile),
    })
    await letIn(t, await settings({ kubeconfig: path, env: {} }))
  })

  t.test('a kubeconfig whose token comes from a program', async (t) => {
    const plugin = join(api.folder, 'give-token')
    const credential = {
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
      status: { token: api.token },
    }
    await writeFile(plugin, `#!/bin/sh\necho '${JSON.stringify(credential)}'\n`)
    await chmod(plugin, 0o700)
    const exec = { apiVersion: credential.apiVersion, command: './give-token', interactiveMode: 'Never' }
    await letIn(t, await settings({ kubeconfig: await kubeconfig(api, 'plugin', { exec }), env: {} }))
  })

  t.test('a program that fails says why', async (t) => {
    const exec = { command: 'false', interactiveMode: 'Never' }
    const world = startWorld(t, await settings({ kubeconfig: await kubeconfig(api, 'broken', { exec }), env: {} }))
    await world.until('it says so, and tries again', () => {
      const { failures, problem } = world.state('Service')
      return failures > 1 && problem?.status === null && /credential plugin/.test(problem.message)
    })
  })

  t.test('a certificate that a program gives', async (t) => {
    const plugin = join(api.folder, 'give-certificate')
    const text = async (path: string) => await readFile(path, 'utf8')
    const status = {
      clientCertificateData: await text(api.clientCertFile),
      clientKeyData: await text(api.clientKeyFile),
    }
    await writeFile(`${plugin}.json`, JSON.stringify({ kind: 'ExecCredential', status }))
    const exec = { command: 'cat', args: [`${plugin}.json`], interactiveMode: 'Never' }
    await letIn(t, await settings({ kubeconfig: await kubeconfig(api, 'certificate-plugin', { exec }), env: {} }))
  })

  t.test('a pod: its service account and environment', async (t) => {
    const folder = join(api.folder, 'account')
    await mkdir(folder)
    await writeFile(join(folder, 'token'), api.token)
    await writeFile(join(folder, 'ca.crt'), await readFile(api.caFile))
    const env = { KUBERNETES_SERVICE_HOST: '127.0.0.1', KUBERNETES_SERVICE_PORT: `${api.port}` }
    await letIn(t, await settings({ accountFolder: folder, env, home: '/nonexistent' }))
    // A proxy cannot reach the API server through the service address that it programs itself.
    const cut = { KUBERNETES_SERVICE_HOST: '192.0.2.1', KUBERNETES_SERVICE_PORT: '443' }
    const server = `127.0.0.1:${api.port}`
    await letIn(t, await settings({ accountFolder: folder, env: cut, server, home: '/nonexistent' }))
  })

  t.test('a Unix socket', async (t) => {
    const path = join(api.folder, 'api.sock')
    const proxy = await startProxy(api, { tls: true, socket: path })
    t.teardown(() => proxy.close())
    await letIn(t, await settings({ server: `unix://${path}` }))
  })

  t.test('a certificate of a stranger', async (t) => {
    const world = startWorld(t, { server: api.url, tls: NO_TLS, auth: { kind: 'token', token: api.token } })
    await world.until('it is not trusted', () => {
      const { problem } = world.state('Service')
      return problem?.status === null && /CA/.test(problem.remedy)
    })
  })

  t.test('events are posted once, and counted', async (t) => {
    const connection = connect(await adminSettings(api))
    t.teardown(() => connection.close())
    let now = Date.now()
    const options = { signal: new AbortController().signal, component: 'fairlead-agent', host: 'n1', now: () => now }
    const post = createEvents(connection, options)
    const regarding = { apiVersion: 'v1', kind: 'Service', namespace: 'default', name: 'kubernetes' }
    const event = { regarding, reason: 'InvalidAddress', message: 'no', type: 'Warning' } as const
    t.match(await post(event), { kind: 'posted' })
    t.match(await post(event), { kind: 'counted' })
    now += 11 * 60_000
    t.match(await post(event), { kind: 'posted' }, 'again after a while')
    t.match(await createEvents(connection, options)(event), { kind: 'posted' }, 'by a restarted agent')
    const { items } = await api.call('GET', '/api/v1/namespaces/default/events?fieldSelector=reason=InvalidAddress')
    t.match(items, [{ involvedObject: regarding, message: 'no', type: 'Warning', source: { host: 'n1' } }])
    t.equal(items.length, 1)
    const other = createEvents(connection, { ...options, host: 'n2' })
    t.match(await other(event), { kind: 'posted' }, 'by the agent of another node')
    const again = await api.call('GET', '/api/v1/namespaces/default/events?fieldSelector=reason=InvalidAddress')
    t.equal(again.items.length, 1, 'is the same event')
    const { metadata } = await api.call('GET', '/api/v1/namespaces/default/services/kubernetes')
    t.equal(items[0].involvedObject.uid, metadata.uid, 'and kubectl describe finds it')
    const flood = Array.from({ length: 100 }, (_, i) => post({ ...event, message: `${i}` }))
    const posted = (await Promise.all(flood)).filter(({ kind }) => kind === 'posted').length
    t.ok(posted > 0 && posted <= 25, `${posted} of 100 at once`)
  })
}

async function letIn(t: Test, settings: Settings): Promise<void> {
  const world = startWorld(t, settings)
  await world.until('listed', () => world.tables.services.has('default/kubernetes'))
  await world.until('and watching', () => world.state('Service').phase === 'watching')
  await world.stop()
}

async function settings(wanted: Wanted): Promise<Settings> {
  const found = await findSettings(wanted)
  if (found.kind === 'problem') throw new Error(found.message)
  return found.settings
}

async function kubeconfig(api: ApiServer, name: string, user: object): Promise<string> {
  const path = join(api.folder, `${name}.kubeconfig`)
  const config = JSON.parse(await readFile(api.kubeconfig, 'utf8'))
  await writeFile(path, JSON.stringify({ ...config, users: [{ name: 'admin', user }] }))
  return path
}

/** Lets `nobody` do it. */
async function allow(api: ApiServer, name: string, rules: object[]): Promise<void> {
  await api.call('POST', `${RBAC}/clusterroles`, { metadata: { name }, rules })
  await api.call('POST', `${RBAC}/clusterrolebindings`, {
    metadata: { name },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
    subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'nobody' }],
  })
}

function widget(optional: boolean): Kind<object> {
  return {
    ...{ kind: 'Widget', plural: 'widgets', group: 'example.org', version: 'v1', namespaced: true, optional },
    parse: (raw) => ({ row: raw as object, rejections: [] }),
  }
}
