/** The DNS as it ships, controller and carrier, with a Corefile and manifests, on ports of this machine's own. */
import type { ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { carrier } from '../../src/kernel/carrier.ts'
import { exec, start } from '../../src/kernel/exec.ts'
import { end, freePort } from './carrier-process.ts'

export interface Ports {
  readonly dns: number
  readonly health: number
  readonly ready: number
  readonly metrics: number
  /** Nobody's. */
  readonly other: number
}

export class DnsProcess {
  readonly ports: Ports
  /** Of the controller. */
  readonly socket: string
  carrier: ChildProcess
  controller: ChildProcess
  /** What both wrote. */
  said = ''
  readonly #folder: string
  readonly #corefile: (ports: Ports) => string

  static async start(
    t: { teardown(end: () => Promise<void>): void },
    corefile: (ports: Ports) => string,
    manifests: string,
  ): Promise<DnsProcess> {
    const folder = mkdtempSync(join(tmpdir(), 'fairlead-dns-contract-'))
    const running: DnsProcess[] = []
    t.teardown(async () => {
      for (const { controller, carrier } of running) for (const child of [controller, carrier]) await end(child)
      rmSync(folder, { recursive: true, force: true })
    })
    const dns = await freePort()
    const health = await freePort(dns + 1)
    const ready = await freePort(health + 1)
    const metrics = await freePort(ready + 1)
    const other = await freePort(metrics + 1)
    mkdirSync(join(folder, 'manifests'))
    writeFileSync(join(folder, 'manifests', 'all.yaml'), manifests)
    running.push(new DnsProcess(folder, { dns, health, ready, metrics, other }, corefile))
    return running[0]!
  }

  private constructor(folder: string, ports: Ports, corefile: (ports: Ports) => string) {
    this.ports = ports
    this.#folder = folder
    this.#corefile = corefile
    this.socket = join(folder, 'status.sock')
    this.write(corefile(ports))
    this.carrier = this.startCarrier()
    this.controller = this.startController()
  }

  startCarrier(): ChildProcess {
    const flags = ['--socket', this.#path('dns.sock'), '--state', this.#path('state'), '--threads', '1']
    return (this.carrier = this.#start([carrier, 'dns', ...flags, '--readers', this.#path('readers')]))
  }

  /** `cluster`: another one than that of the manifests. */
  startController(cluster = ['--directory', this.#path('manifests')]): ChildProcess {
    const words = ['dns', '--corefile', this.#path('Corefile'), '--socket', this.#path('dns.sock'), '--name', 'dns-0']
    const where = ['--metrics-bind-address', '127.0.0.1:0', '--status-socket', this.socket]
    return (this.controller = this.#start([...MAIN, ...words, ...where, ...cluster]))
  }

  /** One more, or another in its place. */
  manifest(name: string, text: string): void {
    writeFileSync(this.#path('new'), text)
    renameSync(this.#path('new'), join(this.#path('manifests'), name))
  }

  /** What the carrier keeps. */
  forget(): void {
    rmSync(this.#path('state'), { recursive: true, force: true })
  }

  /** The Corefile, at once; undefined: the first one. */
  write(text = this.#corefile(this.ports)): void {
    writeFileSync(this.#path('new'), text)
    renameSync(this.#path('new'), this.#path('Corefile'))
  }

  /** `fairlead WORDS`. */
  async command(...words: readonly string[]): Promise<{ readonly code: number; readonly text: string }> {
    const done = await exec([...MAIN, ...words] as [string], { timeoutMs: 60_000 })
    if (done.kind === 'done') return { code: 0, text: done.stdout }
    if (done.kind === 'failed') return { code: done.code ?? -1, text: done.stderr }
    throw new Error(`${words.join(' ')}: ${done.kind}`)
  }

  async get(port: number, path: string): Promise<{ readonly code: number; readonly text: string } | null> {
    try {
      const answer = await fetch(`http://127.0.0.1:${port}${path}`, { signal: AbortSignal.timeout(20_000) })
      return { code: answer.status, text: await answer.text() }
    } catch {
      return null
    }
  }

  /** Asks until `holds`; rejects after a minute, with what was seen last. */
  async until<Seen>(what: string, see: () => Promise<Seen>, holds: (seen: Seen) => boolean): Promise<Seen> {
    const deadline = Date.now() + 60_000
    for (;;) {
      const seen = await see()
      if (holds(seen)) return seen
      if (Date.now() > deadline) throw new Error(`${what}: ${JSON.stringify(seen)}\n${this.said}`)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }

  #path(name: string): string {
    return join(this.#folder, name)
  }

  #start(command: readonly string[]): ChildProcess {
    const child = start(command as [string], { stdio: ['ignore', 'pipe', 'pipe'] })
    for (const output of [child.stdout!, child.stderr!])
      output.on('data', (chunk: Buffer) => (this.said = (this.said + chunk.toString()).slice(-20_000)))
    return child
  }
}

const MAIN: readonly string[] = [
  process.execPath,
  '--disable-warning=ExperimentalWarning',
  fileURLToPath(new URL('../../src/main.ts', import.meta.url)),
]
