/** The cluster's DNS as it ships, controller and carrier, each a process that may be killed, on loopback. */
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ChildProcess } from 'node:child_process'
import { carrier } from '../../src/kernel/carrier.ts'
import { start } from '../../src/kernel/exec.ts'
import { MAIN } from '../netns/shipped.ts'
import { ended, until } from '../netns/waiting.ts'
import { freePort } from './carrier-process.ts'
import type { Raw } from './service-objects.ts'

export class ShippedDns {
  readonly folder = mkdtempSync(join(tmpdir(), 'fairlead-dns-shipped-'))
  readonly port: number
  readonly #readyPort: number
  /** The end of what both said. */
  said = ''
  #carrier: ChildProcess | null = null
  #controller: ChildProcess | null = null

  private constructor(port: number, readyPort: number) {
    this.port = port
    this.#readyPort = readyPort
    const kubernetes = 'kubernetes cluster.local in-addr.arpa ip6.arpa {\npods insecure\nttl 30\n}'
    const plugins = ['bind 127.0.0.1', 'errors', `ready 127.0.0.1:${readyPort}`, kubernetes, 'cache 30', 'loadbalance']
    writeFileSync(join(this.folder, 'Corefile'), `.:${port} {\n${plugins.join('\n')}\n}\n`)
  }

  static async make(t: { teardown(end: () => Promise<void>): void }): Promise<ShippedDns> {
    const port = await freePort()
    const dns = new ShippedDns(port, await freePort(port + 1))
    t.teardown(() => dns.end())
    return dns
  }

  /** What the cluster says, for controllers with `--directory objects.json`. */
  write(objects: readonly Raw[]): void {
    const file = join(this.folder, 'objects.json')
    writeFileSync(`${file}.new`, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }))
    renameSync(`${file}.new`, file)
  }

  startCarrier(): void {
    this.#carrier = this.#start([
      carrier,
      'dns',
      ...this.#socket,
      '--state',
      join(this.folder, 'state'),
      '--threads',
      '2',
    ])
  }

  startController(source: readonly string[] = ['--directory', join(this.folder, 'objects.json')]): void {
    const words = ['dns', '--corefile', join(this.folder, 'Corefile'), ...this.#socket, ...source]
    const more = ['--metrics-bind-address', '127.0.0.1:0', '--name', 'coredns-test']
    this.#controller = this.#start([process.execPath, '--disable-warning=ExperimentalWarning', MAIN, ...words, ...more])
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

  get supervisor(): number {
    return this.#carrier!.pid!
  }

  get controller(): number {
    return this.#controller!.pid!
  }

  /** Its process id; null: there is none at the moment. */
  get worker(): number | null {
    const children = readFileSync(`/proc/${this.supervisor}/task/${this.supervisor}/children`, 'utf8').trim()
    return children === '' ? null : Number(children.split(' ')[0])
  }

  /** Status and text of /ready; null: nobody serves it. */
  ready(): Promise<{ readonly status: number; readonly text: string } | null> {
    return new Promise((resolve) => {
      const asked = request({ host: '127.0.0.1', port: this.#readyPort, path: '/ready', agent: false }, (response) => {
        let text = ''
        response.on('data', (chunk: Buffer) => (text += chunk.toString()))
        response.once('end', () => resolve({ status: response.statusCode ?? 0, text: text.trim() }))
      })
      asked.once('error', () => resolve(null))
      asked.end()
    })
  }

  async end(): Promise<void> {
    await this.killController()
    await this.killCarrier()
    if (/panicked/.test(this.said)) throw new Error(this.said)
    const damaged = readdirSync(join(this.folder, 'state')).filter((name) => name.endsWith('.damaged'))
    if (damaged.length > 0) throw new Error(`${damaged.join()}: ${this.said}`)
    rmSync(this.folder, { recursive: true })
  }

  get #socket(): readonly string[] {
    return ['--socket', join(this.folder, 'socket')]
  }

  #start(command: readonly string[]): ChildProcess {
    const child = start(command as [string], { stdio: ['ignore', 'ignore', 'pipe'] })
    child.stderr!.on('data', (chunk: Buffer) => (this.said = (this.said + chunk.toString()).slice(-SAID_MAX)))
    return child
  }
}

/** VmRSS of proc_pid_status(5). */
export function residentKiB(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1])
}

async function kill(child: ChildProcess | null): Promise<void> {
  if (child === null) return
  child.kill('SIGKILL')
  await ended(child)
}

const SAID_MAX = 20_000
