/** The ingress as it ships, controller and carrier, in the network namespace of the test, on a file of objects. */
import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { request, type IncomingHttpHeaders } from 'node:http'
import { request as requestTls } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { carrier } from '../../src/kernel/carrier.ts'
import { start } from '../../src/kernel/exec.ts'
import type { Raw } from '../contract/service-objects.ts'
import { MAIN } from './shipped.ts'
import { ended, until } from './waiting.ts'

export interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

export class ShippedIngress {
  readonly folder = mkdtempSync(join(tmpdir(), 'fairlead-ingress-'))
  /** Lines of both logs. */
  readonly said: string[] = []
  readonly #file = join(this.folder, 'objects.json')
  readonly #socket = join(this.folder, 'proxy.sock')
  readonly #status = join(this.folder, 'status.sock')
  readonly #children: ChildProcess[] = []
  #carrier: ChildProcess | null = null

  /** What the cluster says, from now on. */
  write(...objects: readonly Raw[]): void {
    writeFileSync(this.#file, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects }))
  }

  /** Ends when it serves on 127.0.0.1, ports 80 and 443. */
  async begin(...args: readonly string[]): Promise<void> {
    this.#carrier = this.#startCarrier()
    const words = ['ingress', '--directory', this.#file, '--socket', this.#socket, '--name', 'pod', '--namespace', 'x']
    const more = ['--status-bind-address', this.#status, '--log', 'debug', ...args]
    this.#start([process.execPath, '--disable-warning=ExperimentalWarning', MAIN, ...words, ...more])
    await until('the carrier is ready', async () => (await this.page('/ready')).status === 200)
  }

  /** Another carrier, which takes the place of the one that runs; resolves once that one has ended. `enter`: words before its command. */
  replaceCarrier(...enter: readonly string[]): Promise<number | null> {
    const before = this.#carrier!
    this.#carrier = this.#startCarrier(...enter)
    return ended(before)
  }

  /** What the controller says is wrong: `Ingress x/a spec.tls[0]: problem; remedy`. */
  async complaints(): Promise<readonly string[]> {
    const answer = await ask({ socketPath: this.#status }, '/statusz', {})
    const { rejections } = JSON.parse(answer.body) as Raw
    return (rejections.first as Raw[]).map(
      ({ object, field, problem, remedy }) => `${object} ${field}: ${problem}; ${remedy}`,
    )
  }

  /** GET unless `more` says otherwise; status 0: there was no answer. */
  get(url: string, more: { method?: string; headers?: Record<string, string>; body?: string } = {}): Promise<Answer> {
    const { protocol, host, pathname, search } = new URL(url)
    const headers = { host, ...more.headers }
    return ask({ host: '127.0.0.1', port: protocol === 'https:' ? 443 : 80 }, pathname + search, { ...more, headers })
  }

  page(path: string): Promise<Answer> {
    return ask({ host: '127.0.0.1', port: 10254 }, path, {})
  }

  async end(): Promise<void> {
    for (const child of this.#children) {
      child.kill('SIGKILL')
      await ended(child)
    }
    rmSync(this.folder, { recursive: true, force: true })
  }

  #startCarrier(...enter: readonly string[]): ChildProcess {
    return this.#start([...enter, carrier, 'proxy', '--socket', this.#socket, '--threads', '2', '--http', PAGES])
  }

  #start(command: readonly string[]): ChildProcess {
    const child = start(command as [string], { stdio: ['ignore', 'pipe', 'pipe'] })
    for (const input of [child.stdout!, child.stderr!])
      createInterface({ input }).on('line', (line) => this.said.push(line))
    this.#children.push(child)
    return child
  }
}

const ask = (
  at: { readonly host: string; readonly port: number } | { readonly socketPath: string },
  path: string,
  { method = 'GET', headers = {}, body = '' }: { method?: string; headers?: Record<string, string>; body?: string },
): Promise<Answer> =>
  new Promise((resolve) => {
    const nothing = { status: 0, headers: {}, body: '' }
    const isSecure = 'port' in at && at.port === 443
    const tls = { servername: headers['host'] ?? '', rejectUnauthorized: false }
    const to = { ...at, path, method, headers, agent: false as const, ...(isSecure && tls) }
    const asked = (isSecure ? requestTls : request)(to, (answer) => {
      let text = ''
      answer.on('data', (chunk: Buffer) => (text += chunk.toString()))
      answer.on('end', () => resolve({ status: answer.statusCode!, headers: answer.headers, body: text }))
      answer.on('error', () => resolve(nothing))
    })
    asked.on('error', () => resolve(nothing))
    asked.end(body)
  })

const PAGES = '127.0.0.1:10254'
