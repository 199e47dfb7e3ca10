/** What must not be noticed by whoever asks through the lab's ingress: pods replaced behind it, its own pods replaced, a worker killed. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { cannot, everybody, LabRun, until } from './labrun.ts'
import { Load, processOf, Shop } from './labshop.ts'

t.setTimeout(600_000)
t.jobs = 1
const folder = mkdtempSync(join(tmpdir(), 'fairlead-load-'))
chmodSync(folder, 0o755)
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

t.test('load through the ingress', async (t) => {
  const lab = new LabRun(
    everybody.findLast((who) => !cannot(who))!,
    {},
  )
  t.teardown(() => lab.remove())
  const up = await lab.cli('up', '--detach', '--nodes', '2')
  t.match(up, { kind: 'done', stdout: /programmed its services/ })
  const shop = Shop.of(up.kind === 'done' ? up.stdout : '')
  t.teardown(() => shop.close())
  const file = join(folder, 'more.json')
  /** Another state of a Deployment: its pods are replaced where the template differs. */
  const change = async (of: Place, edit: (deployment: Deployment) => void): Promise<void> => {
    const deployment = await lab.json<Deployment>('deploy', of.name, '-n', of.namespace)
    edit(deployment)
    writeFileSync(file, JSON.stringify(deployment))
    const applied = await lab.cli('apply', '-f', file)
    if (applied.kind !== 'done') throw new Error(JSON.stringify(applied))
  }
  const podsOf = async ({ namespace, labels }: Place): Promise<readonly Pod[]> =>
    (await lab.json<{ items: Pod[] }>('pods', '-n', namespace, '-l', labels)).items
  /** Every pod is another one, and they are as many, and ready. */
  const replaced = async (of: Place, before: readonly Pod[]): Promise<void> => {
    const old = new Set(before.map(({ metadata }) => metadata.uid))
    await until(
      async () => {
        const pods = await podsOf(of)
        return pods.length === before.length && pods.every((pod) => !old.has(pod.metadata.uid) && isReady(pod))
      },
      `every pod of ${of.name} is a new one`,
      lab,
      UPDATED_MS,
    )
  }
  const roll = async (of: Place): Promise<void> => {
    const before = await podsOf(of)
    await change(of, ({ spec }) => {
      spec.template.metadata.annotations = { 'kubectl.kubernetes.io/restartedAt': before[0]!.metadata.uid }
    })
    await replaced(of, before)
  }

  await t.test('a Deployment behind it is updated, pod by pod', async (t) => {
    const load = new Load(shop, LANES)
    t.teardown(() => load.end())
    for (let round = 0; round < 2; round++) {
      const names = new Set((await podsOf(WEB)).map(({ metadata }) => metadata.name))
      await roll(WEB)
      await load.moves()
      t.notOk(
        load.last.some((body) => names.has(/^pod: (\S+)/.exec(body)?.[1] ?? '')),
        'nobody that has gone answers',
      )
    }
    t.same(await load.end(), [], `of ${load.count} requests none failed`)
  })

  await t.test('the worker of its proxy is killed', async (t) => {
    const [pod] = await podsOf(INGRESS)
    const controller = processOf(lab, 'ingress', '--publish-service')
    const load = new Load(shop, LANES)
    t.teardown(() => load.end())
    await load.moves()
    for (let round = 1; round <= 3; round++) {
      const worker = processOf(lab, 'proxy', '--worker')
      process.kill(worker, 'SIGKILL')
      await until(() => isOther(lab, worker), 'there is another worker', lab)
      await load.moves()
      t.ok(load.failed.length <= round * LANES, `of ${load.count} requests, what was under way: ${load.failed.length}`)
      t.notOk(
        load.failed.some((said) => / [1-9]\d\d /.test(said)),
        'to who was answered, all was said',
      )
    }
    t.equal(processOf(lab, 'ingress', '--publish-service'), controller, 'the controller is the one it was')
    await until(async () => (await podsOf(INGRESS)).every(isReady), 'the pod is ready', lab)
    const [now] = await podsOf(INGRESS)
    t.equal(now!.metadata.uid, pod!.metadata.uid)
    t.ok(
      now!.status.containerStatuses.every(({ restartCount }) => restartCount === 0),
      'and no container was started again',
    )
    await load.end()
    await roll(WEB)
    t.match(await shop.get('http', '/'), { status: 200 }, 'and what changes, it is told')
  })

  await t.test('its own pods are updated, one by one', async (t) => {
    await change(INGRESS, ({ spec }) => (spec.replicas = 2))
    await until(async () => (await podsOf(INGRESS)).filter(isReady).length === 2, 'two of them', lab)
    const load = new Load(shop, LANES)
    t.teardown(() => load.end())
    await load.moves()
    await roll(INGRESS)
    await load.moves()
    t.same(await load.end(), [], `of ${load.count} requests none failed`)
  })
})

interface Place {
  readonly namespace: string
  readonly name: string
  readonly labels: string
}

interface Deployment {
  readonly spec: { replicas: number; readonly template: { readonly metadata: { annotations?: object } } }
}

interface Pod {
  readonly metadata: { readonly name: string; readonly uid: string; readonly deletionTimestamp?: string }
  readonly status: {
    readonly conditions?: readonly { readonly type: string; readonly status: string }[]
    readonly containerStatuses: readonly { readonly restartCount: number }[]
  }
}

const isReady = ({ metadata, status }: Pod): boolean =>
  metadata.deletionTimestamp === undefined &&
  status.conditions?.some(({ type, status: so }) => type === 'Ready' && so === 'True') === true

function isOther(lab: LabRun, worker: number): boolean {
  try {
    return processOf(lab, 'proxy', '--worker') !== worker
  } catch {
    return false // there is none at the moment
  }
}

const WEB: Place = { namespace: 'default', name: 'web', labels: 'app=web' }
const INGRESS: Place = {
  ...{ namespace: 'kube-system', name: 'fairlead-ingress' },
  labels: 'app.kubernetes.io/name=fairlead-ingress',
}
const LANES = 6
/** One pod after the other, each of which has time to end. */
const UPDATED_MS = 240_000
