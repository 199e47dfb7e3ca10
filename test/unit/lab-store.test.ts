/** The store: revisions, concurrency, deletion in its several ways, watches that resume or must list again. */
import t from 'tap'
import { createStore } from '../../src/lab/api/create.ts'
import type { Change } from '../../src/lab/api/history.ts'
import { draft } from '../../src/lab/api/object.ts'
import { matches, matchesFields, parseFieldSelector, parseLabelSelector } from '../../src/lab/api/selector.ts'
import { at, must, pod, read, why } from './lab-objects.ts'

const map = (name: string, data = {}) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data })

t.test('a new object has what the server gives it, and its namespace is made', async (t) => {
  const store = createStore()
  const { metadata } = must(store.create({ ...map('a'), metadata: { name: 'a', namespace: 'shop', uid: 'mine' } }))
  t.not(metadata.uid, 'mine')
  t.match(metadata.creationTimestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
  t.equal(metadata.resourceVersion, String(store.revision))
  t.same(read(store, 'namespaces', 'shop', '').metadata.labels, { 'kubernetes.io/metadata.name': 'shop' })
  t.match(why(store.create({ ...map('a'), metadata: { name: 'a', namespace: 'shop' } })), /already exists/)
  t.match(
    must(store.create({ ...map(''), metadata: { generateName: 'x-' } })).metadata.name,
    /^x-[bcdfghjklmnpqrstvwxz2-9]{5}$/,
  )
})

t.test('what is not an object, or of no name, is refused', async (t) => {
  const store = createStore()
  for (const raw of [
    null,
    3,
    'x',
    [],
    {},
    { apiVersion: 'v1', kind: 'Pod' },
    { apiVersion: 1, kind: 'Pod', metadata: {} },
  ]) {
    t.notOk(store.create(raw).ok, JSON.stringify(raw))
  }
  t.match(why(store.create(map(''))), /metadata.name: is missing/)
  t.match(why(store.create(map('x'.repeat(5000)))), /metadata.name: x{77}\.\.\. is not a name; use at most 253/)
  t.match(why(store.create({ ...map('a'), metadata: { name: 'a', labels: { a: 1 } } })), /labels: .*in quotes/)
  t.match(why(store.create({ ...map('a'), apiVersion: 'v2' })), /v2 is not served here; write v1/)
})

t.test('updates: stale ones conflict, equal ones are no news, status and object do not touch each other', async (t) => {
  const store = createStore()
  const first = must(store.create(pod('web')))
  const next = draft(first)
  next.metadata.labels = { a: 'b' }
  const second = must(store.update(next))
  t.match(why(store.update(next)), /has been modified/)
  t.equal(must(store.update(draft(second))).metadata.resourceVersion, second.metadata.resourceVersion)
  const revision = store.revision
  must(store.modify(at('pods', 'web'), (p) => void (p['status'].phase = 'Running')))
  t.equal(store.revision, revision, 'status is not changed through the object')
  must(
    store.modify(
      at('pods', 'web'),
      (p) => void ((p['status'].phase = 'Running'), (p['spec'].nodeName = 'n1')),
      'status',
    ),
  )
  const third = read(store, 'pods', 'web')
  t.equal(third['status'].phase, 'Running')
  t.equal(third['spec'].nodeName, undefined)
  t.equal(third.metadata.generation, 1)
  must(store.modify(at('pods', 'web'), (p) => void (p['spec'].nodeName = 'n1')))
  t.equal(read(store, 'pods', 'web').metadata.generation, 2)
  t.throws(() => ((third['spec'] as { x: 1 }).x = 1), 'what is stored is frozen')
})

t.test('a pod on a node ends gracefully; one without a node, and a finished one, at once', async (t) => {
  const store = createStore()
  must(store.create(pod('waiting')))
  must(store.delete(at('pods', 'waiting')))
  t.equal(store.get('pods', 'default', 'waiting'), undefined)
  must(store.create(pod('web', { nodeName: 'n1' })))
  must(store.delete(at('pods', 'web')))
  t.equal(read(store, 'pods', 'web').metadata.deletionGracePeriodSeconds, 30)
  const revision = store.revision
  must(store.delete(at('pods', 'web'), { graceSeconds: 60 }))
  t.equal(store.revision, revision, 'a second request cannot prolong it')
  must(store.delete(at('pods', 'web'), { graceSeconds: 5 }))
  t.equal(read(store, 'pods', 'web').metadata.deletionGracePeriodSeconds, 5)
  t.match(why(store.delete(at('pods', 'web'), { graceSeconds: 0, uid: 'other' })), /another object/)
  must(store.delete(at('pods', 'web'), { graceSeconds: 0 }))
  t.equal(store.get('pods', 'default', 'web'), undefined)
  t.match(why(store.delete(at('pods', 'web'))), /not found/)
})

t.test('finalizers keep an object until the last is taken off', async (t) => {
  const store = createStore()
  must(store.create({ ...map('a'), metadata: { name: 'a', finalizers: ['x/y', 'x/z'] } }))
  must(store.delete(at('configmaps', 'a')))
  t.ok(read(store, 'configmaps', 'a').metadata.deletionTimestamp)
  must(store.modify(at('configmaps', 'a'), (o) => void (o.metadata.finalizers = ['x/z', 'x/new'])))
  t.same(read(store, 'configmaps', 'a').metadata.finalizers, ['x/z'], 'none is added any more')
  must(store.modify(at('configmaps', 'a'), (o) => void (o.metadata.finalizers = [])))
  t.equal(store.get('configmaps', 'default', 'a'), undefined)
})

t.test('a watch resumes where it was, and too far back must list again', async (t) => {
  const store = createStore({ historySize: 10 })
  const seen: Change[] = []
  const from = store.revision
  store.onChange((change) => void seen.push(change))
  for (let i = 0; i < 5; i++) must(store.create(map(`m${i}`)))
  must(store.delete(at('configmaps', 'm0')))
  t.same(store.since(from), seen)
  t.same(
    seen.map(({ type }) => type),
    ['ADDED', 'ADDED', 'ADDED', 'ADDED', 'ADDED', 'DELETED'],
  )
  t.equal(seen[5]!.object.metadata.resourceVersion, String(store.revision), 'a deletion has its own revision')
  for (let i = 10; i < 30; i++) must(store.create(map(`m${i}`)))
  t.equal(store.since(from), null)
  t.equal(store.since(store.revision - 10)?.length, 10)
  t.equal(store.since(store.revision - 11), null)
  t.same(store.since(store.revision), [])
  store.compact()
  t.equal(store.since(store.revision - 1), null)
  t.same(store.since(store.revision), [])
})

t.test('a listener that writes is a bug, and found', async (t) => {
  const store = createStore()
  const stop = store.onChange(() => void store.create(map('b')))
  t.throws(() => store.create(map('a')), /a listener wrote/)
  stop()
  t.ok(store.create(map('c')).ok)
})

t.test('kinds nobody knows are kept as they are', async (t) => {
  const store = createStore()
  must(store.create({ apiVersion: 'x.io/v1', kind: 'Proxy', metadata: { name: 'p' }, spec: { a: null, b: [1] } }))
  t.same(read(store, 'proxies', 'p')['spec'], { a: null, b: [1] })
  t.equal(store.resources.find('Proxy')?.plural, 'proxies')
  must(store.create({ apiVersion: 'y.io/v1', kind: 'Proxy', metadata: { name: 'p' } }))
  t.ok(store.get('proxies.y.io', 'default', 'p'), 'the same kind of another group is another resource')
})

t.test('selectors as text', async (t) => {
  const labels = { app: 'web', tier: 'front', n: '5' }
  const cases: [string, boolean | null][] = [
    ['', true],
    ['app=web', true],
    ['app==web,tier!=back', true],
    ['app in (api, web)', true],
    ['app notin (api,web)', false],
    ['app in (a),tier', false],
    ['!missing', true],
    ['tier,!app', false],
    ['missing!=x', true],
    ['n>4,n<6', true],
    ['=x', null],
    ['a in b', null],
    ['a=(b)', false],
  ]
  for (const [text, expected] of cases) {
    const selector = parseLabelSelector(text)
    t.equal(selector === null ? null : matches(selector, labels), expected, text)
  }
  const object = must(createStore().create(pod('web', { nodeName: 'n1' })))
  t.ok(matchesFields(parseFieldSelector('spec.nodeName=n1,metadata.name!=x')!, object))
  t.notOk(matchesFields(parseFieldSelector('spec.nodeName=')!, object))
  t.equal(parseFieldSelector('what'), null)
})
