/** The cluster's DNS as it ships, controller and carrier, each a process that may be killed, on loopback. */
import type { ChildProcess } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { carrier } from '../../src/kernel/carrier.ts'
import { exec, start } from '../../src/kernel/exec.ts'
import { MAIN } from '../netns/shipped.ts'
import { ended, until } from '../netns/waiting.ts'
import { freePorts } from '../cluster/process.ts'
import type { Raw } from './service-objects.ts'

export interface Ports {
  readonly dns: number
  readonly health: number
  readonly ready: number
  readonly metrics: number
  /** Nobody's. */
  readonly other: number
}

/** What the carrier serves over HTTP. */
export interface Page {
  readonly status: number
  readonly text: string
}

export class ShippedDns {
  readonly folder = mkdtempSync(join(tmpdir(), 'fairlead-dns-shipped-'))
  readonly ports: Ports
  /** Where the controller is asked about itself. */
  readonly socket = join(this.folder, 'status.sock')
  /** The end of what both said. */
  said = ''
  #carrier: ChildProcess | null = null
  #controller: ChildProcess | null = null

  private constructor(ports: Ports) {
    this.ports = ports
    mkdirSync(this.#manifests)
  }

  /** Nothing runs yet. */
  static async make(
    t: { teardown(end: () => Promise<void>): void },
    corefile: (ports: Ports) => string = ofCluster(),
  ): Promise<ShippedDns> {
    const [dns, health, ready, metrics, other] = (await freePorts(5)) as [number, number, number, number, number]
    const made = new ShippedDns({ dns, health, ready, metrics, other })
    t.teardown(() => made.end())
    made.corefile(corefile(made.ports))
    return made
  }

  get port(): number {
    return this.ports.dns
  }

  /** At once, for controllers to come and those that look again. */
  corefile(text: string): void {
    this.#put(join(this.folder, 'Corefile'), text)
  }

  /** What the cluster says, for controllers that read manifests. */
  write(objects: readonly Raw[]): void {
    this.manifest('objects.json', JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }))
  }

  /** One more, or another in its place. */
  manifest(name: string, text: string): void {
    this.#put(join(this.#manifests, name), text)
  }

  startCarrier(): ChildProcess {
    const flags = ['--state', this.#state, '--threads', '2', '--readers', join(this.folder, 'readers')]
    return (this.#carrier = this.#start([carrier, 'dns', ...this.#meeting, ...flags]))
  }

  startController(source: readonly string[] = ['--directory', this.#manifests]): ChildProcess {
    const words = ['dns', '--corefile', join(this.folder, 'Corefile'), ...this.#meeting, ...source]
    const more = ['--metrics-bind-address', '127.0.0.1:0', '--status-socket', this.socket, '--name', 'dns-0']
    return (this.#controller = this.#start([...PROGRAM, ...words, ...more]))
  }

  /** kill -9; it is gone when this ends. */
  async killController(): Promise<void> {
    await kill(this.#controller)
    this.#controller = null
  }

  /** The supervisor and, with it, its worker. */
  async killCarrier(): Promise<void> {
    await kill(this.#carrier)
    this.#carrier = null
  }

  /** Ends when nothing of it is left: what is sent from then on is not the old worker's. */
  async killWorker(): Promise<void> {
    let worker: number | null = null
    await until('there is a worker', () => (worker = this.worker) !== null)
    process.kill(worker!, 'SIGKILL')
    // The supervisor reaps it once its last thread has ended.
    await until('the worker is gone', () => this.worker !== worker)
  }

  /** What the carrier keeps on its disk. */
  forget(): void {
    rmSync(this.#state, { recursive: true, force: true })
  }

  get carrier(): ChildProcess {
    return this.#carrier!
  }

  get supervisor(): number {
    return this.carrier.pid!
  }

  get controller(): number {
    return this.#controller!.pid!
  }

  /** Its process id; null: there is none at the moment. */
  get worker(): number | null {
    const children = readFileSync(`/proc/${this.supervisor}/task/${this.supervisor}/children`, 'utf8').trim()
    return children === '' ? null : Number(children.split(' ')[0])
  }

  /** null: nobody serves it. */
  get(port: number, path: string): Promise<Page | null> {
    return new Promise((resolve) => {
      const asked = request({ host: '127.0.0.1', port, path, agent: false }, (response) => {
        let text = ''
        response.on('data', (chunk: Buffer) => (text += chunk.toString()))
        response.once('end', () => resolve({ status: response.statusCode ?? 0, text }))
        response.once('close', () => resolve(null)) // killed before it had said all
      })
      asked.once('error', () => resolve(null))
      asked.end()
    })
  }

  health(): Promise<Page | null> {
    return this.get(this.ports.health, '/health')
  }

  ready(): Promise<Page | null> {
    return this.get(this.ports.ready, '/ready')
  }

  /** `fairlead WORDS`. */
  async command(...words: readonly string[]): Promise<{ readonly code: number; readonly text: string }> {
    const done = await exec([...PROGRAM, ...words] as [string], { timeoutMs: 60_000 })
    if (done.kind === 'done') return { code: 0, text: done.stdout }
    if (done.kind === 'failed') return { code: done.code ?? -1, text: done.stderr }
    throw new Error(`${words.join(' ')}: ${done.kind}`)
  }

  /** What was seen once it `holds`; rejects after a minute, with what was seen last. */
  async see<Seen>(what: string, look: () => Promise<Seen>, holds: (seen: Seen) => boolean): Promise<Seen> {
    let seen: Seen
    await until(what, async () => holds((seen = await look()))).catch((error: Error) => {
      throw new Error(`${error.message}: ${JSON.stringify(seen)}\n${this.said}`)
    })
    return seen!
  }

  async end(): Promise<void> {
    await this.killController()
    await this.killCarrier()
    if (/panicked/.test(this.said)) throw new Error(this.said)
    const kept = existsSync(this.#state) ? readdirSync(this.#state) : []
    const damaged = kept.filter((name) => name.endsWith('.damaged'))
    if (damaged.length > 0) throw new Error(`${damaged.join()}: ${this.said}`)
    rmSync(this.folder, { recursive: true })
  }

  get #state(): string {
    return join(this.folder, 'state')
  }

  get #manifests(): string {
    return join(this.folder, 'manifests')
  }

  /** Where the two meet. */
  get #meeting(): readonly string[] {
    return ['--socket', join(this.folder, 'socket')]
  }

  #put(path: string, text: string): void {
    const fresh = join(this.folder, 'fresh')
    writeFileSync(fresh, text)
    renameSync(fresh, path)
  }

  #start(command: readonly string[]): ChildProcess {
    const child = start(command as [string], { stdio: ['ignore', 'ignore', 'pipe'] })
    child.stderr!.on('data', (chunk: Buffer) => (this.said = (this.said + chunk.toString()).slice(-SAID_MAX)))
    return child
  }
}

/** The Corefile of a cluster without other names; `kubernetes`: lines of that plugin, `more`: other plugins. */
export const ofCluster =
  (kubernetes = 'pods insecure', more = '') =>
  (ports: Ports): string =>
    `.:${ports.dns} {
  bind 127.0.0.1
  errors
  ready 127.0.0.1:${ports.ready}
  kubernetes cluster.local in-addr.arpa ip6.arpa {
    ${kubernetes}
    ttl 30
  }
  cache 30
  loadbalance
  ${more}
}
`

/** VmRSS of proc_pid_status(5). */
export function residentKiB(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1])
}

async function kill(child: ChildProcess | null): Promise<void> {
  if (child === null) return
  child.kill('SIGKILL')
  await ended(child)
}

const PROGRAM: readonly string[] = [process.execPath, '--disable-warning=ExperimentalWarning', MAIN]
const SAID_MAX = 20_000
