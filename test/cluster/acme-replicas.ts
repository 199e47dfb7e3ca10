/**
 * Replicas of the ingress as they ship, each a `fairlead ingress` and a `fairlead-carrier proxy` at an address of its own, on a
 * real API server, with certificates of a real Pebble:
 *
 *     kube-apiserver ──> fairlead ingress (one) ──> carrier 127.0.0.2 ─┐
 *         │   └───────> fairlead ingress (two) ──> carrier 127.0.0.3 ─┴─> backend 10.77.0.1:8080
 *         └ Secrets, Leases    └──ACME──> pebble ──HTTP, TLS──> 127.0.0.2
 */
import type { ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { createServer, request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import type { Test } from 'tap'
import { carrier } from '../../src/kernel/carrier.ts'
import { start } from '../../src/kernel/exec.ts'
import { backendObjects, CLASS, ingress } from '../contract/ingress-objects.ts'
import type { Raw } from '../contract/service-objects.ts'
import { ip } from '../netns/world.ts'
import { makeAccount } from './account.ts'
import { DIRECTORY, FOLLOWER, HTTP, HTTPS, LEADER, type Pebble } from './acme-world.ts'
import { startApiServer, type ApiServer } from './apiserver.ts'
import { until } from './process.ts'

export class Cluster {
  readonly api: ApiServer
  readonly pebble: Pebble
  readonly folder: string
  readonly kubeconfig: string

  static async start(t: Test, pebble: Pebble): Promise<Cluster> {
    const folder = mkdtempSync(join(tmpdir(), 'fairlead-acme-'))
    t.teardown(() => rm(folder, { recursive: true, force: true }))
    await ip(`addr add ${BACKEND}/32 dev lo`) // an EndpointSlice takes no address of loopback
    const backend = createServer((_, response) => response.end('the shop'))
    await new Promise<void>((resolve) => backend.listen(8080, BACKEND, resolve))
    t.teardown(() => new Promise((resolve) => backend.close(resolve)))
    const api = await startApiServer({ say: (line) => t.comment(line) })
    t.teardown(() => api.stop())
    const manifests = ['rbac-ingress.yaml', 'rbac-ingress-acme.yaml']
    const kubeconfig = await makeAccount(api, manifests, join(folder, 'kubeconfig'))
    const namespace = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'x' } }
    await api.call('POST', '/api/v1/namespaces', namespace)
    await api.call('POST', '/apis/networking.k8s.io/v1/ingressclasses', CLASS)
    const [service, slice] = backendObjects('x/a', [BACKEND], { clusterIP: undefined }) as [Raw, Raw]
    await api.call('POST', `${CORE}/services`, service)
    await api.call('POST', '/apis/discovery.k8s.io/v1/namespaces/x/endpointslices', slice)
    return new Cluster(api, pebble, folder, kubeconfig)
  }

  private constructor(api: ApiServer, pebble: Pebble, folder: string, kubeconfig: string) {
    this.api = api
    this.pebble = pebble
    this.folder = folder
    this.kubeconfig = kubeconfig
  }

  /** For one host, which asks for a certificate in the Secret of its own name. */
  async publish(name: string, host: string): Promise<void> {
    const tls = [{ hosts: [host], secretName: name }]
    const annotations = { 'kubernetes.io/tls-acme': 'true' }
    const object = ingress(`x/${name}`, { paths: { [`${host}/`]: 'a' }, tls, annotations })
    await this.api.call('POST', '/apis/networking.k8s.io/v1/namespaces/x/ingresses', object)
  }

  async secret(path: string): Promise<Raw | null> {
    const [namespace, name] = path.split('/')
    return this.api.call('GET', `/api/v1/namespaces/${namespace}/secrets/${name}`).catch((error: Error) => {
      if (error.message.includes(': 404 ')) return null
      throw error
    })
  }

  /** PEM; null: there is none (yet). */
  async certificate(name: string): Promise<string | null> {
    const secret = await this.secret(`x/${name}`)
    return secret === null ? null : Buffer.from(secret['data']['tls.crt'], 'base64').toString()
  }

  /** What is remembered of an order. */
  async record(name: string): Promise<{ order: { url: string | null } | null; begun: number[] } | null> {
    const { items } = await this.api.call('GET', `${KUBE_SYSTEM}/secrets?labelSelector=fairlead.io/acme%3Dorder`)
    const records = (items as Raw[]).map(({ data }) => JSON.parse(Buffer.from(data['record'], 'base64').toString()))
    return records.find(({ secret }) => secret === `x/${name}`) ?? null
  }

  /** Name of the controller that holds the Lease; '': none does. */
  async leader(): Promise<string> {
    const path = '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/fairlead-ingress-leader'
    const lease = await this.api.call('GET', path).catch(() => null)
    return lease?.spec.holderIdentity ?? ''
  }

  async events(): Promise<string[]> {
    const { items } = await this.api.call('GET', `${CORE}/events`)
    return (items as Raw[]).map(({ reason, message }) => `${reason}: ${message}`)
  }
}

export class ReplicaPair {
  readonly one: ReplicaProcess
  readonly two: ReplicaProcess

  static async start(t: Test, cluster: Cluster, args: readonly string[] = []): Promise<ReplicaPair> {
    const pair = new ReplicaPair(cluster, args)
    t.teardown(() => Promise.all(pair.all.map((replica) => replica.stop())))
    await Promise.all(pair.all.map((replica) => replica.ready()))
    return pair
  }

  private constructor(cluster: Cluster, args: readonly string[]) {
    this.one = new ReplicaProcess(cluster, 'one', FOLLOWER, args)
    this.two = new ReplicaProcess(cluster, 'two', LEADER, args)
  }

  get all(): readonly ReplicaProcess[] {
    return [this.one, this.two]
  }

  /** The one that leads, then the other one. */
  async inOrder(cluster: Cluster): Promise<[ReplicaProcess, ReplicaProcess]> {
    let name = ''
    await until('somebody leads', async () => (name = await cluster.leader()) !== '')
    return name === 'one' ? [this.one, this.two] : [this.two, this.one]
  }
}

export class ReplicaProcess {
  readonly name: string
  readonly address: string
  readonly #cluster: Cluster
  readonly #folder: string
  readonly #args: readonly string[]
  readonly #carrier: ChildProcess
  #controller: ChildProcess
  #said = ''

  constructor(cluster: Cluster, name: string, address: string, args: readonly string[]) {
    this.name = name
    this.address = address
    this.#cluster = cluster
    this.#args = args
    this.#folder = mkdtempSync(join(cluster.folder, `${name}-`))
    mkdirSync(join(this.#folder, 'state'))
    const flags = ['--socket', this.#socket, '--state', join(this.#folder, 'state'), '--threads', '1']
    this.#carrier = start(['setpriv', '--pdeathsig', 'KILL', carrier, 'proxy', ...flags], { stdio: 'ignore' })
    this.#controller = this.#control()
  }

  /** Of the controller, its logs of all its lives. */
  get said(): string {
    return this.#said
  }

  async ready(): Promise<void> {
    await until(`${this.name} is ready`, async () => (await this.ask('/readyz')) === 'ok\n').catch((error: unknown) => {
      throw new Error(this.#said, { cause: error })
    })
  }

  /** The controller goes without a word; its carrier serves on. */
  async kill(): Promise<void> {
    const gone = new Promise((resolve) => this.#controller.once('exit', resolve))
    this.#controller.kill('SIGKILL')
    await gone
  }

  /** Its proxy says nothing any more, until `go`; nor does what would put another worker in the place of one that hangs. */
  hold(): void {
    for (const pid of this.#proxy) process.kill(pid, 'SIGSTOP')
  }

  go(): void {
    for (const pid of this.#proxy.toReversed()) process.kill(pid, 'SIGCONT')
  }

  /** As a rolling update ends it. */
  async end(): Promise<void> {
    const gone = new Promise((resolve) => this.#controller.once('exit', resolve))
    this.#controller.kill('SIGTERM')
    const late = setTimeout(() => this.#controller.kill('SIGKILL'), GRACE_MS)
    await gone
    clearTimeout(late)
  }

  async again(): Promise<void> {
    this.#controller = this.#control()
    await this.ready()
  }

  async stop(): Promise<void> {
    for (const child of [this.#controller, this.#carrier]) {
      if (child.exitCode !== null || child.signalCode !== null) continue
      const gone = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGKILL')
      await gone
    }
  }

  /** Of its status; '': nobody answers. */
  ask(path: string): Promise<string> {
    return new Promise((resolve) => {
      const asked = request({ socketPath: join(this.#folder, 'status.sock'), path }, (answer) => {
        void answer.toArray().then((parts: Buffer[]) => resolve(Buffer.concat(parts).toString()))
      })
      asked.on('error', () => resolve(''))
      asked.end()
    })
  }

  /** Status, where it leads, and body of a request over HTTP. */
  get(host: string, path: string): Promise<[status: number, location: string, body: string]> {
    return new Promise((resolve, reject) => {
      const options = { host: this.address, port: HTTP, path, headers: { host }, agent: false }
      const asked = request(options, (answer) => {
        void answer.toArray().then((parts: Buffer[]) => {
          resolve([answer.statusCode!, answer.headers.location ?? '', Buffer.concat(parts).toString()])
        })
      })
      asked.on('error', reject)
      asked.end()
    })
  }

  /** PEM of the certificate that it shows for a name, as one whom `ca` is an authority for; '': another one. */
  shows(name: string, ca: string): Promise<string> {
    return new Promise((resolve) => {
      const socket = connect({ host: this.address, port: HTTPS, servername: name, ca }, () => {
        resolve(socket.getPeerX509Certificate()!.toString())
        socket.destroy()
      })
      socket.on('error', () => resolve(''))
    })
  }

  /** The supervisor, then its worker. */
  get #proxy(): readonly number[] {
    const pid = this.#carrier.pid!
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim()
    return [pid, ...children.split(' ').map(Number)]
  }

  get #socket(): string {
    return join(this.#folder, 'proxy.sock')
  }

  #control(): ChildProcess {
    const { kubeconfig, pebble } = this.#cluster
    const child = start(
      [
        ...(['setpriv', '--pdeathsig', 'KILL', process.execPath, MAIN, 'ingress'] as const),
        ...['--kubeconfig', kubeconfig, '--socket', this.#socket, '--name', this.name, '--namespace', 'kube-system'],
        ...['--address', this.address, '--http-port', String(HTTP), '--https-port', String(HTTPS)],
        ...['--status-bind-address', join(this.#folder, 'status.sock'), '--log', 'debug,json'],
        ...['--pod-ip', this.address, '--acme-directory', DIRECTORY, '--acme-ca-file', pebble.authority],
        ...this.#args,
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    )
    for (const stream of [child.stdout!, child.stderr!])
      stream.on('data', (chunk: Buffer) => (this.#said += chunk.toString()))
    return child
  }
}

export const CORE = '/api/v1/namespaces/x'
export const KUBE_SYSTEM = '/api/v1/namespaces/kube-system'
/** As a kubelet has it. */
const GRACE_MS = 30_000
const BACKEND = '10.77.0.1'
const MAIN = join(import.meta.dirname, '../../src/main.ts')
