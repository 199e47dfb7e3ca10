/** The API over HTTP, as an agent and people's commands use it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { request as open, type IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { createStore } from '../../src/lab/api/create.ts'
import type { Fields } from '../../src/lab/api/object.ts'
import { createApiServer } from '../../src/lab/api/server.ts'
import type { Store } from '../../src/lab/api/store.ts'
import { must, pod, service, workload } from './lab-objects.ts'

const folder = mkdtempSync(join(tmpdir(), 'lap-'))
let sockets = 0

async function serve(t: { teardown(end: () => void): void }, store: Store, bookmarkMs = 1_000_000): Promise<Client> {
  const path = join(folder, `${sockets++}.sock`)
  const server = createApiServer(store, { bookmarkMs })
  await new Promise<void>((resolve) => server.listen({ path }, resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return new Client(path)
}

t.teardown(() => rmSync(folder, { recursive: true }))

t.test('create, read, replace, patch, delete', async (t) => {
  const api = await serve(t, createStore())
  const made = await api.send('POST', '/api/v1/namespaces/shop/pods', {
    ...pod('web', { nodeName: 'n1' }),
    metadata: { name: 'web' },
  })
  t.equal(made.code, 201)
  t.equal(made.body['spec'].restartPolicy, 'Always')
  const path = '/api/v1/namespaces/shop/pods/web'
  t.equal((await api.send('GET', path)).body['metadata'].uid, made.body['metadata'].uid)
  const labels = await api.send('PATCH', path, { metadata: { labels: { a: 'b' } } }, 'application/merge-patch+json')
  t.same(labels.body['metadata'].labels, { a: 'b' })
  const stale = await api.send('PUT', path, made.body)
  t.equal(stale.code, 409)
  t.equal(stale.body['reason'], 'Conflict')
  const status = await api.send('PUT', `${path}/status`, { ...labels.body, status: { phase: 'Running' } })
  t.equal(status.body['status'].phase, 'Running')
  const gone = await api.send('DELETE', path, { gracePeriodSeconds: 0 })
  t.equal(gone.code, 200)
  const missing = await api.send('GET', path)
  t.match(missing.body, {
    kind: 'Status',
    status: 'Failure',
    reason: 'NotFound',
    code: 404,
    message: 'pods "web" not found',
  })
})

t.test('errors say what is wrong', async (t) => {
  const api = await serve(t, createStore())
  const bad = await api.send('POST', '/api/v1/namespaces/default/services', service('web', { ports: [{ port: 0 }] }))
  t.equal(bad.code, 422)
  t.match(bad.body['message'], /Service default\/web is invalid: spec\.ports\[0\]\.port: 0 is not a whole number/)
  t.equal(bad.body['details'].causes[0].field, 'spec.ports[0].port')
  t.equal((await api.raw('POST', '/api/v1/namespaces/default/services', '{')).code, 400)
  t.equal((await api.send('POST', '/api/v1/namespaces/default/pods', service('web'))).code, 400)
  t.equal((await api.send('POST', '/api/v1/namespaces/other/services', service('web'))).code, 400)
  t.equal((await api.send('GET', '/apis/none/v1/things')).code, 404)
  t.equal((await api.send('GET', '/api/v1/namespaces/%/pods')).code, 404)
  t.equal((await api.send('DELETE', '/api/v1/nodes/none')).code, 404)
  t.equal((await api.send('GET', '/api/v1/pods?labelSelector=%3D%3D')).code, 400)
  t.equal((await api.send('PATCH', '/api/v1/namespaces/default', {}, 'text/plain')).code, 415)
  const huge = await api.raw('POST', '/api/v1/namespaces/default/configmaps', ' '.repeat(4 * 1024 * 1024))
  t.equal(huge.code, 413)
})

t.test('lists: selectors, and pages that show one revision', async (t) => {
  const store = createStore()
  const api = await serve(t, store)
  for (let i = 0; i < 10; i++) must(store.create(pod(`p${i}`, i % 2 ? { nodeName: 'n1' } : {}, { n: String(i) })))
  t.equal((await api.send('GET', '/api/v1/pods?fieldSelector=spec.nodeName%3Dn1')).body['items'].length, 5)
  t.equal((await api.send('GET', '/api/v1/namespaces/none/pods')).body['items'].length, 0)
  t.equal((await api.send('GET', '/api/v1/pods?labelSelector=n%20in%20(1,2)')).body['items'].length, 2)
  const first = (await api.send('GET', '/api/v1/pods?limit=4')).body
  t.equal(first['metadata'].remainingItemCount, 6)
  store.delete({ resource: 'pods', namespace: 'default', name: 'p8' }) // unseen by the pages to come
  const second = (await api.send('GET', `/api/v1/pods?limit=4&continue=${first['metadata'].continue}`)).body
  const third = (await api.send('GET', `/api/v1/pods?limit=4&continue=${second['metadata'].continue}`)).body
  const names = [first, second, third].flatMap(({ items }) => items.map(({ metadata }: Fields) => metadata.name))
  t.same(
    names,
    Array.from({ length: 10 }, (_, i) => `p${i}`),
  )
  t.equal(third['metadata'].resourceVersion, first['metadata'].resourceVersion)
  t.equal(third['metadata'].continue, undefined)
  const old = await api.send('GET', '/api/v1/pods?limit=4&continue=bm9uZQ')
  t.equal(old.code, 410)
  t.equal(old.body['reason'], 'Expired')
})

t.test('watches: from a list on, in and out of a selector, bookmarks, the end', async (t) => {
  const store = createStore()
  const api = await serve(t, store, 5)
  must(store.create(pod('a', {}, { app: 'web' })))
  const from = (await api.send('GET', '/api/v1/pods')).body['metadata'].resourceVersion
  must(store.create(pod('b', {}, { app: 'web' })))
  const watch = await api.watch(`/api/v1/pods?watch=true&resourceVersion=${from}&labelSelector=app%3Dweb`)
  t.match(await watch.next(), { type: 'ADDED', object: { metadata: { name: 'b' } } })
  store.modify({ resource: 'pods', namespace: 'default', name: 'b' }, (p) => void (p.metadata.labels = { app: 'no' }))
  must(store.create({ ...service('other'), metadata: { name: 'other', labels: { app: 'web' } } })) // of another resource
  t.match(await watch.next(), { type: 'DELETED', object: { metadata: { name: 'b', labels: { app: 'web' } } } })
  store.modify({ resource: 'pods', namespace: 'default', name: 'b' }, (p) => void (p.metadata.labels = { app: 'web' }))
  t.match(await watch.next(), { type: 'ADDED', object: { metadata: { name: 'b' } } })
  store.modify(
    { resource: 'pods', namespace: 'default', name: 'b' },
    (p) => void (p['status'].phase = 'Running'),
    'status',
  )
  t.match(await watch.next(), { type: 'MODIFIED', object: { status: { phase: 'Running' } } })
  store.delete({ resource: 'pods', namespace: 'default', name: 'b' })
  t.match(await watch.next(), {
    type: 'DELETED',
    object: { metadata: { name: 'b', resourceVersion: String(store.revision) } },
  })
  watch.close()
  const marked = await api.watch(`/api/v1/nodes?watch=1&allowWatchBookmarks=true&resourceVersion=${from}`)
  t.match(await marked.next(), {
    type: 'BOOKMARK',
    object: { kind: 'Node', metadata: { resourceVersion: String(store.revision) } },
  })
  marked.close()
  const all = await api.watch('/api/v1/pods?watch=true&sendInitialEvents=true&allowWatchBookmarks=true')
  t.match(await all.next(), { type: 'ADDED', object: { metadata: { name: 'a' } } })
  const annotations = { 'k8s.io/initial-events-end': 'true' }
  t.match(await all.next(), { type: 'BOOKMARK', object: { metadata: { annotations } } })
  all.close()
  const short = await api.watch(`/api/v1/nodes?watch=true&resourceVersion=${from}&timeoutSeconds=0.01`)
  t.equal(await short.next(), null, 'the server ends it')
})

t.test('a watch from too far back, or from a future that is not ours, must list again', async (t) => {
  const store = createStore({ historySize: 4 })
  const api = await serve(t, store)
  for (let i = 0; i < 10; i++) must(store.create(pod(`p${i}`)))
  for (const from of ['1', '999999', 'nonsense']) {
    const watch = await api.watch(`/api/v1/pods?watch=true&resourceVersion=${from}`)
    t.match(await watch.next(), { type: 'ERROR', object: { kind: 'Status', code: 410, reason: 'Expired' } }, from)
    t.equal(await watch.next(), null)
  }
})

t.test('scale, tables, discovery, events, unknown kinds', async (t) => {
  const store = createStore()
  const api = await serve(t, store)
  must(store.create(workload('Deployment', 'web', { replicas: 2 })))
  const path = '/apis/apps/v1/namespaces/default/deployments/web'
  const scale = await api.send('GET', `${path}/scale`)
  t.match(scale.body, { kind: 'Scale', spec: { replicas: 2 }, status: { selector: 'app=web' } })
  await api.send('PUT', `${path}/scale`, { ...scale.body, spec: { replicas: 5 } })
  const patched = await api.send('PATCH', `${path}/scale`, { spec: { replicas: 7 } }, 'application/merge-patch+json')
  t.equal(patched.body['spec'].replicas, 7)
  t.equal((await api.send('PUT', `${path}/scale`, { ...scale.body, spec: { replicas: -1 } })).code, 400)
  t.equal(store.get('deployments', 'default', 'web')!['spec'].replicas, 7)
  const table = await api.raw('GET', '/apis/apps/v1/deployments', undefined, {
    accept: 'application/json;as=Table;v=v1;g=meta.k8s.io',
  })
  t.same(table.body['rows'][0].cells.slice(0, 4), ['web', '0/7', 0, 0])
  t.equal((await api.send('GET', '/version')).body['major'], '1')
  t.ok((await api.send('GET', '/api/v1')).body['resources'].some(({ name }: Fields) => name === 'pods/status'))
  t.ok((await api.send('GET', '/apis')).body['groups'].some(({ name }: Fields) => name === 'apps'))
  const event = {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { generateName: 'e' },
    involvedObject: { kind: 'Pod', name: 'x' },
    reason: 'R',
    message: 'm',
  }
  await api.send('POST', '/api/v1/namespaces/default/events', event)
  const again = await api.send('POST', '/api/v1/namespaces/default/events', event)
  t.equal(again.body['count'], 2)
  t.equal(store.list('events').length, 1)
  const thing = { apiVersion: 'x.io/v1', kind: 'Thing', metadata: { name: 't' } }
  t.equal((await api.send('POST', '/apis/x.io/v1/namespaces/default/things', thing)).code, 201)
  t.equal((await api.send('GET', '/apis/x.io/v1/things')).body['items'].length, 1)
})

interface Reply {
  readonly code: number
  readonly body: Fields
}

class Client {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  send(method: string, path: string, body?: unknown, type = 'application/json'): Promise<Reply> {
    return this.raw(method, path, body === undefined ? undefined : JSON.stringify(body), { 'content-type': type })
  }

  async raw(method: string, path: string, body?: string, headers: Record<string, string> = {}): Promise<Reply> {
    const response = await this.#open(method, path, body, headers)
    let text = ''
    for await (const chunk of response) text += String(chunk)
    return { code: response.statusCode!, body: JSON.parse(text) as Fields }
  }

  /** `next`: the next event; null at the end. */
  async watch(path: string): Promise<{ next(): Promise<Fields | null>; close(): void }> {
    const response = await this.#open('GET', path)
    const lines = linesOf(response)
    return {
      next: async () => {
        const { value, done } = await lines.next()
        return done ? null : (JSON.parse(value) as Fields)
      },
      close: () => void response.destroy(),
    }
  }

  #open(method: string, path: string, body = '', more: Record<string, string> = {}): Promise<IncomingMessage> {
    const headers = { ...more, 'content-length': Buffer.byteLength(body) } // of itself node gives a DELETE none
    return new Promise((resolve, reject) => {
      const request = open({ socketPath: this.#path, path, method, headers, agent: false }, resolve)
      request.once('error', reject)
      request.end(body)
    })
  }
}

async function* linesOf(response: IncomingMessage): AsyncGenerator<string, undefined> {
  let rest = ''
  for await (const chunk of response) {
    const parts = (rest + String(chunk)).split('\n')
    rest = parts.pop()!
    yield* parts
  }
  return undefined
}
