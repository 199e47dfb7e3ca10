/** EndpointSlices, however they came about, say what a plain reading of the pods says. */
import fc from 'fast-check'
import t from 'tap'
import type { ApiObject, Fields } from '../../src/lab/api/object.ts'
import type { Store } from '../../src/lab/api/store.ts'
import { createControlPlane } from '../../src/lab/controllers/plane.ts'
import { FakeKubelet, isReady } from '../unit/lab-kubelet.ts'
import { at, must, pod, service } from '../unit/lab-objects.ts'

type Step =
  | { do: 'add'; name: number; app: string; port: number; host: boolean }
  | { do: 'run' | 'ready' | 'unready' | 'delete' | 'remove' | 'finish'; name: number }
  | { do: 'label'; name: number; app: string }
  | { do: 'service'; publish: boolean; dual: boolean; distribution: string | undefined }

const name = fc.integer({ min: 0, max: 9 })
const app = fc.constantFrom('web', 'other')
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('add' as const), name, app, port: fc.constantFrom(8080, 9090), host: fc.boolean() }),
  fc.record({
    do: fc.constantFrom('run', 'ready', 'ready', 'unready', 'delete', 'remove', 'finish'),
    name,
  }) as fc.Arbitrary<Step>,
  fc.record({ do: fc.constant('label' as const), name, app }),
  fc.record({
    do: fc.constant('service' as const),
    publish: fc.boolean(),
    dual: fc.boolean(),
    distribution: fc.constantFrom(undefined, 'PreferClose', 'PreferSameZone', 'PreferSameNode'),
  }),
)

t.test('endpoint slices equal a brute-force reading of the pods', async (t) => {
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 60, size: 'max' }),
      fc.array(fc.boolean(), { minLength: 1, maxLength: 7 }),
      (steps, settles) => {
        const { store, runner } = createControlPlane()
        const kubelet = new FakeKubelet(store)
        kubelet.addNode('n1', 'z-a')
        kubelet.addNode('n2', 'z-b')
        must(store.create(service('web')))
        for (const [i, next] of steps.entries()) {
          take(store, kubelet, next)
          if (settles[i % settles.length]) runner.settle() // else several changes are seen at once
        }
        runner.settle()
        runner.stop()
        const found = slicesOf(store).flatMap(endpointsOf).toSorted()
        const expected = bruteForce(store).toSorted()
        if (JSON.stringify(found) !== JSON.stringify(expected)) {
          throw new Error(`${JSON.stringify(found)}\nshould be\n${JSON.stringify(expected)}`)
        }
      },
    ),
    { numRuns: 400 },
  )
  t.pass('for 400 random histories')
})

t.test('at most 100 endpoints a slice, and one change rewrites one slice', async (t) => {
  const { store, runner } = createControlPlane()
  const kubelet = new FakeKubelet(store)
  kubelet.addNode('n1')
  must(store.create(service('web')))
  const ports = [{ name: 'http', containerPort: 8080 }]
  for (let i = 0; i < 250; i++) {
    const made = must(
      store.create(pod(`web-${i}`, { containers: [{ name: 'main', ports }], nodeName: 'n1' }, { app: 'web' })),
    )
    kubelet.ready(made)
  }
  runner.settle()
  const sizes = slicesOf(store).map((slice) => slice['endpoints'].length)
  t.equal(sizes.length, 3)
  t.ok(Math.max(...sizes) <= 100)
  const before = store.revision
  kubelet.remove(store.get('pods', 'default', 'web-7')!)
  runner.settle()
  const changed = store.since(before)!.filter(({ resource }) => resource.plural === 'endpointslices')
  t.equal(changed.length, 1)
  runner.stop()
})

function take(store: Store, kubelet: FakeKubelet, step: Step): void {
  if (step.do === 'service') {
    const change = (next: ApiObject): void => {
      next['spec'].publishNotReadyAddresses = step.publish
      next['spec'].trafficDistribution = step.distribution
      next['spec'].ipFamilyPolicy = step.dual ? 'PreferDualStack' : 'SingleStack'
    }
    must(store.modify(at('services', 'web'), change))
    return
  }
  const key = `web-${step.name}`
  if (step.do === 'add') {
    const ports = [{ name: 'http', containerPort: step.port }]
    const node = step.name % 2 ? 'n1' : 'n2'
    const spec = { containers: [{ name: 'main', ports }], nodeName: node, hostNetwork: step.host }
    store.create(pod(key, spec, { app: step.app })) // may be there already
    return
  }
  const found = store.get('pods', 'default', key)
  if (found === undefined) return
  if (step.do === 'run') kubelet.run(found)
  else if (step.do === 'ready') kubelet.ready(found)
  else if (step.do === 'unready') kubelet.ready(found, false)
  else if (step.do === 'delete') store.delete(at('pods', key))
  else if (step.do === 'remove') kubelet.remove(found)
  else if (step.do === 'finish') kubelet.finish(found, 'Succeeded')
  else if (step.do === 'label')
    must(store.modify(at('pods', key), (next) => void (next.metadata.labels = { app: step.app })))
}

function slicesOf(store: Store): ApiObject[] {
  return store.list('endpointslices').filter(({ metadata }) => metadata.labels!['kubernetes.io/service-name'] === 'web')
}

function endpointsOf(slice: ApiObject): string[] {
  return (slice['endpoints'] as Fields[]).map(({ addresses, conditions, targetRef, nodeName, zone, hints }) =>
    JSON.stringify([
      slice['addressType'],
      addresses,
      conditions,
      targetRef.name,
      nodeName,
      zone,
      hints ?? null,
      slice['ports'][0].port,
    ]),
  )
}

function bruteForce(store: Store): string[] {
  const { spec } = store.get('services', 'default', 'web')!
  const wanted: string[] = []
  for (const { metadata, spec: podSpec, status, ...rest } of store.list('pods')) {
    if (metadata.labels?.['app'] !== 'web' || !status.podIPs || status.phase === 'Succeeded') continue
    const serving = isReady({ metadata, spec: podSpec, status, ...rest } as ApiObject)
    const terminating = metadata.deletionTimestamp !== undefined
    const ready = spec.publishNotReadyAddresses || (serving && !terminating)
    const zone = podSpec.nodeName === 'n1' ? 'z-a' : 'z-b'
    const zones = { forZones: [{ name: zone }] }
    const nodes = { ...zones, forNodes: [{ name: podSpec.nodeName }] }
    const hints =
      !ready || !spec.trafficDistribution ? null : spec.trafficDistribution === 'PreferSameNode' ? nodes : zones
    for (const [type, { ip }] of [
      ['IPv4', status.podIPs[0]],
      ['IPv6', status.podIPs[1]],
    ]) {
      if (!spec.ipFamilies.includes(type)) continue
      const port = podSpec.containers[0].ports[0].containerPort
      const conditions = { ready, serving, terminating }
      wanted.push(JSON.stringify([type, [ip], conditions, metadata.name, podSpec.nodeName, zone, hints, port]))
    }
  }
  return wanted
}
