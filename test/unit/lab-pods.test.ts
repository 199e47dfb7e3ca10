/** What the lab decides about pods, without running any. */
import t from 'tap'
import type { ApiObject } from '../../src/lab/api/object.ts'
import { createStore } from '../../src/lab/api/create.ts'
import { conflistOf } from '../../src/lab/cni.ts'
import { workOf } from '../../src/lab/container.ts'
import { environmentOf, expand } from '../../src/lab/env.ts'
import { Limit } from '../../src/lab/limit.ts'
import { commandsFor } from '../../src/lab/page.ts'
import { nodePlans } from '../../src/lab/plan.ts'
import { hostsOf } from '../../src/lab/podfiles.ts'
import { portOf, type ContainerSpec } from '../../src/lab/podspec.ts'
import { statusOf, type ContainerState, type ContainerView } from '../../src/lab/podstatus.ts'
import { targetOf } from '../../src/lab/target.ts'

const path = '/usr/bin:/bin'

t.test('what a container does', async (t) => {
  const work = (spec: Partial<ContainerSpec>) => workOf({ name: 'c', ...spec }, { PATH: path, POD_NAME: 'p-0' })
  t.match(work({ command: ['sh', '-c'], args: ['exit 3'] }), { kind: 'command', command: ['sh', '-c', 'exit 3'] })
  t.match(work({ command: ['sh', '$(POD_NAME)', '$(NO)'] }).command, ['sh', 'p-0', '$(NO)'])
  t.match(work({ command: ['/bin/sh'] }), { kind: 'command' })
  const ports = [
    { containerPort: 80 },
    { containerPort: 53, protocol: 'UDP' },
    { containerPort: 9, protocol: 'SCTP' },
  ] as const
  t.match(work({ command: ['/no/such/thing'], ports }), {
    kind: 'stand-in',
    detail: /\/no\/such\/thing is not on this machine/,
  })
  t.same(work({ ports: [...ports, { containerPort: 80 }] }).command.slice(1), [
    'echo',
    '--listen',
    'tcp:80',
    '--listen',
    'udp:53',
  ])
  t.match(work({ args: ['--serve'], ports }), { kind: 'stand-in' }, 'arguments of an entrypoint that is not here')
  t.match(work({ command: ['/etc'] }), { kind: 'idle' }, 'a folder is no program')
  t.match(work({}), { kind: 'idle', detail: /no ports/ })
})

t.test('the environment', async (t) => {
  const env = { A: '1', B: '2' }
  t.equal(expand('$(A)-$(B)-$(C)-$$(A)-$A', env), '1-2-$(C)-$(A)-$A')
  const objects: Record<string, object> = {
    'configmaps/c': { data: { k: 'v' } },
    'secrets/s': { data: { k: Buffer.from('hidden').toString('base64') } },
  }
  const metadata = { name: 'p', namespace: 'ns', uid: 'u', labels: { app: 'web' } }
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata, spec: { serviceAccountName: 'robot' } } as unknown as ApiObject
  const read = (resource: string, name: string) => objects[`${resource}/${name}`] as ApiObject | undefined
  const facts = { pod, nodeName: 'n1', hostIP: '172.30.0.11', podIPs: ['10.244.1.2', 'fd00::2'], read }
  const of = (spec: Partial<ContainerSpec>) => environmentOf({ name: 'c', ...spec }, facts)
  const field = (name: string, fieldPath: string) => ({ name, valueFrom: { fieldRef: { fieldPath } } })
  t.match(
    of({
      envFrom: [
        { prefix: 'P_', configMapRef: { name: 'c' } },
        { secretRef: { name: 's' } },
        { configMapRef: { name: 'x', optional: true } },
      ],
      env: [
        field('IP', 'status.podIP'),
        field('IPS', 'status.podIPs'),
        field('NODE', 'spec.nodeName'),
        field('APP', "metadata.labels['app']"),
        field('SA', 'spec.serviceAccountName'),
        { name: 'URL', value: 'http://$(IP):80' },
        { name: 'KEY', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } },
        { name: 'NONE', valueFrom: { configMapKeyRef: { name: 'c', key: 'x', optional: true } } },
      ],
    }),
    {
      kind: 'done',
      env: {
        P_k: 'v',
        k: 'hidden',
        IP: '10.244.1.2',
        IPS: '10.244.1.2,fd00::2',
        NODE: 'n1',
        APP: 'web',
        SA: 'robot',
        URL: 'http://10.244.1.2:80',
        KEY: 'hidden',
        NONE: undefined,
        POD_NAME: 'p',
        POD_NAMESPACE: 'ns',
        NODE_NAME: 'n1',
      },
    },
  )
  t.match(of({ envFrom: [{ secretRef: { name: 'x' } }] }), { kind: 'failed', reason: /Secret x is not there/ })
  t.match(of({ env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'c', key: 'x' } } }] }), {
    kind: 'failed',
    reason: /c, key x/,
  })
})

t.test('ports by number and name', async (t) => {
  const container = { name: 'c', ports: [{ name: 'http', containerPort: 8080 }] }
  t.equal(portOf(container, 80), 80)
  t.equal(portOf(container, '81'), 81)
  t.equal(portOf(container, 'http'), 8080)
  t.equal(portOf(container, 'https'), null)
})

t.test('the phase and conditions of a pod', async (t) => {
  const running: ContainerState = { kind: 'running', startedAt: 'T0' }
  const waiting: ContainerState = { kind: 'waiting', reason: 'ContainerCreating', message: '' }
  const over = (exitCode: number): ContainerState => ({
    kind: 'terminated',
    exitCode,
    reason: '',
    message: '',
    startedAt: '',
    finishedAt: '',
  })
  const status = (states: ContainerState[], restartPolicy = 'Always', ready = false) => {
    const containers = states.map((state, i): ContainerView => ({
      spec: { name: `c${i}` },
      isInit: false,
      state,
      last: null,
      restarts: 0,
      started: ready,
      ready,
    }))
    const pod = {
      metadata: { name: 'p' },
      spec: { restartPolicy },
      status: { conditions: [{ type: 'Ready', status: 'False', lastTransitionTime: 'T0' }] },
    }
    const view = { startTime: 'T0', hostIPs: ['h'], ips: ['a', 'b'], hasSandbox: true, isInitialized: true, containers }
    return statusOf(pod as unknown as ApiObject, view, 'T1')
  }
  const ready = (s: ReturnType<typeof status>) =>
    (s['conditions'] as { type: string }[]).find(({ type }) => type === 'Ready')
  t.equal(status([waiting, waiting])['phase'], 'Pending')
  t.equal(status([running, waiting])['phase'], 'Running')
  t.equal(status([over(1)])['phase'], 'Running', 'it will be restarted')
  t.equal(status([over(0), over(0)], 'Never')['phase'], 'Succeeded')
  t.equal(status([over(0), over(2)], 'Never')['phase'], 'Failed')
  t.equal(status([over(0)], 'OnFailure')['phase'], 'Succeeded')
  t.equal(status([over(1)], 'OnFailure')['phase'], 'Running')
  t.match(ready(status([running], 'Always', true)), { status: 'True', lastTransitionTime: 'T1' })
  t.match(
    ready(status([running])),
    { status: 'False', lastTransitionTime: 'T0', message: /\[c0\]/ },
    'no transition, no new time',
  )
  t.match(ready(status([over(0)], 'Never', true)), { status: 'False', reason: 'PodCompleted' })
  t.match(status([running]), { podIP: 'a', podIPs: [{ ip: 'a' }, { ip: 'b' }] })
})

t.test('the hosts file of a pod', (t) => {
  const pod = (fields: object): ApiObject =>
    ({ metadata: { name: 'p', namespace: 'shop' }, spec: { containers: [], ...fields } }) as unknown as ApiObject
  const plain = hostsOf(pod({ hostAliases: [{ ip: '1.2.3.4', hostnames: ['x', 'y'] }] }), ['10.244.1.2', 'fd00::2'])
  t.match(plain, /^127\.0\.0\.1\tlocalhost\n[^]*^10\.244\.1\.2\tp\nfd00::2\tp\n1\.2\.3\.4\tx y\n$/m)
  const member = hostsOf(pod({ hostname: 'db-0', subdomain: 'db' }), ['10.244.1.2'])
  t.match(member, /^10\.244\.1\.2\tdb-0\.db\.shop\.svc\.cluster\.local\tdb-0$/m, 'with the name that DNS has for it')
  t.end()
})

t.test('what people point at', async (t) => {
  const store = createStore()
  const owner = (kind: string, object: ApiObject) => ({
    ownerReferences: [
      { apiVersion: 'apps/v1', kind, name: object.metadata.name, uid: object.metadata.uid, controller: true },
    ],
  })
  const made = (raw: object) => {
    const outcome = store.create(raw)
    if (!outcome.ok) throw new Error(outcome.failure.message)
    return outcome.object
  }
  const template = { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'x' }] } }
  const spec = { selector: { matchLabels: { a: 'b' } }, template }
  const deployment = made({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web' }, spec })
  const set = made({
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: { name: 'web-1', ...owner('Deployment', deployment) },
    spec,
  })
  for (const name of ['web-1-a', 'web-1-b'])
    made({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, labels: { a: 'b' }, ...owner('ReplicaSet', set) },
      spec: template.spec,
    })
  store.modify(
    { resource: 'pods', namespace: 'default', name: 'web-1-b' },
    (pod) => {
      pod['status'] = { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] }
    },
    'status',
  )
  const at = (words: string, namespace?: string) => targetOf(store, words, ['n1'], namespace)
  t.match(at('outside'), { kind: 'outside' })
  t.match(at('node/n1'), { kind: 'node', name: 'n1' })
  t.match(at('node/n9'), { kind: 'unknown', reason: /no node n9; there are: n1/ })
  t.match(at('web-1-a'), { kind: 'pod', pod: { metadata: { name: 'web-1-a' } } })
  t.match(at('pod/web-1-a'), { kind: 'pod' })
  t.match(at('default/web-1-a'), { kind: 'pod' })
  t.match(at('deploy/web'), { kind: 'pod', pod: { metadata: { name: 'web-1-b' } } }, 'the one that is ready')
  t.match(at('web'), { kind: 'unknown', reason: /there is deploy\/web/ })
  t.match(at('deploy/no'), { kind: 'unknown', reason: /no deploy\/no in namespace default; there are: default\/web/ })
  t.match(at('a/b/c'), { kind: 'unknown', reason: /slash too many/ })
  t.match(at('deploy/web', 'other'), { kind: 'unknown' })
})

t.test('three commands, whatever runs', async (t) => {
  const store = createStore()
  t.equal(commandsFor(store).length, 3, 'an empty cluster')
  store.create({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'db' },
    spec: { selector: { a: 'b' }, ports: [{ port: 5432 }] },
  })
  t.equal(commandsFor(store).length, 3)
})

t.test('plans and limits', async (t) => {
  const plans = nodePlans(50, ['a', 'b', 'c'])
  t.equal(new Set(plans.flatMap((plan) => [plan.ipv4, plan.ipv6, ...plan.podCIDRs])).size, 200)
  t.match(plans[3], { name: 'n4', zone: 'a', ipv4: '172.30.0.14', podCIDRs: ['10.244.4.0/24', 'fd00:10:244:4::/64'] })
  t.same(
    conflistOf(plans[0]!).plugins.map(({ type }) => type),
    ['ptp', 'portmap', 'bandwidth'],
  )

  const limit = new Limit(2)
  let running = 0
  let most = 0
  const work = async () => {
    most = Math.max(most, ++running)
    await new Promise((resolve) => setImmediate(resolve))
    running--
  }
  const failing = async () => {
    await work()
    throw new Error('no')
  }
  const all = await Promise.allSettled(Array.from({ length: 9 }, (_, i) => limit.run(i % 3 === 0 ? failing : work)))
  t.equal(most, 2)
  t.equal(all.filter(({ status }) => status === 'rejected').length, 3)
})
