/** The cluster in a box, from the outside: as a person starts, uses and ends it. Service addresses are not this file's. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { cannot, everybody, LabRun, leftOf, tree, until } from './labrun.ts'

interface Pod {
  readonly metadata: { readonly name: string; readonly deletionTimestamp?: string }
  readonly spec: { readonly nodeName: string }
  readonly status: {
    readonly phase: string
    readonly podIPs: readonly { readonly ip: string }[]
    readonly conditions: readonly { readonly type: string; readonly status: string }[]
    readonly containerStatuses: readonly { readonly restartCount: number }[]
  }
}

t.setTimeout(570_000)

const example = new URL('../../src/lab/example', import.meta.url).pathname
const folder = mkdtempSync(join(tmpdir(), 'fairlead-labfiles-'))
chmodSync(folder, 0o755)
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

for (const who of everybody) {
  t.test(`the example, as ${who}`, { skip: cannot(who) }, async (t) => {
    const lab = new LabRun(who, {}) // with agents: they carry packets between nodes
    t.teardown(() => lab.remove())
    const up = await lab.cli('up', '--detach', example)
    t.match(up, { kind: 'done', stdout: /The cluster is up after/ })
    const commands = (up.kind === 'done' ? up.stdout : '').split('Try:')[1]!.split('\n').slice(1, 4)
    t.equal(commands.filter((line) => line.includes('bin/fairlead')).length, 3, 'three commands to try')

    await until(async () => (await podsOf(lab)).every(isReady), 'every pod is ready', lab)
    const pods = await podsOf(lab)
    t.same([...new Set(pods.map(({ spec }) => spec.nodeName))].sort(), ['n1', 'n2'])
    const webs = pods.filter(({ metadata }) => metadata.name.startsWith('web'))
    const [here, there] = [
      webs.find((pod) => pod.spec.nodeName === 'n1')!,
      webs.find((pod) => pod.spec.nodeName === 'n2')!,
    ]
    for (const { ip } of there.status.podIPs) {
      const host = ip.includes(':') ? `[${ip}]` : ip
      const url = `http://${host}:8080/`
      const peer = here.status.podIPs.find((own) => own.ip.includes(':') === ip.includes(':'))!.ip
      const answer = await lab.inside(here.metadata.name, 'curl', '-sm60', '-H', 'Accept: application/json', url)
      t.match(JSON.parse(answer), { pod: there.metadata.name, node: 'n2' }, `pod to pod across nodes: ${url}`)
      t.ok(answer.includes(peer), 'the pod is seen with its own address')
      t.match(await lab.inside('outside', 'curl', '-sm60', url), there.metadata.name, `from outside: ${url}`)
      t.match(await lab.inside('node/n1', 'curl', '-sm60', url), there.metadata.name, `from a node: ${url}`)
    }
    t.match(
      await lab.inside(here.metadata.name, 'ping', '-c1', '-W20', '172.30.0.1').catch(() => 'no ping'),
      /1 received|no ping/,
    )
    t.match(
      await lab.inside('deploy/web', 'cat', '/etc/resolv.conf'),
      /^search default\.svc[^]*^nameserver 10\.96\.0\.10$/m,
    )
    t.equal((await lab.inside(here.metadata.name, 'hostname')).trim(), here.metadata.name)
    const mtu = readMtu(await lab.inside(here.metadata.name, 'cat', '/sys/class/net/eth0/mtu'))
    t.equal(mtu, 1430, 'VXLAN over IPv6 fits')
    const failed = await lab.cli('exec', 'store-0', '--', 'sh', '-c', 'echo out; echo err >&2; exit 7')
    t.match(failed, { kind: 'failed', code: 7, stderr: 'err' }, 'exit code and standard error pass through')
    t.match(await lab.cli('exec', 'no-such-pod', '--', 'true'), {
      kind: 'failed',
      code: 1,
      stderr: /no pod no-such-pod/,
    })
    t.match(await lab.cli('up', '--detach', example), { kind: 'failed', stderr: /running already/ })

    const all = tree(lab.record.outerPid)
    t.match(await lab.cli('down'), { kind: 'done' })
    await until(() => leftOf(all).length === 0, `all has ended, but ${leftOf(all)}`)
    t.match(await lab.cli('down'), { kind: 'failed', stderr: /no cluster is running/ })
  })
}

t.test('the commands of the page work as printed, with agents on the nodes', async (t) => {
  const lab = new LabRun(
    everybody.findLast((who) => !cannot(who))!,
    {},
  )
  t.teardown(() => lab.remove())
  const up = await lab.cli('up', '--detach', example)
  t.match(up, { kind: 'done', stdout: /every node has programmed its services/ })
  const commands = (up.kind === 'done' ? up.stdout : '').split('Try:')[1]!.split('\n').slice(1, 4)
  for (const command of commands) {
    const words = command.trim().split(' ')
    t.equal(words.shift(), 'bin/fairlead', command)
    t.match(await lab.cli(...words), { kind: 'done', stdout: words[0] === 'exec' ? /^pod: / : /scaled/ }, command)
  }
  await until(async () => (await podsOf(lab)).filter(isReady).length === 11, 'two more pods', lab)
  const web = await lab.cli('get', 'service', 'web', '-o', 'json')
  const { nodePort } = JSON.parse(web.kind === 'done' ? web.stdout : '').spec.ports[0]
  for (const loopback of ['127.0.0.1', '[::1]'])
    t.match(await lab.inside('node/n1', 'curl', '-sm60', `http://${loopback}:${nodePort}`), /^pod: web/, loopback)
})

t.test('a file that is saved changes the cluster', async (t) => {
  const lab = new LabRun(everybody[0]!)
  t.teardown(() => lab.remove())
  const file = join(folder, 'app.yaml')
  writeFileSync(file, app('1', 3))
  await lab.foreground(file)
  const before = (await podsOf(lab)).map(({ metadata }) => metadata.name)
  t.equal(before.length, 3)

  writeFileSync(file, app('1', 4))
  await until(async () => (await podsOf(lab)).filter(isReady).length === 4, 'a fourth pod', lab)

  // Rolling: maxUnavailable 0, maxSurge 1 (the watch itself is the controllers' own test; here with real processes).
  writeFileSync(file, app('2', 4))
  let fewest = 4
  await until(
    async () => {
      const pods = await podsOf(lab)
      fewest = Math.min(fewest, pods.filter((pod) => isReady(pod) && !pod.metadata.deletionTimestamp).length)
      return pods.length === 4 && pods.every(isReady) && pods.every(({ metadata }) => !before.includes(metadata.name))
    },
    'all pods are new',
    lab,
  )
  t.ok(fewest >= 4, `never fewer than asked for (${fewest})`)
  const answer = await lab.inside('deploy/app', 'env')
  t.match(answer, /VERSION=2/)
  t.match(answer, /WHERE=n[12]/)

  writeFileSync(file, `${app('2', 4)}\n  broken: [`)
  await until(() => /app\.yaml:\d+: is not valid YAML/.test(lab.output.join('')), 'the broken file is told', lab)
  t.equal((await podsOf(lab)).length, 4, 'a broken file changes nothing')

  writeFileSync(file, '')
  await until(async () => (await podsOf(lab)).length === 0, 'what the file no longer says is gone', lab)
})

t.test('a life of a pod', async (t) => {
  const lab = new LabRun(everybody[0]!)
  t.teardown(() => lab.remove())
  const file = join(folder, 'life.yaml')
  const marker = '/tmp/marks'
  const written = (): Promise<string> => lab.inside('node/n1', 'cat', marker)
  writeFileSync(file, life().replaceAll('MARKS', marker))
  await lab.foreground(file)

  t.match(await written(), /^init n1 10\.244\.1\.\d+\n/, 'an init container ran, with fields of the pod')
  const skipped = async (): Promise<string> => {
    const { items } = await lab.json<{ items: { reason: string; message: string }[] }>('events')
    return items.find(({ reason }) => reason === 'InitContainerSkipped')?.message ?? ''
  }
  await until(
    async () => /no-such-program is not on this machine/.test(await skipped()),
    'what is skipped is said',
    lab,
  )

  const queues = await lab.inside('node/n1', 'tc', 'qdisc')
  t.match(queues, /tbf .* dev veth\w+ .*rate 10Mbit/, 'what it receives is limited')
  t.match(queues, /tbf .* dev bwp\w+ .*rate 20Mbit/, 'and what it sends')

  await until(async () => (await restartsOf(lab, 'crash')) >= 1, 'a container that fails is restarted', lab)
  await until(
    async () => (await restartsOf(lab, 'hung')) >= 1,
    'a container that fails its liveness probe is restarted',
    lab,
  )
  await until(
    async () => (await podsOf(lab)).find(({ metadata }) => metadata.name === 'once')!.status.phase === 'Succeeded',
    'a pod that never restarts is over when its container is',
    lab,
  )

  t.match(await lab.cli('delete', 'pod', 'life'), { kind: 'done' })
  await until(async () => !(await podsOf(lab)).some(({ metadata }) => metadata.name === 'life'), 'the pod is gone', lab)
  t.match(await written(), /pre-stop\nterm\n/, 'preStop, then SIGTERM')
  t.match(await lab.cli('delete', 'pod', 'stubborn'), { kind: 'done' })
  await until(
    async () => !(await podsOf(lab)).some(({ metadata }) => metadata.name === 'stubborn'),
    'SIGKILL in the end',
    lab,
  )
  await until(
    async () => {
      const names = await Promise.all(['node/n1', 'node/n2'].map((node) => lab.inside(node, 'ls', '/run/netns')))
      const all = await lab.json<{ items: readonly Pod[] }>('pods', '-A')
      return names.join('').match(/cni-/g)?.length === all.items.length
    },
    'network namespaces are those of the pods that are there',
    lab,
  )
})

async function podsOf(lab: LabRun): Promise<Pod[]> {
  return (await lab.json<{ items: Pod[] }>('pods')).items
}

async function restartsOf(lab: LabRun, pod: string): Promise<number> {
  return (
    (await podsOf(lab)).find(({ metadata }) => metadata.name === pod)?.status.containerStatuses[0]?.restartCount ?? 0
  )
}

function isReady({ status }: Pod): boolean {
  return status.conditions.some(({ type, status: value }) => type === 'Ready' && value === 'True')
}

function readMtu(text: string): number {
  return Number(text.trim())
}

function app(version: string, replicas: number): string {
  return `
apiVersion: apps/v1
kind: Deployment
metadata: { name: app }
spec:
  replicas: ${replicas}
  strategy: { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } }
  selector: { matchLabels: { app: app } }
  template:
    metadata: { labels: { app: app } }
    spec:
      terminationGracePeriodSeconds: 5
      containers:
        - name: app
          image: app
          ports: [{ containerPort: 8080 }]
          env:
            - { name: VERSION, value: '${version}' }
            - { name: WHERE, valueFrom: { fieldRef: { fieldPath: spec.nodeName } } }
          readinessProbe: { httpGet: { path: /, port: 8080 } }
`
}

function life(): string {
  return `
apiVersion: v1
kind: Pod
metadata: { name: life, annotations: { kubernetes.io/ingress-bandwidth: 10M, kubernetes.io/egress-bandwidth: 20M } }
spec:
  nodeName: n1
  initContainers:
    - name: first
      image: x
      command: [sh, -c, 'echo init $NODE $IP >> MARKS']
      env:
        - { name: NODE, valueFrom: { fieldRef: { fieldPath: spec.nodeName } } }
        - { name: IP, valueFrom: { fieldRef: { fieldPath: status.podIP } } }
    - { name: second, image: x, command: [no-such-program] }
  containers:
    - name: main
      image: x
      command: [sh, -c, 'trap "echo term >> MARKS; exit" TERM; while :; do sleep 0.1; done']
      lifecycle: { preStop: { exec: { command: [sh, -c, 'echo pre-stop >> MARKS'] } } }
      readinessProbe: { exec: { command: ['true'] } }
---
apiVersion: v1
kind: Pod
metadata: { name: stubborn }
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - { name: main, image: x, command: [sh, -c, 'trap "" TERM; while :; do sleep 0.1; done'] }
---
apiVersion: v1
kind: Pod
metadata: { name: crash }
spec:
  containers:
    - { name: main, image: x, command: [sh, -c, 'exit 1'] }
---
apiVersion: v1
kind: Pod
metadata: { name: hung }
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: x
      command: [sleep, infinity]
      livenessProbe: { exec: { command: ['false'] }, periodSeconds: 1, failureThreshold: 1 }
---
apiVersion: v1
kind: Pod
metadata: { name: once }
spec:
  restartPolicy: Never
  containers:
    - { name: main, image: x, command: ['true'] }
`
}
