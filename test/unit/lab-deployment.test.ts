/** Deployments and ReplicaSets, step by step. The limits under any order: test/property/lab-rolling.test.ts. */
import t from 'tap'
import type { ApiObject, Fields } from '../../src/lab/api/object.ts'
import { deploymentController } from '../../src/lab/controllers/deployment.ts'
import { createControlPlane } from '../../src/lab/controllers/plane.ts'
import { limitsOf, nextNew, nextOld, proportions } from '../../src/lab/controllers/rolling.ts'
import { byWorth } from '../../src/lab/controllers/worth.ts'
import { FakeKubelet, settleAll } from './lab-kubelet.ts'
import { at, HandClock, must, read, template, workload } from './lab-objects.ts'

function cluster(clock = new HandClock()) {
  const plane = createControlPlane({ nowMs: clock.now, after: clock.after })
  const kubelet = new FakeKubelet(plane.store)
  for (const name of ['n1', 'n2']) kubelet.addNode(name)
  return { ...plane, kubelet, clock, settle: () => settleAll(plane, kubelet) }
}

const setImage = (image: string) => (d: ApiObject) => void (d['spec'].template.spec.containers[0].image = image)
const condition = (object: ApiObject, type: string): Fields =>
  object['status'].conditions.find((found: Fields) => found['type'] === type)

t.test('the arithmetic, as upstream has it', async (t) => {
  t.same(limitsOf(10, '25%', '25%'), { replicas: 10, maxSurge: 3, maxUnavailable: 2 })
  t.same(limitsOf(1, '25%', '25%'), { replicas: 1, maxSurge: 1, maxUnavailable: 0 })
  t.same(limitsOf(1, 0, '25%'), { replicas: 1, maxSurge: 0, maxUnavailable: 1 }, 'never both 0')
  const limits = limitsOf(10, 3, 2)
  t.equal(nextNew(limits, 0, 10), 3)
  t.equal(nextNew(limits, 3, 13), 3)
  t.equal(nextNew(limits, 12, 13), 10)
  const fresh = { replicas: 3, available: 0 }
  t.same(nextOld(limits, fresh, [{ replicas: 10, available: 10 }]), [8])
  t.same(nextOld(limits, fresh, [{ replicas: 10, available: 8 }]), [8], 'what is broken goes first')
  t.same(
    nextOld(limits, fresh, [
      { replicas: 2, available: 0 },
      { replicas: 8, available: 8 },
    ]),
    [0, 8],
  )
  t.same(nextOld(limits, fresh, [{ replicas: 8, available: 10 }]), [8], 'a status from before it was resized')
  t.same(nextOld(limits, { replicas: 3, available: 3 }, [{ replicas: 8, available: 8 }]), [5])
  const sets = [
    { replicas: 8, max: 13 },
    { replicas: 5, max: 13 },
  ]
  t.same(proportions(limitsOf(20, 3, 2), sets), [14, 9])
  t.same(proportions(limitsOf(0, 3, 2), sets), [0, 0])
})

t.test('comes up, rolls, goes back, keeps its history', async (t) => {
  const { store, settle, runner } = cluster()
  must(store.create(workload('Deployment', 'web', { replicas: 3, revisionHistoryLimit: 1 })))
  settle()
  const first = read(store, 'deployments', 'web')
  t.match(first['status'], {
    replicas: 3,
    updatedReplicas: 3,
    readyReplicas: 3,
    availableReplicas: 3,
    unavailableReplicas: 0,
  })
  t.equal(first['status'].observedGeneration, first.metadata.generation)
  t.match(condition(first, 'Available'), { status: 'True', reason: 'MinimumReplicasAvailable' })
  t.match(condition(first, 'Progressing'), { status: 'True', reason: 'NewReplicaSetAvailable' })
  t.match(store.list('pods')[0]!.metadata.name, /^web-[bcdf-hj-np-tv-z2-9]{5,10}-[bcdf-hj-np-tv-z2-9]{5}$/)
  const [set] = store.list('replicasets')
  t.equal(set!.metadata.labels!['pod-template-hash'], store.list('pods')[0]!.metadata.labels!['pod-template-hash'])
  for (const image of ['web:2', 'web:1', 'web:3', 'web:1']) {
    must(store.modify(at('deployments', 'web'), setImage(image)))
    settle()
    t.ok(store.list('pods').every((pod) => pod['spec'].containers[0].image === image))
  }
  const revisions = store
    .list('replicasets')
    .map(({ metadata }) => metadata.annotations!['deployment.kubernetes.io/revision'])
  t.same(revisions.toSorted(), ['4', '5'], 'one old one is kept, and going back is a new revision')
  t.equal(read(store, 'deployments', 'web').metadata.annotations!['deployment.kubernetes.io/revision'], '5')
  runner.stop()
})

t.test('nothing is taken away on the word of a ReplicaSet that has not seen its own size', async (t) => {
  const { store, settle, runner } = cluster()
  must(store.create(workload('Deployment', 'web', { replicas: 10 })))
  settle()
  must(store.modify(at('deployments', 'web'), setImage('web:2')))
  for (let i = 0; i < 5; i++) deploymentController.reconcile('default/web', store) // and no ReplicaSet controller
  t.same(
    store
      .list('replicasets')
      .map((set) => set['spec'].replicas)
      .toSorted(),
    [10, 3],
  )
  settle()
  t.same(
    store
      .list('replicasets')
      .map((set) => set['spec'].replicas)
      .toSorted(),
    [0, 10],
  )
  runner.stop()
})

t.test('only what the template says rolls: scaling and labels of the deployment keep the pods', async (t) => {
  const { store, settle, runner } = cluster()
  must(store.create(workload('Deployment', 'web', { replicas: 2 })))
  settle()
  const uids = store.list('pods').map(({ metadata }) => metadata.uid)
  must(store.modify(at('deployments', 'web'), (d) => ((d['spec'].replicas = 4), (d.metadata.labels = { x: 'y' }))))
  settle()
  const now = store.list('pods').map(({ metadata }) => metadata.uid)
  t.equal(now.length, 4)
  t.ok(uids.every((uid) => now.includes(uid)))
  runner.stop()
})

t.test('paused: no rollout, but scaling', async (t) => {
  const { store, settle, runner } = cluster()
  must(store.create(workload('Deployment', 'web', { replicas: 2 })))
  settle()
  must(store.modify(at('deployments', 'web'), (d) => ((d['spec'].paused = true), setImage('web:2')(d))))
  settle()
  t.ok(store.list('pods').every((pod) => pod['spec'].containers[0].image === 'web:1'))
  must(store.modify(at('deployments', 'web'), (d) => void (d['spec'].replicas = 3)))
  settle()
  t.equal(store.list('pods').length, 3)
  must(store.modify(at('deployments', 'web'), (d) => void (d['spec'].paused = false)))
  settle()
  t.ok(store.list('pods').every((pod) => pod['spec'].containers[0].image === 'web:2'))
  runner.stop()
})

t.test('Recreate: the old ones are gone before the new ones come', async (t) => {
  const { store, settle, runner, kubelet } = cluster()
  must(store.create(workload('Deployment', 'web', { replicas: 2, strategy: { type: 'Recreate' } })))
  settle()
  must(store.modify(at('deployments', 'web'), setImage('web:2')))
  runner.settle()
  t.equal(store.list('pods').length, 2)
  t.ok(store.list('pods').every(({ metadata }) => metadata.deletionTimestamp !== undefined))
  kubelet.remove(store.list('pods')[0]!)
  runner.settle()
  t.equal(store.list('pods').length, 1, 'none comes while one is left')
  settle()
  t.ok(store.list('pods').every((pod) => pod['spec'].containers[0].image === 'web:2'))
  t.equal(store.list('pods').length, 2)
  runner.stop()
})

t.test('minReadySeconds and the progress deadline', async (t) => {
  const { store, settle, runner, kubelet, clock } = cluster()
  must(store.create(workload('Deployment', 'web', { minReadySeconds: 10, progressDeadlineSeconds: 60 })))
  settle()
  t.match(read(store, 'deployments', 'web')['status'], { readyReplicas: 1, availableReplicas: 0 })
  clock.advance(10_000)
  runner.settle()
  t.equal(read(store, 'deployments', 'web')['status'].availableReplicas, 1)
  must(store.modify(at('deployments', 'web'), setImage('web:bad')))
  runner.settle()
  kubelet.run(store.list('pods').find((pod) => pod['spec'].containers[0].image === 'web:bad')!)
  clock.advance(60_000)
  runner.settle()
  t.match(condition(read(store, 'deployments', 'web'), 'Progressing'), {
    status: 'False',
    reason: 'ProgressDeadlineExceeded',
  })
  t.match(condition(read(store, 'deployments', 'web'), 'Available'), { status: 'True' }, 'the old pod still serves')
  runner.stop()
})

t.test('a ReplicaSet replaces what is lost, adopts orphans and lets go what no longer matches', async (t) => {
  const { store, settle, runner, kubelet } = cluster()
  const orphan = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'orphan', ...template('web')['metadata'] },
    spec: template('web')['spec'],
  }
  must(store.create(orphan))
  must(store.create(workload('ReplicaSet', 'web', { replicas: 2 })))
  settle()
  t.equal(store.list('pods').length, 2, 'the orphan counts')
  t.equal(read(store, 'pods', 'orphan').metadata.ownerReferences![0]!.name, 'web')
  must(store.modify(at('pods', 'orphan'), (p) => void (p.metadata.labels = { app: 'debug' })))
  settle()
  t.equal(store.list('pods').length, 3)
  t.same(read(store, 'pods', 'orphan').metadata.ownerReferences, [])
  const victim = store.list('pods').find(({ metadata }) => metadata.name !== 'orphan')!
  kubelet.finish(victim, 'Failed')
  settle()
  t.match(read(store, 'replicasets', 'web')['status'], { replicas: 2, readyReplicas: 2 })
  runner.stop()
})

t.test('a template that is refused says so in events and stops nothing', async (t) => {
  const { store, settle, runner } = cluster()
  const bad = workload('ReplicaSet', 'bad')
  bad['spec'].template.metadata.annotations = { big: 'x'.repeat(200_000), big2: 'x'.repeat(200_000) }
  must(store.create(bad))
  must(store.create(workload('ReplicaSet', 'good')))
  settle()
  t.match(store.list('events')[0], { reason: 'FailedCreate', type: 'Warning', involvedObject: { name: 'bad' } })
  t.equal(read(store, 'replicasets', 'good')['status'].readyReplicas, 1)
  runner.stop()
})

t.test('which pods go first', async (t) => {
  const make = (name: string, spec: Fields, status: Fields, annotations: Fields = {}): ApiObject =>
    ({ metadata: { name, creationTimestamp: '2030-01-01T00:00:00Z', annotations }, spec, status }) as never
  const ready = (time: string): Fields => ({
    phase: 'Running',
    conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: time }],
  })
  const on = (nodeName: string): Fields => ({ nodeName })
  const pods = [
    make('oldest', on('n1'), ready('2030-01-01T00:00:01Z')),
    make('younger', on('n2'), ready('2030-01-01T00:00:09Z')),
    make('cheap', on('n3'), ready('2030-01-01T00:00:01Z'), { 'controller.kubernetes.io/pod-deletion-cost': '-5' }),
    make('unready', on('n4'), { phase: 'Running' }),
    make('pending', on('n5'), { phase: 'Pending' }),
    make('nowhere', {}, { phase: 'Pending' }),
    make('zdoubled', on('n1'), ready('2030-01-01T00:00:01Z')),
  ]
  const names = byWorth(pods).map(({ metadata }) => metadata.name)
  t.same(names, ['nowhere', 'pending', 'unready', 'cheap', 'zdoubled', 'younger', 'oldest'])
})
