/** The scheduler: what must hold, what is preferred, and what it says when nothing fits. */
import t from 'tap'
import type { Fields } from '../../src/lab/api/object.ts'
import { createControlPlane } from '../../src/lab/controllers/plane.ts'
import { FakeKubelet } from './lab-kubelet.ts'
import { at, must, pod, read, workload } from './lab-objects.ts'

function cluster() {
  const plane = createControlPlane()
  const kubelet = new FakeKubelet(plane.store)
  kubelet.addNode('n1', 'z-a', { labels: { disk: 'ssd', cores: '4' } })
  kubelet.addNode('n2', 'z-b', { labels: { cores: '16' } })
  kubelet.addNode('n3', 'z-b', { spec: { taints: [{ key: 'own', value: 'me', effect: 'NoSchedule' }] } })
  return { ...plane, kubelet }
}

const REQUIRED = 'requiredDuringSchedulingIgnoredDuringExecution'
const nodeAffinity = (...matchExpressions: Fields[]): Fields => ({
  affinity: { nodeAffinity: { [REQUIRED]: { nodeSelectorTerms: [{ matchExpressions }] } } },
})

t.test('what must hold', async (t) => {
  const { store, runner } = cluster()
  const cases: [string, Fields, string | undefined][] = [
    ['selector', { nodeSelector: { disk: 'ssd' } }, 'n1'],
    ['no such label', { nodeSelector: { disk: 'tape' } }, undefined],
    ['affinity', nodeAffinity({ key: 'cores', operator: 'Gt', values: ['8'] }), 'n2'],
    ['not in', nodeAffinity({ key: 'topology.kubernetes.io/zone', operator: 'NotIn', values: ['z-b'] }), 'n1'],
    ['taint', { nodeSelector: { 'kubernetes.io/hostname': 'n3' } }, undefined],
    [
      'tolerated',
      { nodeSelector: { 'kubernetes.io/hostname': 'n3' }, tolerations: [{ key: 'own', operator: 'Exists' }] },
      'n3',
    ],
    [
      'other value',
      { nodeSelector: { 'kubernetes.io/hostname': 'n3' }, tolerations: [{ key: 'own', value: 'you' }] },
      undefined,
    ],
    ['named', { nodeName: 'n2' }, 'n2'],
    ['another scheduler', { schedulerName: 'mine' }, undefined],
  ]
  for (const [what, spec, node] of cases) {
    const name = what.replaceAll(' ', '-')
    must(store.create(pod(name, spec)))
    runner.settle()
    t.equal(read(store, 'pods', name)['spec'].nodeName, node, what)
  }
  const { conditions } = read(store, 'pods', 'taint')['status']
  t.match(conditions, [
    {
      type: 'PodScheduled',
      status: 'False',
      reason: 'Unschedulable',
      message: /0\/3 nodes .*1 node\(s\) had untolerated taint \{own: me\}/,
    },
  ])
  t.ok(store.list('events').some(({ reason }) => reason === 'FailedScheduling'))
  runner.stop()
})

t.test('a pod that fits nowhere is placed when a node comes that it fits, or room', async (t) => {
  const { store, runner, kubelet } = cluster()
  const ports = {
    containers: [{ name: 'main', ports: [{ containerPort: 80, hostPort: 80 }] }],
    nodeSelector: { disk: 'ssd' },
  }
  must(store.create(pod('a', ports)))
  must(store.create(pod('b', ports)))
  must(store.create(pod('c', { nodeSelector: { disk: 'tape' } })))
  runner.settle()
  t.equal(read(store, 'pods', 'b')['spec'].nodeName, undefined, 'the host port is taken')
  kubelet.addNode('n4', 'z-a', { labels: { disk: 'tape' } })
  runner.settle()
  t.equal(read(store, 'pods', 'c')['spec'].nodeName, 'n4')
  kubelet.remove(read(store, 'pods', 'a'))
  runner.settle()
  t.equal(read(store, 'pods', 'b')['spec'].nodeName, 'n1')
  runner.stop()
})

t.test('spreads: replicas over nodes, anti-affinity, topology spread', async (t) => {
  const { store, runner } = cluster()
  must(store.create(workload('Deployment', 'web', { replicas: 4 })))
  runner.settle()
  const nodes = (app: string): string[] =>
    store
      .list('pods')
      .filter((p) => p.metadata.labels?.['app'] === app)
      .map((p) => p['spec'].nodeName ?? 'none')
      .toSorted()
  t.same(nodes('web'), ['n1', 'n1', 'n2', 'n2'])
  const term = { labelSelector: { matchLabels: { app: 'apart' } }, topologyKey: 'kubernetes.io/hostname' }
  const affinity = { podAntiAffinity: { [REQUIRED]: [term] } }
  for (const name of ['a1', 'a2', 'a3']) must(store.create(pod(name, { affinity }, { app: 'apart' })))
  runner.settle()
  t.same(nodes('apart'), ['n1', 'n2', 'none'])
  const together = {
    podAffinity: {
      [REQUIRED]: [{ labelSelector: { matchLabels: { app: 'pair' } }, topologyKey: 'topology.kubernetes.io/zone' }],
    },
  }
  for (const name of ['p1', 'p2', 'p3']) must(store.create(pod(name, { affinity: together }, { app: 'pair' })))
  runner.settle()
  t.equal(new Set(nodes('pair')).size, 1, 'the first goes anywhere, the others to its zone')
  const spread = {
    maxSkew: 1,
    topologyKey: 'topology.kubernetes.io/zone',
    whenUnsatisfiable: 'DoNotSchedule',
    labelSelector: { matchLabels: { app: 'even' } },
  }
  for (let i = 0; i < 4; i++) must(store.create(pod(`e${i}`, { topologySpreadConstraints: [spread] }, { app: 'even' })))
  runner.settle()
  t.same(nodes('even'), ['n1', 'n1', 'n2', 'n2'])
  runner.stop()
})

t.test('a node that is not ready, or going, gets nothing new', async (t) => {
  const { store, runner } = cluster()
  const conditions = [{ type: 'Ready', status: 'False' }]
  must(store.modify(at('nodes', 'n1', ''), (n) => void (n['status'].conditions = conditions), 'status'))
  must(store.create(pod('a')))
  runner.settle()
  t.equal(read(store, 'pods', 'a')['spec'].nodeName, 'n2')
  runner.stop()
})
