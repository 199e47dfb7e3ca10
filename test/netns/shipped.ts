/** Agents as they ship, in the network namespace of the test, on a file of objects. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { exec, start } from '../../src/kernel/exec.ts'
import type { Report } from '../../src/status/report.ts'
import { NODES, SERVICE_CIDR, type Raw } from '../contract/service-objects.ts'
import { until } from './waiting.ts'

export class Shipped {
  readonly folder = mkdtempSync(join(tmpdir(), 'fairlead-shipped-'))
  readonly #file = join(this.folder, 'objects.json')
  readonly #agents = new Set<Agent>()

  /** What the cluster says. In one step: agents take a file that stays empty for a moment for one that is. */
  write(...objects: readonly Raw[]): void {
    const items = [...NODES, SERVICE_CIDR, ...objects]
    writeFileSync(`${this.#file}.fresh`, JSON.stringify({ apiVersion: 'v1', kind: 'List', items }))
    renameSync(`${this.#file}.fresh`, this.#file)
  }

  /** Does not wait. `enter`: words before the command. */
  begin(
    name: string,
    more: { args?: readonly string[]; env?: NodeJS.ProcessEnv; enter?: readonly string[] } = {},
  ): Agent {
    const socket = join(this.folder, `${name}.sock`)
    const cluster = ['--directory', this.#file, '--node', 'n1', '--state-dir', '', '--log', 'debug']
    const words = ['agent', ...cluster, '--status-socket', socket, ...(more.args ?? [])]
    const command = [...(more.enter ?? []), process.execPath, '--disable-warning=ExperimentalWarning', MAIN, ...words]
    const child = start(command as [string], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env, ...more.env },
    })
    const agent = new Agent(child, socket)
    this.#agents.add(agent)
    return agent
  }

  /** Has programmed what was written, and cleaned behind it, once this returns. */
  async start(...args: Parameters<Shipped['begin']>): Promise<Agent> {
    const agent = this.begin(...args)
    await agent.settled()
    return agent
  }

  async kill(): Promise<void> {
    await Promise.all([...this.#agents].map((agent) => agent.kill()))
    this.#agents.clear()
  }

  close(): void {
    for (const agent of this.#agents) agent.child.kill('SIGKILL')
    rmSync(this.folder, { recursive: true, force: true })
  }
}

export class Agent {
  readonly child: ChildProcess
  /** Lines of its log. */
  readonly said: string[] = []
  readonly ended: Promise<number | null>
  readonly #socket: string

  constructor(child: ChildProcess, socket: string) {
    this.child = child
    this.#socket = socket
    createInterface({ input: child.stderr! }).on('line', (line) => this.said.push(line))
    this.ended = new Promise((resolve) => child.once('close', (code) => resolve(code)))
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL')
    await this.ended
  }

  /**
   * What `change` does in several steps comes about as one: an agent that runs would repair the first before the second.
   * A repair that it had begun may still be on its way: the change is made again until it succeeds and `shows`.
   */
  async frozen(change: () => Promise<unknown>, shows: () => Promise<boolean> = async () => true): Promise<void> {
    this.child.kill('SIGSTOP')
    let failure: Error | null = null
    await until('the change is made', async () => {
      failure = await change().then(
        () => null,
        (error: Error) => error,
      )
      return failure === null && (await shows())
    })
      .catch((error: Error) => {
        throw failure ?? error
      })
      .finally(() => this.child.kill('SIGCONT'))
  }

  settled(...targets: readonly string[]): Promise<void> {
    const wanted = targets.length > 0 ? targets : ['nftables', 'conntrack']
    return until(`${wanted.join(' and ')} settled`, async () => {
      const report = await this.report()
      return wanted.every((name) => {
        const target = report?.targets.find((each) => each.name === name)
        return target !== undefined && target.appliedAt !== null && target.pending === 0 && target.error === null
      })
    })
  }

  /** null: it does not answer. */
  async report(): Promise<Report | null> {
    const text = await this.#get('statusz')
    if (text === null && this.child.exitCode !== null)
      throw new Error(`it ended with ${this.child.exitCode}: ${this.said.join('\n')}`)
    return text === null ? null : (JSON.parse(text) as Report)
  }

  /** Of a sample: its value, NaN when there is none. `sample`: with its labels, as it is written. */
  async metric(sample: string): Promise<number> {
    const lines = ((await this.#get('metrics')) ?? '').split('\n')
    const line = lines.find((each) => each.startsWith(`${sample} `))
    return line === undefined ? NaN : Number(line.slice(sample.length + 1))
  }

  async #get(what: string): Promise<string | null> {
    const result = await exec(['curl', '-s', '-m', '5', '--unix-socket', this.#socket, `http://agent/${what}`])
    return result.kind === 'done' ? result.stdout : null
  }
}

export const MAIN = join(import.meta.dirname, '../../src/main.ts')
