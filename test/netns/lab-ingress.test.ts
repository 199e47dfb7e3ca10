/** Ingresses in the lab: the shipped controller and proxy in a pod, from this machine by name, while things change. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, constants } from 'node:http2'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { cannot, everybody, LabRun, until } from './labrun.ts'
import { Load, processOf, Shop } from './labshop.ts'

t.setTimeout(570_000)
const folder = mkdtempSync(join(tmpdir(), 'fairlead-shop-'))
chmodSync(folder, 0o755)
t.teardown(() => rmSync(folder, { recursive: true, force: true }))

t.test('the example by its Ingress, from this machine', async (t) => {
  const lab = new LabRun(
    everybody.findLast((who) => !cannot(who))!,
    {},
  )
  t.teardown(() => lab.remove())
  const up = await lab.cli('up', '--detach', '--nodes', '2')
  t.match(up, { kind: 'done', stdout: /programmed its services/ })
  const page = up.kind === 'done' ? up.stdout : ''
  const shop = Shop.of(page)
  t.teardown(() => shop.close())

  t.match(await shop.get('http', '/'), { status: 200, body: /^pod: web-/ })
  t.match(await shop.get('https', '/'), { status: 200, body: /^pod: web-[^]*^x-forwarded-proto: https$/m })
  t.match(await shop.get('https', '/api/x'), { status: 200, body: /^pod: api-[^]*^path: \/api\/x$/m })
  t.match(await shop.get('http', '/', 'nobody.localhost'), { status: 404 }, 'no other name')
  const untrusting = new Shop({ http: 0, https: shop.ports.https, ca: [] })
  t.teardown(() => untrusting.close())
  t.match(
    await untrusting.get('https', '/'),
    { status: 0, body: /self-signed certificate in certificate chain/ },
    'not without the authority',
  )
  const listed = async (): Promise<string> => {
    const get = await lab.cli('get', 'ingress')
    return get.kind === 'done' ? get.stdout : ''
  }
  const row =
    /^NAME +CLASS +HOSTS +ADDRESS +PORTS +AGE\nshop +fairlead +shop\.localhost +172\.30\.0\.254 +80, 443 +\d+\w+\n$/
  await until(async () => row.test(await listed()), 'its address is in its status', lab)
  t.match(
    await lab.inside('outside', 'curl', '-sm60', '-H', 'Host: shop.localhost', 'http://172.30.0.254'),
    /^pod: web-/,
  )
  t.match(await lab.cli('describe', 'ingressclass', 'fairlead'), { stdout: /controller: fairlead\.io\/ingress/ })

  const file = join(folder, 'more.yaml')
  const apply = async (...texts: readonly string[]): Promise<void> => {
    writeFileSync(file, texts.join('---\n'))
    t.match(await lab.cli('apply', '-f', file), { kind: 'done' })
  }
  await apply(STREAM)
  const stream = await watch(t, shop)
  const load = new Load(shop)
  t.teardown(() => load.end())

  await apply(ingress('api'))
  await until(() => load.last.every((body) => body.startsWith('pod: api-')), 'all goes to another Service', lab)
  await apply(ingress('web', '/only'))
  await until(async () => (await shop.get('http', '/')).status === 404, 'a path that is no longer there', lab)
  await load.retarget('/only')
  await load.moves()
  t.match((await shop.get('https', '/only')).body, /^pod: web-/)

  for (const replicas of [3, 1]) {
    t.match(await lab.cli('scale', 'deploy/web', '--replicas', String(replicas)), { kind: 'done' })
    const pods = async (): Promise<number> =>
      (await lab.json<{ items: object[] }>('pods', '-l', 'app=web')).items.length
    await until(async () => (await pods()) === replicas, `${replicas} pods`, lab)
    const seen = new Set<string>()
    await until(
      () => {
        for (const body of load.last) seen.add(body.split('\n', 1)[0]!)
        return seen.size >= replicas
      },
      `all ${replicas} answer`,
      lab,
    )
    await load.moves()
  }

  const pod = (await lab.json<{ items: Pod[] }>('pods', '-n', 'kube-system', '-l', LABEL)).items[0]!
  process.kill(processOf(lab, 'ingress', '--publish-service'), 'SIGKILL')
  await load.moves()
  const restarts = async (): Promise<number> => {
    const now = await lab.json<Pod>('pod', pod.metadata.name, '-n', 'kube-system')
    return now.status.containerStatuses.find(({ name }) => name === 'controller')!.restartCount
  }
  await until(async () => (await restarts()) >= 1, 'the controller is started again', lab)
  await load.moves()
  await apply(ingress('api', '/only'))
  await until(() => load.last.every((body) => body.startsWith('pod: api-')), 'and what it says counts', lab)

  t.equal(stream.isOpen(), true, 'a stream of before is there still')
  t.same(await load.end(), [], `of ${load.count} requests none failed`)

  t.match(await lab.cli('delete', 'ingress', 'shop'), { kind: 'done' })
  await until(async () => (await shop.get('http', '/only')).status === 404, 'gone with the Ingress', lab)
})

interface Pod {
  readonly metadata: { readonly name: string }
  readonly status: { readonly containerStatuses: readonly { readonly name: string; readonly restartCount: number }[] }
}

/** grpc.health.v1.Health/Watch: an answer that has no end. Resolves once it has begun. */
async function watch(t: Test, { ports, ca }: Shop): Promise<{ isOpen(): boolean }> {
  const host = 'grpc.localhost'
  for (;;) {
    const session = connect(`https://${host}:${ports.https}`, { ca, lookup: loopback })
    t.teardown(() => session.destroy())
    const begun = await new Promise<{ isOpen(): boolean } | null>((resolve) => {
      session.on('error', () => resolve(null)) // its certificate is being made
      const stream = session.request({
        ':method': 'POST',
        ':path': WATCH,
        'content-type': 'application/grpc',
        te: 'trailers',
      })
      stream.on('error', () => resolve(null))
      stream.on('response', (headers) => {
        if (Number(headers[constants.HTTP2_HEADER_STATUS]) !== 200) resolve(null)
      })
      stream.once('data', () => resolve({ isOpen: () => !stream.closed && !stream.readableEnded }))
      stream.once('end', () => resolve(null))
      stream.end(Buffer.alloc(5)) // of a request without fields
    })
    if (begun !== null) return begun
    session.destroy()
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

const loopback = ((_: string, options: { all?: boolean }, done: (...of: unknown[]) => void) =>
  options.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4)) as never

const ingress = (service: string, path = '/'): string => `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: shop }
spec:
  rules:
    - host: shop.localhost
      http:
        paths:
          - { path: ${path}, pathType: Prefix, backend: { service: { name: ${service}, port: { name: http } } } }
  tls: [{ hosts: [shop.localhost], secretName: shop-localhost }]
`
const STREAM = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: grpc
  annotations:
    nginx.ingress.kubernetes.io/backend-protocol: GRPC
    nginx.ingress.kubernetes.io/proxy-read-timeout: '3600' # it says one thing and no more
    nginx.ingress.kubernetes.io/proxy-send-timeout: '3600'
spec:
  rules:
    - host: grpc.localhost
      http:
        paths: [{ path: /, pathType: Prefix, backend: { service: { name: api, port: { name: grpc } } } }]
  tls: [{ hosts: [grpc.localhost], secretName: grpc-localhost }]
`
const WATCH = '/grpc.health.v1.Health/Watch'
const LABEL = 'app.kubernetes.io/name=fairlead-ingress'
