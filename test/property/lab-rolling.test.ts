/** A rollout keeps its limits whatever the order in which pods become ready and go. */
import fc from 'fast-check'
import t from 'tap'
import { createControlPlane } from '../../src/lab/controllers/plane.ts'
import { limitsOf } from '../../src/lab/controllers/rolling.ts'
import { FakeKubelet, isReady, settleAll } from '../unit/lab-kubelet.ts'
import { at, must, read, workload } from '../unit/lab-objects.ts'

const share = fc.oneof(
  fc.integer({ min: 0, max: 4 }),
  fc.integer({ min: 0, max: 100 }).map((n) => `${n}%`),
)
const isZero = (value: number | string): boolean => parseInt(String(value), 10) === 0

t.test('never below replicas - maxUnavailable ready, never above replicas + maxSurge', async (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 8 }),
      share,
      share,
      fc.array(fc.nat(), { minLength: 1, maxLength: 40, size: 'max' }),
      fc.integer({ min: 1, max: 3 }),
      (replicas, maxSurge, maxUnavailable, order, rollouts) => {
        fc.pre(!(isZero(maxSurge) && isZero(maxUnavailable)))
        const plane = createControlPlane()
        const { store, runner } = plane
        const kubelet = new FakeKubelet(store)
        for (const node of ['n1', 'n2']) kubelet.addNode(node)
        const strategy = { rollingUpdate: { maxSurge, maxUnavailable } }
        must(store.create(workload('Deployment', 'web', { replicas, strategy })))
        settleAll(plane, kubelet)
        const limits = limitsOf(replicas, maxSurge, maxUnavailable)
        let turn = 0
        for (let image = 2; image < 2 + rollouts; image++) {
          must(
            store.modify(
              at('deployments', 'web'),
              (d) => void (d['spec'].template.spec.containers[0].image = `web:${image}`),
            ),
          )
          // The next rollout may begin in the middle of this one.
          const steps = image === 1 + rollouts ? 1000 : order[0]! % 5
          for (let step = 0; step < steps; step++) {
            runner.settle()
            const active = store.list('pods').filter((pod) => pod.metadata.deletionTimestamp === undefined)
            const ready = active.filter(isReady).length
            if (ready < limits.replicas - limits.maxUnavailable) throw new Error(`${ready} ready: too few`)
            if (active.length > limits.replicas + limits.maxSurge) throw new Error(`${active.length} pods: too many`)
            const pending = kubelet.pending()
            if (pending.length === 0) break
            kubelet.step(pending[order[turn++ % order.length]! % pending.length]!)
          }
        }
        const done = read(store, 'deployments', 'web')
        if (done['status'].updatedReplicas !== replicas || done['status'].availableReplicas !== replicas) {
          throw new Error(`it stopped half way: ${JSON.stringify(done['status'])}`)
        }
        const images = store.list('pods').map((pod) => pod['spec'].containers[0].image)
        if (images.some((image) => image !== `web:${1 + rollouts}`)) throw new Error(`old pods: ${images}`)
        runner.stop()
      },
    ),
    { numRuns: 100 },
  )
  t.pass('for 100 random rollouts')
})

t.test('scaling amid a rollout ends at the new size', async (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 8 }),
      fc.integer({ min: 0, max: 12 }),
      fc.nat({ max: 12 }),
      (from, to, steps) => {
        const plane = createControlPlane()
        const { store, runner } = plane
        const kubelet = new FakeKubelet(store)
        kubelet.addNode('n1')
        must(store.create(workload('Deployment', 'web', { replicas: from })))
        settleAll(plane, kubelet)
        must(
          store.modify(at('deployments', 'web'), (d) => void (d['spec'].template.spec.containers[0].image = 'web:2')),
        )
        for (let step = 0; step < steps; step++) {
          runner.settle()
          const [pod] = kubelet.pending()
          if (pod !== undefined) kubelet.step(pod)
        }
        must(store.modify(at('deployments', 'web'), (d) => void (d['spec'].replicas = to)))
        settleAll(plane, kubelet)
        const { status } = read(store, 'deployments', 'web')
        const pods = store.list('pods')
        runner.stop()
        return (
          pods.length === to &&
          status.availableReplicas === to &&
          pods.every((pod) => pod['spec'].containers[0].image === 'web:2')
        )
      },
    ),
    { numRuns: 50 },
  )
  t.pass('for 50 random scalings')
})
