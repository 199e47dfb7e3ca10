/** StatefulSets, DaemonSets, Jobs, namespaces, garbage: step by step, with a stand-in for the nodes. */
import t from 'tap'
import type { ApiObject, Fields } from '../../src/lab/api/object.ts'
import { createControlPlane } from '../../src/lab/controllers/plane.ts'
import { FakeKubelet, isReady, settleAll } from './lab-kubelet.ts'
import { at, HandClock, must, pod, read, service, template, why, workload } from './lab-objects.ts'

function cluster(nodes = ['n1', 'n2']) {
  const clock = new HandClock()
  const plane = createControlPlane({ nowMs: clock.now, after: clock.after })
  const kubelet = new FakeKubelet(plane.store)
  for (const name of nodes) kubelet.addNode(name)
  const names = (): string[] => plane.store.list('pods').map(({ metadata }) => metadata.name)
  const images = (): string[] => plane.store.list('pods').map((p) => p['spec'].containers[0].image)
  return { ...plane, kubelet, clock, names, images, settle: () => settleAll(plane, kubelet) }
}

const setImage = (image: string) => (d: ApiObject) => void (d['spec'].template.spec.containers[0].image = image)

t.test('StatefulSet: in order up, in order down, names and hosts', async (t) => {
  const { store, runner, kubelet, names, settle } = cluster()
  const claims = [{ metadata: { name: 'data' }, spec: {} }]
  must(store.create(workload('StatefulSet', 'db', { replicas: 3, serviceName: 'db', volumeClaimTemplates: claims })))
  for (let n = 1; n <= 3; n++) {
    runner.settle()
    t.equal(names().length, n, 'the next one only when this one is ready')
    kubelet.ready(read(store, 'pods', `db-${n - 1}`))
  }
  runner.settle()
  const { metadata, spec } = read(store, 'pods', 'db-1')
  t.match(spec, { hostname: 'db-1', subdomain: 'db' })
  t.match(metadata.labels, { 'apps.kubernetes.io/pod-index': '1', 'statefulset.kubernetes.io/pod-name': 'db-1' })
  t.equal(spec.volumes[0].persistentVolumeClaim.claimName, 'data-db-1')
  t.equal(store.list('persistentvolumeclaims').length, 3)
  t.match(read(store, 'statefulsets', 'db')['status'], {
    replicas: 3,
    readyReplicas: 3,
    currentReplicas: 3,
    updatedReplicas: 3,
  })
  must(store.modify(at('statefulsets', 'db'), (s) => void (s['spec'].replicas = 1)))
  runner.settle()
  const leaving = store.list('pods').filter((p) => p.metadata.deletionTimestamp !== undefined)
  t.same(
    leaving.map((p) => p.metadata.name),
    ['db-2'],
    'the highest alone',
  )
  settle()
  t.same(names(), ['db-0'])
  runner.stop()
})

t.test('StatefulSet: rolls from the highest down to the partition, one at a time', async (t) => {
  const { store, runner, kubelet, settle, names, images } = cluster()
  const updateStrategy = { rollingUpdate: { partition: 1 } }
  must(store.create(workload('StatefulSet', 'db', { replicas: 3, updateStrategy })))
  settle()
  must(store.modify(at('statefulsets', 'db'), setImage('web:2')))
  for (let steps = 0; steps < 20 && kubelet.pending().length + runner.settle() > 0; steps++) {
    t.ok(store.list('pods').filter(isReady).length >= 2 || store.list('pods').length < 3)
    const [next] = kubelet.pending()
    if (next !== undefined) kubelet.step(next)
  }
  settle()
  t.same(images(), ['web:1', 'web:2', 'web:2'])
  kubelet.finish(read(store, 'pods', 'db-0'), 'Failed')
  settle()
  t.same(images(), ['web:1', 'web:2', 'web:2'], 'below the partition it comes back as it was')
  must(store.modify(at('statefulsets', 'db'), (s) => void (s['spec'].updateStrategy.rollingUpdate.partition = 0)))
  settle()
  t.same(images(), ['web:2', 'web:2', 'web:2'])
  const { status } = read(store, 'statefulsets', 'db')
  t.equal(status.currentRevision, status.updateRevision)
  t.same(names(), ['db-0', 'db-1', 'db-2'])
  runner.stop()
})

t.test('StatefulSet: Parallel comes and goes all at once', async (t) => {
  const { store, runner, kubelet, names, images } = cluster()
  must(
    store.create(
      workload('StatefulSet', 'db', { replicas: 4, podManagementPolicy: 'Parallel', ordinals: { start: 2 } }),
    ),
  )
  runner.settle()
  t.same(names(), ['db-2', 'db-3', 'db-4', 'db-5'])
  for (const made of store.list('pods')) kubelet.ready(made)
  must(store.modify(at('statefulsets', 'db'), setImage('web:2')))
  for (let steps = 0; steps < 30 && kubelet.pending().length + runner.settle() > 0; steps++) {
    const ready = store.list('pods').filter((p) => isReady(p) && !p.metadata.deletionTimestamp)
    t.ok(ready.length >= 3, 'but is replaced one by one')
    const [next] = kubelet.pending()
    if (next !== undefined) kubelet.step(next)
  }
  t.same(images(), ['web:2', 'web:2', 'web:2', 'web:2'])
  must(store.modify(at('statefulsets', 'db'), (s) => void (s['spec'].replicas = 0)))
  runner.settle()
  t.ok(store.list('pods').every((p) => p.metadata.deletionTimestamp !== undefined))
  runner.stop()
})

t.test('DaemonSet: one a node that fits, follows nodes, rolls', async (t) => {
  const { store, runner, kubelet, settle, images } = cluster(['n1', 'n2'])
  kubelet.addNode('tainted', undefined, { spec: { taints: [{ key: 'gpu', value: 'x', effect: 'NoSchedule' }] } })
  kubelet.addNode('cordoned', undefined, { spec: { unschedulable: true } })
  must(store.create(workload('DaemonSet', 'agent')))
  settle()
  const nodes = (): string[] =>
    store
      .list('pods')
      .map((p) => p['spec'].nodeName as string)
      .toSorted()
  t.same(nodes(), ['cordoned', 'n1', 'n2'])
  kubelet.addNode('n3')
  settle()
  t.same(nodes(), ['cordoned', 'n1', 'n2', 'n3'])
  must(store.modify(at('nodes', 'n3', ''), (n) => void (n['spec'].taints = [{ key: 'gpu', effect: 'NoSchedule' }])))
  settle()
  t.same(nodes(), ['cordoned', 'n1', 'n2'])
  must(store.modify(at('daemonsets', 'agent'), setImage('web:2')))
  for (let steps = 0; steps < 30 && kubelet.pending().length + runner.settle() > 0; steps++) {
    t.ok(
      store.list('pods').filter((p) => isReady(p) && !p.metadata.deletionTimestamp).length >= 2,
      'one missing at most',
    )
    const [next] = kubelet.pending()
    if (next !== undefined) kubelet.step(next)
  }
  t.same(images(), ['web:2', 'web:2', 'web:2'])
  t.match(read(store, 'daemonsets', 'agent')['status'], {
    desiredNumberScheduled: 3,
    numberReady: 3,
    updatedNumberScheduled: 3,
  })
  const surge = { updateStrategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } } }
  must(store.modify(at('daemonsets', 'agent'), (d) => (Object.assign(d['spec'], surge), setImage('web:3')(d))))
  for (let steps = 0; steps < 30 && kubelet.pending().length + runner.settle() > 0; steps++) {
    const active = store.list('pods').filter((p) => !p.metadata.deletionTimestamp)
    t.ok(active.filter(isReady).length >= 3 && active.length <= 4, 'none missing, one more at most')
    const [next] = kubelet.pending()
    if (next !== undefined) kubelet.step(next)
  }
  t.same(images(), ['web:3', 'web:3', 'web:3'])
  runner.stop()
})

const job = (name: string, spec: Fields = {}): Fields =>
  workload('Job', name, { template: template(name, { restartPolicy: 'Never' }), ...spec })

t.test('Job: completions and parallelism', async (t) => {
  const { store, runner, kubelet } = cluster()
  must(store.create(job('work', { completions: 5, parallelism: 2 })))
  for (let done = 0; done < 5; done++) {
    runner.settle()
    const active = store.list('pods').filter((p) => p['status'].phase !== 'Succeeded')
    t.equal(active.length, Math.min(2, 5 - done))
    kubelet.finish(active[0]!, 'Succeeded')
  }
  runner.settle()
  const { status } = read(store, 'jobs', 'work')
  t.match(status, { succeeded: 5, active: 0, conditions: [{ type: 'Complete', status: 'True' }] })
  t.ok(status.completionTime)
  runner.stop()
})

t.test('Job: backs off, gives up, indexes, deadline, goes by itself', async (t) => {
  const { store, runner, kubelet, clock, settle } = cluster()
  const failOne = (): void =>
    kubelet.finish(
      store.list('pods').find((p) => p['status'].phase !== 'Failed')!,
      'Failed',
    )
  must(store.create(job('bad', { backoffLimit: 1, ttlSecondsAfterFinished: 60 })))
  settle()
  failOne()
  runner.settle()
  t.equal(store.list('pods').length, 1, 'not at once')
  clock.advance(10_000)
  settle()
  t.equal(store.list('pods').length, 2)
  failOne()
  runner.settle()
  t.match(read(store, 'jobs', 'bad')['status'].conditions, [{ type: 'Failed', reason: 'BackoffLimitExceeded' }])
  clock.advance(60_000)
  runner.settle()
  t.equal(store.get('jobs', 'default', 'bad'), undefined)
  t.equal(store.list('pods').length, 0, 'its pods with it')
  must(store.create(job('indexed', { completions: 2, parallelism: 2, completionMode: 'Indexed' })))
  settle()
  t.same(
    store
      .list('pods')
      .map((p) => p['spec'].containers[0].env[0].value)
      .toSorted(),
    ['0', '1'],
  )
  kubelet.finish(store.list('pods')[0]!, 'Succeeded')
  runner.settle()
  t.equal(store.list('pods').length, 2, 'an index that is done is not done again')
  must(store.create(job('one-by-one', { completions: 3, completionMode: 'Indexed' })))
  for (const index of ['0', '1', '2']) {
    settle()
    const running = store
      .list('pods')
      .filter((p) => p.metadata.name.startsWith('one') && p['status'].phase === 'Running')
    t.same(
      running.map((p) => p.metadata.annotations!['batch.kubernetes.io/job-completion-index']),
      [index],
    )
    kubelet.finish(running[0]!, 'Succeeded')
  }
  must(store.create(job('slow', { activeDeadlineSeconds: 30 })))
  settle()
  clock.advance(30_000)
  settle()
  t.match(read(store, 'jobs', 'slow')['status'].conditions, [{ type: 'Failed', reason: 'DeadlineExceeded' }])
  t.match(why(store.create(workload('Job', 'always'))), /restartPolicy: Always is not possible/)
  runner.stop()
})

t.test('a namespace takes all that is in it, and is gone when the last is', async (t) => {
  const { store, runner, kubelet } = cluster()
  must(store.create({ ...workload('Deployment', 'web'), metadata: { name: 'web', namespace: 'shop' } }))
  must(store.create({ ...service('web'), metadata: { name: 'web', namespace: 'shop' } }))
  settleAll({ store, runner }, kubelet)
  t.ok(store.get('serviceaccounts', 'shop', 'default'))
  must(store.delete(at('namespaces', 'shop', '')))
  runner.settle()
  t.equal(read(store, 'namespaces', 'shop', '')['status'].phase, 'Terminating')
  t.equal(store.list('pods', 'shop').length, 1, 'the pod has its grace period')
  t.equal(store.list('services', 'shop').length, 0)
  t.match(
    why(store.create({ ...service('b'), metadata: { name: 'b', namespace: 'shop' } })),
    /namespace shop is being deleted/,
  )
  kubelet.remove(store.list('pods', 'shop')[0]!)
  runner.settle()
  t.equal(store.get('namespaces', '', 'shop'), undefined)
  runner.stop()
})

t.test('what is owned goes with its owner: after it, before it, or not at all', async (t) => {
  const { store, runner, settle } = cluster()
  must(store.create(workload('Deployment', 'web', { replicas: 2 })))
  must(store.create(service('web')))
  settle()
  must(store.delete(at('services', 'web')))
  must(store.delete(at('deployments', 'web')))
  settle()
  for (const kind of ['deployments', 'replicasets', 'pods', 'endpointslices']) t.equal(store.list(kind).length, 0, kind)

  must(store.create(workload('Deployment', 'web', { replicas: 2 })))
  settle()
  must(store.delete(at('deployments', 'web'), { propagation: 'Foreground' }))
  runner.settle()
  t.ok(read(store, 'deployments', 'web').metadata.deletionTimestamp, 'it waits for its pods')
  t.equal(store.list('replicasets').length, 1)
  settle()
  for (const kind of ['deployments', 'replicasets', 'pods']) t.equal(store.list(kind).length, 0, kind)

  must(store.create(workload('ReplicaSet', 'web', { replicas: 2 })))
  settle()
  must(store.delete(at('replicasets', 'web'), { propagation: 'Orphan' }))
  settle()
  t.equal(store.list('replicasets').length, 0)
  t.equal(store.list('pods').length, 2, 'left alone')
  t.same(store.list('pods')[0]!.metadata.ownerReferences, [])

  const owner = { apiVersion: 'v1', kind: 'Pod', name: 'gone', uid: 'no-such-uid' }
  must(store.create({ ...pod('late'), metadata: { name: 'late', ownerReferences: [owner] } }))
  settle()
  t.equal(store.get('pods', 'default', 'late'), undefined, 'an owner that was never there is gone too')
  runner.stop()
})

t.test('endpoints: named ports, host network, hostnames, not ready, headless, no selector', async (t) => {
  const { store, runner, kubelet } = cluster()
  must(store.modify(at('nodes', 'n1', ''), (n) => void (n.metadata.labels!['topology.kubernetes.io/zone'] = 'z-a')))
  must(
    store.create(
      service('web', {
        ports: [
          { name: 'a', port: 80, targetPort: 'http' },
          { name: 'b', port: 81, targetPort: 'none' },
        ],
      }),
    ),
  )
  must(store.create(service('bare', { clusterIP: 'None', ports: [] })))
  must(store.create({ ...service('manual'), spec: { ports: [{ port: 80 }] } }))
  runner.settle()
  const of = (name: string): ApiObject[] =>
    store.list('endpointslices').filter(({ metadata }) => metadata.labels!['kubernetes.io/service-name'] === name)
  t.match(of('web'), [{ endpoints: [], ports: [] }], 'nobody yet is said too')
  t.equal(of('manual').length, 0)
  const containers = [{ name: 'main', ports: [{ name: 'http', containerPort: 8080 }] }]
  const made = must(
    store.create(pod('web-0', { containers, nodeName: 'n1', hostname: 'web-0', subdomain: 'web' }, { app: 'web' })),
  )
  kubelet.run(made)
  runner.settle()
  t.match(of('web'), [
    {
      addressType: 'IPv4',
      ports: [{ name: 'a', port: 8080, protocol: 'TCP' }],
      endpoints: [
        {
          conditions: { ready: false, serving: false, terminating: false },
          hostname: 'web-0',
          nodeName: 'n1',
          zone: 'z-a',
        },
      ],
    },
  ])
  t.equal(of('web')[0]!['ports'].length, 1, 'a port that the pod does not have is left out')
  t.equal(of('web')[0]!['endpoints'][0].targetRef.uid, made.metadata.uid)
  must(store.modify(at('services', 'bare'), (s) => void (s['spec'].selector = { app: 'web' })))
  runner.settle()
  t.match(of('bare'), [{ ports: [], endpoints: [{}] }])
  t.ok('service.kubernetes.io/headless' in of('bare')[0]!.metadata.labels!)
  must(store.modify(at('services', 'bare'), (s) => void delete s['spec'].selector))
  runner.settle()
  t.equal(of('bare').length, 0)
  store.delete({ ...at('endpointslices', of('web')[0]!.metadata.name) })
  runner.settle()
  t.equal(of('web').length, 1, 'what somebody deleted is made again')
  runner.stop()
})

t.test('Endpoints written by hand are mirrored for a Service without a selector', async (t) => {
  const { store, runner } = cluster()
  const address = (ip: string): Fields => ({ ip })
  const subsets = [
    {
      addresses: [address('192.0.2.1'), address('fd00::1')],
      notReadyAddresses: [address('192.0.2.2')],
      ports: [{ port: 80 }],
    },
    { addresses: [address('127.0.0.1'), address('010.0.0.1')], ports: [{ port: 81 }] },
  ]
  must(store.create({ apiVersion: 'v1', kind: 'Endpoints', metadata: { name: 'db', namespace: 'default' }, subsets }))
  runner.settle()
  t.equal(store.list('endpointslices').length, 0, 'nobody asks for them')
  must(store.create({ ...service('db'), spec: { ports: [{ port: 80 }] } }))
  runner.settle()
  const found = store
    .list('endpointslices')
    .map(({ addressType, ports, endpoints, metadata }) => [
      metadata.labels!['kubernetes.io/service-name'],
      addressType,
      ports,
      endpoints.map((endpoint: Fields) => [endpoint['addresses'][0], endpoint['conditions'].ready]),
    ])
  const ports = [{ name: '', protocol: 'TCP', port: 80 }]
  t.same(found.toSorted(), [
    [
      'db',
      'IPv4',
      ports,
      [
        ['192.0.2.1', true],
        ['192.0.2.2', false],
      ],
    ],
    ['db', 'IPv6', ports, [['fd00::1', true]]],
  ])
  t.equal(store.list('events').length, 2, 'the two that cannot be used are named')
  must(store.modify(at('services', 'db'), (s) => void (s['spec'].selector = { app: 'db' })))
  runner.settle()
  t.ok(
    store.list('endpointslices').every((slice) => slice['endpoints'].length === 0),
    'the selector decides now',
  )
  must(store.delete(at('endpoints', 'db')))
  must(store.delete(at('services', 'db')))
  runner.settle()
  t.equal(store.list('endpointslices').length, 0)
  runner.stop()
})
