/** Whatever people write: it is taken or refused with a reason, and what is taken makes no controller stumble. */
import fc from 'fast-check'
import t from 'tap'
import { applyObjects } from '../../src/lab/api/apply.ts'
import { draft, isObject, type Fields } from '../../src/lab/api/object.ts'
import { createControlPlane } from '../../src/lab/controllers/plane.ts'
import { FakeKubelet } from '../unit/lab-kubelet.ts'
import { pod, service, template, workload } from '../unit/lab-objects.ts'

const term = { labelSelector: { matchLabels: { app: 'web' } }, topologyKey: 'kubernetes.io/hostname' }
const REQUIRED = 'requiredDuringSchedulingIgnoredDuringExecution'
const rich = {
  nodeSelector: { disk: 'ssd' },
  tolerations: [{ key: 'a', operator: 'Exists' }],
  topologySpreadConstraints: [{ ...term, maxSkew: 1, whenUnsatisfiable: 'DoNotSchedule' }],
  affinity: {
    podAntiAffinity: { [REQUIRED]: [term] },
    podAffinity: { [REQUIRED]: [term] },
    nodeAffinity: {
      [REQUIRED]: { nodeSelectorTerms: [{ matchExpressions: [{ key: 'a', operator: 'In', values: ['b'] }] }] },
    },
  },
}
const seeds: readonly Fields[] = [
  pod('web', rich, { app: 'web' }),
  service('web', { type: 'LoadBalancer', externalTrafficPolicy: 'Local', loadBalancerSourceRanges: ['10.0.0.0/8'] }),
  service('web', {
    clusterIP: 'None',
    sessionAffinity: 'ClientIP',
    externalIPs: ['192.0.2.1'],
    ipFamilyPolicy: 'PreferDualStack',
  }),
  workload('Deployment', 'web', { replicas: 2, strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: '25%' } } }),
  workload('ReplicaSet', 'web', { replicas: 2, template: template('web', rich) }),
  workload('StatefulSet', 'web', { serviceName: 'web', volumeClaimTemplates: [{ metadata: { name: 'data' } }] }),
  workload('DaemonSet', 'web', { updateStrategy: { rollingUpdate: { maxUnavailable: 1 } } }),
  workload('Job', 'web', {
    template: template('web', { restartPolicy: 'Never' }),
    completionMode: 'Indexed',
    completions: 2,
  }),
  {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name: 'web', namespace: 'default' },
    addressType: 'IPv4',
    endpoints: [{ addresses: ['192.0.2.1'], conditions: { ready: true } }],
    ports: [{ port: 80 }],
  },
  {
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: { name: 'web', namespace: 'default' },
    subsets: [{ addresses: [{ ip: '192.0.2.1' }], ports: [{ port: 80 }] }],
  },
  {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'n9' },
    spec: { taints: [{ key: 'a' }] },
    status: { addresses: [] },
  },
]

/** Where to change something: steps down the object, and what to put there. */
const change = fc.record({
  steps: fc.array(fc.nat(), { minLength: 1, maxLength: 8, size: 'max' }),
  value: fc.oneof(
    fc.constantFrom<unknown>(
      null,
      undefined,
      '',
      'x',
      'None',
      '::',
      '10.96.0.1',
      0,
      -1,
      1.5,
      70_000,
      true,
      [],
      {},
      [null],
      [[]],
      [{}],
      { toString: 0, valueOf: 0 }, // String() throws
    ),
    fc.jsonValue({ maxDepth: 2 }),
  ),
})

t.test('YAML with anchors: endless and exploding objects are refused', async (t) => {
  const { store, runner } = createControlPlane()
  const endless = pod('endless')
  endless['spec'].again = endless
  let laughs: unknown = ['ha']
  for (let i = 0; i < 9; i++) laughs = Array.from({ length: 10 }, () => laughs)
  const bomb = { ...pod('bomb'), data: laughs }
  for (const raw of [endless, bomb]) {
    t.match(store.create(raw), { ok: false, failure: { message: /more than .* values or .* levels: split it/ } })
    t.match(applyObjects(store, [raw, { kind: 'List', items: [raw] }]), [
      { action: 'rejected' },
      { action: 'rejected' },
    ])
  }
  runner.stop()
})

t.test('objects with anything anywhere', async (t) => {
  let taken = 0
  let refused = 0
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: seeds.length - 1 }),
      fc.array(change, { minLength: 1, maxLength: 3 }),
      (which, changes) => {
        const { store, runner } = createControlPlane()
        new FakeKubelet(store).addNode('n1', 'z-a')
        store.create(service('other', { selector: { app: 'web' } }))
        const raw = draft(seeds[which]!)
        for (const { steps, value } of changes) put(raw, steps, draft([value])[0])
        const outcome = store.create(raw)
        if (!outcome.ok && outcome.failure.message === '') throw new Error('refused without a reason')
        if (outcome.ok) taken++
        else refused++
        runner.settle()
        store.update(raw)
        runner.settle()
        runner.stop()
      },
    ),
    { numRuns: 2000 },
  )
  t.ok(taken > 100 && refused > 100, `${taken} were taken, ${refused} refused`)
})

function put(object: Fields, steps: readonly number[], value: unknown): void {
  let at: Fields = object
  for (const [i, step] of steps.entries()) {
    const fields = Object.keys(at)
    const field = fields[step % Math.max(1, fields.length)]
    if (field === undefined || field === 'apiVersion') return
    const inner: unknown = at[field]
    if (i === steps.length - 1 || !(isObject(inner) || Array.isArray(inner))) return void (at[field] = value)
    at = inner as Fields
  }
}
