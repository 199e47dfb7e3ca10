/** Ingresses in the lab: the shipped controller and proxy in a pod, from this machine by name, while things change. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Agent as HttpAgent, request as httpRequest } from 'node:http'
import { connect, constants } from 'node:http2'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { cannot, everybody, LabRun, tree, until } from './labrun.ts'

t.setTimeout(300_000)
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
  const [line, http, https] =
    /^ {2}http:\/\/shop\.localhost:(\d+) {2}https:\/\/shop\.localhost:(\d+) {2}Ingress shop$/m.exec(page)!
  t.ok(line, 'the page says where')
  const authority = / by (\S+ca\.crt): /.exec(page)![1]!
  const ca = readFileSync(authority, 'utf8')
  const shop = new Shop({ http: Number(http), https: Number(https), ca })
  t.teardown(() => shop.close())

  t.match(await shop.get('http', '/'), { status: 200, body: /^pod: web-/ })
  t.match(await shop.get('https', '/'), { status: 200, body: /^pod: web-[^]*^x-forwarded-proto: https$/m })
  t.match(await shop.get('https', '/api/x'), { status: 200, body: /^pod: api-[^]*^path: \/api\/x$/m })
  t.match(await shop.get('http', '/', 'nobody.localhost'), { status: 404 }, 'no other name')
  const untrusting = new Shop({ http: 0, https: Number(https), ca: [] })
  t.teardown(() => untrusting.close())
  t.match(
    await untrusting.get('https', '/'),
    { status: 0, body: /self-signed certificate in certificate chain/ },
    'not without the authority',
  )
  const get = await lab.cli('get', 'ingress')
  t.match(get, {
    stdout:
      /^NAME +CLASS +HOSTS +ADDRESS +PORTS +AGE\nshop +fairlead +shop\.localhost +172\.30\.0\.254 +80, 443 +\d+s\n$/,
  })
  t.match(
    await lab.inside('outside', 'curl', '-sm5', '-H', 'Host: shop.localhost', 'http://172.30.0.254'),
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
  process.kill(controllerOf(lab), 'SIGKILL')
  await load.moves()
  const restarts = async (): Promise<number> => {
    const now = await lab.json<Pod>('pod', pod.metadata.name, '-n', 'kube-system')
    return now.status.containerStatuses.find(({ name }) => name === 'controller')!.restartCount
  }
  await until(async () => (await restarts()) === 1, 'the controller is started again', lab)
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

interface Answer {
  /** 0: none; the body says why. */
  readonly status: number
  readonly body: string
}

/** A client that resolves names below localhost as browsers do. */
class Shop {
  readonly ports: { readonly http: number; readonly https: number }
  readonly ca: string | string[]
  readonly #http = new HttpAgent({ keepAlive: true })
  readonly #https: HttpsAgent

  constructor({ http, https, ca }: { http: number; https: number; ca: string | string[] }) {
    this.ports = { http, https }
    this.ca = ca
    this.#https = new HttpsAgent({ keepAlive: true, ca })
  }

  get(scheme: 'http' | 'https', path: string, host = 'shop.localhost'): Promise<Answer> {
    const to = { host: '127.0.0.1', port: this.ports[scheme], path, headers: { host }, timeout: PATIENCE_MS }
    return new Promise((resolve) => {
      const asked =
        scheme === 'http'
          ? httpRequest({ ...to, agent: this.#http })
          : httpsRequest({ ...to, agent: this.#https, servername: host })
      asked.on('response', (response) => {
        let body = ''
        response.on('data', (chunk: Buffer) => (body += chunk.toString()))
        response.on('end', () => resolve({ status: response.statusCode!, body }))
        response.on('error', ({ message: why }) => resolve({ status: 0, body: why }))
      })
      asked.on('timeout', () => asked.destroy(new Error(`no answer within ${PATIENCE_MS} ms`)))
      asked.on('error', ({ message: why }) => resolve({ status: 0, body: why }))
      asked.end()
    })
  }

  close(): void {
    this.#http.destroy()
    this.#https.destroy()
  }
}

/** Requests one after the other over each scheme, without a pause, until it ends. */
class Load {
  /** The last body of each scheme. */
  readonly last = ['', '']
  count = 0
  readonly #failed: string[] = []
  readonly #rounds = [0, 0]
  readonly #running: Promise<unknown>
  readonly #shop: Shop
  #path = '/'
  #isOver = false

  constructor(shop: Shop) {
    this.#shop = shop
    this.#running = Promise.all((['http', 'https'] as const).map((scheme, lane) => this.#run(scheme, lane)))
  }

  /** What went before is answered by then. */
  async retarget(path: string): Promise<void> {
    this.#path = path
    await this.moves()
  }

  /** Each scheme has had some answers more. */
  async moves(): Promise<void> {
    const wanted = this.#rounds.map((rounds) => rounds + ROUNDS)
    await until(() => this.#rounds.every((rounds, i) => rounds >= wanted[i]!), 'requests go on')
  }

  /** What failed. */
  async end(): Promise<readonly string[]> {
    this.#isOver = true
    await this.#running
    return this.#failed
  }

  async #run(scheme: 'http' | 'https', lane: number): Promise<void> {
    while (!this.#isOver) {
      const path = this.#path
      const { status, body } = await this.#shop.get(scheme, path)
      this.count++
      this.#rounds[lane]!++
      this.last[lane] = body
      // What is no longer served is asked for until somebody says otherwise.
      const isGone = status === 404 && path !== '/only'
      if (status !== 200 && !isGone) this.#failed.push(`${scheme} ${path}: ${status} ${body.slice(0, 100)}`)
    }
  }
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

/** The process of the controller, as this machine counts. */
function controllerOf(lab: LabRun): number {
  const pids = [...tree(lab.record.outerPid).pids].map((id) => Number(id.split(' ')[0]))
  return pids.find((pid) => {
    const [program = '', ...words] = commandOf(pid)
    return program.endsWith('node') && words.includes('ingress') && words.includes('--publish-service')
  })!
}

function commandOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch {
    return [] // it has ended meanwhile
  }
}

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
metadata: { name: grpc, annotations: { nginx.ingress.kubernetes.io/backend-protocol: GRPC } }
spec:
  rules:
    - host: grpc.localhost
      http:
        paths: [{ path: /, pathType: Prefix, backend: { service: { name: api, port: { name: grpc } } } }]
  tls: [{ hosts: [grpc.localhost], secretName: grpc-localhost }]
`
const WATCH = '/grpc.health.v1.Health/Watch'
const LABEL = 'app.kubernetes.io/name=fairlead-ingress'
const ROUNDS = 20
const PATIENCE_MS = 30_000
