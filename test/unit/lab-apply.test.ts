/** Applying files: what they say is made, what they no longer say is taken back, what others set stays. */
import t from 'tap'
import { applyObjects } from '../../src/lab/api/apply.ts'
import { createStore } from '../../src/lab/api/create.ts'
import { draft, type Fields } from '../../src/lab/api/object.ts'
import { at, must, pod, read, service, template, workload } from './lab-objects.ts'

const actions = (results: ReturnType<typeof applyObjects>): string[] =>
  results.map(({ object, action }) => `${object} ${action}`)

t.test('created, unchanged, configured, deleted', async (t) => {
  const store = createStore()
  const files = [workload('Deployment', 'web'), service('web'), service('old')]
  const before = draft(files)
  t.same(actions(applyObjects(store, files, { owner: 'files' })), [
    'Deployment default/web created',
    'Service default/web created',
    'Service default/old created',
  ])
  const revision = store.revision
  const again = applyObjects(store, files, { owner: 'files' })
  t.ok(again.every(({ action }) => action === 'unchanged'))
  t.equal(store.revision, revision, 'no news')
  t.same(files, before, 'what was given is not touched')
  files[0]!['spec'].replicas = 3
  t.same(actions(applyObjects(store, files.slice(0, 2), { owner: 'files' })), [
    'Deployment default/web configured',
    'Service default/web unchanged',
    'Service default/old deleted',
  ])
  t.equal(store.get('services', 'default', 'old'), undefined)
})

t.test('only what it owns is pruned, and only when an owner is named', async (t) => {
  const store = createStore()
  applyObjects(store, [service('a')], { owner: 'files' })
  applyObjects(store, [service('b')])
  must(store.create(service('c')))
  applyObjects(store, [service('d')], { owner: 'files' })
  t.same(
    store.list('services').map(({ metadata }) => metadata.name),
    ['b', 'c', 'd'],
  )
  applyObjects(store, [])
  t.equal(store.list('services').length, 3)
})

t.test('three ways: last file, what is there, this file', async (t) => {
  const store = createStore()
  const web: Fields = workload('Deployment', 'web', { template: template('web', { hostname: 'x' }) })
  web['metadata'].labels = { a: '1', b: '2' }
  const containers: Fields[] = web['spec'].template.spec.containers
  containers[0]!['env'] = [
    { name: 'A', value: '1' },
    { name: 'B', value: '2' },
  ]
  containers.push({ name: 'side', image: 'side:1' })
  applyObjects(store, [web])
  must(
    store.modify(at('deployments', 'web'), (d) => {
      d['spec'].replicas = 4 // scaled by hand
      d.metadata.labels!['c'] = '3'
      d['spec'].template.spec.containers[0].env.push({ name: 'C', value: '3' })
    }),
  )
  const next = draft(web)
  delete next['metadata'].labels.b
  delete next['spec'].template.spec.hostname
  next['spec'].template.spec.containers = [{ ...containers[0], image: 'web:2', env: [{ name: 'B', value: '9' }] }]
  t.same(actions(applyObjects(store, [next])), ['Deployment default/web configured'])
  const { metadata, spec } = read(store, 'deployments', 'web')
  t.equal(spec.replicas, 4)
  t.same(metadata.labels, { a: '1', c: '3' })
  t.equal(spec.template.spec.hostname, undefined)
  t.same(
    spec.template.spec.containers.map(({ name, image }: Fields) => [name, image]),
    [['main', 'web:2']],
  )
  t.same(spec.template.spec.containers[0].env, [
    { name: 'B', value: '9' },
    { name: 'C', value: '3' },
  ])
})

t.test('a Service keeps its addresses, and 53/TCP is not 53/UDP', async (t) => {
  const store = createStore()
  const ports = [
    { name: 'dns', port: 53, protocol: 'UDP' },
    { name: 'dns-tcp', port: 53, protocol: 'TCP' },
  ]
  applyObjects(store, [service('dns', { type: 'NodePort', ports })])
  const first = read(store, 'services', 'dns')['spec']
  applyObjects(store, [service('dns', { type: 'NodePort', ports: ports.slice(1) })])
  const second = read(store, 'services', 'dns')['spec']
  t.equal(second.clusterIP, first.clusterIP)
  t.same(second.ports, [first.ports[1]])
  applyObjects(store, [service('dns', { ports: ports.slice(1) })])
  t.equal(read(store, 'services', 'dns')['spec'].ports[0].nodePort, undefined)
})

t.test('what is rejected stops nothing else', async (t) => {
  const store = createStore()
  const results = applyObjects(store, [
    null,
    'text',
    { kind: 'Service' },
    service('bad', { ports: [{ port: 0 }] }),
    service('twice'),
    service('twice'),
    { apiVersion: 'v1', kind: 'List', items: [service('listed'), null] },
    { ...service('in-shop'), metadata: { name: 'in-shop', namespace: 'shop' } },
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', labels: { team: 'x' } } },
  ])
  t.same(actions(results), [
    'Namespace shop created',
    'object (no name) rejected',
    'Service (no name) rejected',
    'Service default/bad rejected',
    'Service default/twice created',
    'Service default/twice rejected',
    'Service default/listed created',
    'Service shop/in-shop created',
  ])
  t.match(results[3]!.message, /spec\.ports\[0\]\.port/)
  t.equal(read(store, 'namespaces', 'shop', '').metadata.labels!['team'], 'x')
})

t.test('a strategy without rolling leaves no rolling parameters behind', async (t) => {
  const store = createStore()
  applyObjects(store, [workload('Deployment', 'web')])
  applyObjects(store, [workload('Deployment', 'web', { strategy: { type: 'Recreate' } })])
  t.same(read(store, 'deployments', 'web')['spec'].strategy, { type: 'Recreate' })
})

t.test('what cannot change in place is replaced when files are followed, refused when not', async (t) => {
  const store = createStore()
  const job = workload('Job', 'once', { template: template('once', { restartPolicy: 'Never' }) })
  const files = [pod('bare', { nodeName: 'n1' }), job, workload('Deployment', 'web')]
  applyObjects(store, files, { owner: 'files' })
  const uids = files.map(({ kind, metadata }) => read(store, `${kind.toLowerCase()}s`, metadata.name).metadata.uid)
  const next = draft(files)
  next[0]!['spec'].hostname = 'x'
  next[1]!['spec'].template.spec.containers[0].image = 'web:2'
  next[2]!['spec'].selector.matchLabels = { app: 'web', tier: 'front' }
  next[2]!['spec'].template.metadata.labels = { app: 'web', tier: 'front' }
  const refused = applyObjects(store, next)
  t.ok(refused.every(({ action }) => action === 'rejected'))
  t.match(refused[0]!.message, /of a pod cannot change, .*delete the pod and make a new one/)
  t.same(actions(applyObjects(store, next, { owner: 'files' })), [
    'Pod default/bare replaced',
    'Job default/once replaced',
    'Deployment default/web replaced',
  ])
  for (const [i, { kind, metadata }] of files.entries()) {
    t.not(read(store, `${kind.toLowerCase()}s`, metadata.name).metadata.uid, uids[i])
  }
  next[0]!['spec'].containers = []
  t.match(applyObjects(store, next, { owner: 'files' })[0], { action: 'rejected', message: /containers: is empty/ })
  t.ok(read(store, 'pods', 'bare'), 'what is wrong replaces nothing')
  applyObjects(store, [service('kept', { clusterIP: '10.96.0.5' })])
  const lost = applyObjects(store, [service('kept', { clusterIP: '10.97.0.5' })], { replace: true })
  t.match(lost, [{ action: 'rejected', message: /out of range/ }])
  t.equal(read(store, 'services', 'kept')['spec'].clusterIP, '10.96.0.5', 'nor what the cluster has no room for')
})
