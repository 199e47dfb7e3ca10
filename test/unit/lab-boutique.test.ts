/** A real application's manifests come up: every deployment available, every service with endpoints and an address. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { loadAll } from 'js-yaml'
import t from 'tap'
import { applyObjects } from '../../src/lab/api/apply.ts'
import { createControlPlane } from '../../src/lab/controllers/plane.ts'
import { FakeKubelet, settleAll } from './lab-kubelet.ts'

const file = join(process.env['FAIRLEAD_REAL'] ?? '../shared/real', 'online-boutique.yaml')

t.test('online boutique', { skip: existsSync(file) ? false : `${file} is not there` }, async (t) => {
  const plane = createControlPlane()
  const kubelet = new FakeKubelet(plane.store)
  kubelet.addNode('n1', 'z-a')
  kubelet.addNode('n2', 'z-b')
  const results = applyObjects(plane.store, loadAll(readFileSync(file, 'utf8')), { owner: 'files' })
  t.same(
    results.filter(({ action }) => action !== 'created'),
    [],
  )
  settleAll(plane, kubelet)
  const { store } = plane
  for (const { metadata, spec, status } of store.list('deployments')) {
    t.equal(status.availableReplicas, spec.replicas, metadata.name)
  }
  t.equal(store.list('deployments').length, 12)
  for (const { metadata, spec } of store.list('services')) {
    t.match(spec.clusterIP, /^10\.96\./)
    const slices = store.list('endpointslices', metadata.namespace).filter((slice) => {
      return slice.metadata.labels!['kubernetes.io/service-name'] === metadata.name
    })
    t.ok(
      slices.some((slice) => slice['endpoints'].length > 0),
      `${metadata.name} has endpoints`,
    )
  }
  const external = store.get('services', 'default', 'frontend-external')!
  t.equal(external['status'].loadBalancer.ingress[0].ip, '172.30.0.193')
  const onNode = Map.groupBy(store.list('pods'), (pod) => pod['spec'].nodeName as string)
  t.same(
    [...onNode.values()].map((pods) => pods.length),
    [6, 6],
    'spread over the nodes',
  )
  const revision = store.revision
  applyObjects(store, loadAll(readFileSync(file, 'utf8')), { owner: 'files' })
  plane.runner.settle()
  t.equal(store.revision, revision, 'saved again unchanged: nothing happens')
  plane.runner.stop()
})
