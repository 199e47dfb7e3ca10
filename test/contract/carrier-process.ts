/** A real carrier process, and a controller's end of it, for tests. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ChildProcess } from 'node:child_process'
import { Connection } from '../../src/carrier/connection.ts'
import { CarrierTarget } from '../../src/carrier/target.ts'
import type { ServerRow } from '../../src/carrier/servers.ts'
import type { NameRow } from '../../src/carrier/wire.ts'
import type { Binding } from '../../src/core/binding.ts'
import { Graph } from '../../src/core/graph.ts'
import { Runner } from '../../src/core/runner.ts'
import { InputTable } from '../../src/core/table.ts'
import { carrier } from '../../src/kernel/carrier.ts'
import { start } from '../../src/kernel/exec.ts'
import { freePorts } from '../cluster/process.ts'

type Names = InputTable<NameRow>
type Servers = InputTable<ServerRow>

export interface World {
  readonly port: number
  /** Where answers are read. */
  readonly readers: string
  readonly names: Names
  readonly servers: Servers
  controller: Controller
  /** kill -9 of the carrier, and a new one with the same state. */
  restart(): Promise<void>
  newController(): Promise<void>
  killWorker(): void
}

export async function makeWorld(t: { teardown(end: () => Promise<void>): void }): Promise<World> {
  const dir = mkdtempSync(join(tmpdir(), 'fairlead-carrier-contract-'))
  // From the first moment on: what comes after it may fail, and the folder is to go all the same.
  const endings: (() => Promise<void>)[] = []
  t.teardown(async () => {
    try {
      for (const end of endings) await end()
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
  })
  const [port] = (await freePorts(1)) as [number]
  const socket = join(dir, 'socket')
  const readers = join(dir, 'readers')
  let said = ''
  const launch = (): ChildProcess => {
    const flags = ['--socket', socket, '--state', join(dir, 'state'), '--threads', '2', '--readers', readers]
    const child = start([carrier, 'dns', ...flags], { stdio: ['ignore', 'ignore', 'pipe'] })
    child.stderr!.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-10_000)))
    return child
  }
  let child = launch()
  endings.push(() => end(child))
  const names: Names = new InputTable('names')
  const servers: Servers = new InputTable('servers')
  servers.put('0', server(port))
  servers.markSynced()
  const world: World = {
    ...{ port, readers, names, servers },
    controller: new Controller(socket, names, servers),
    async restart() {
      await end(child)
      child = launch()
    },
    async newController() {
      await world.controller.end()
      world.controller = new Controller(socket, names, servers)
    },
    killWorker() {
      const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8').trim()
      if (children !== '') process.kill(Number(children.split(' ')[0]), 'SIGKILL')
    },
  }
  endings.push(
    () => world.controller.end(),
    async () => {
      const left = readdirSync(join(dir, 'state')).filter((name) => name.endsWith('.damaged'))
      if (/panicked/.test(said)) throw new Error(said)
      if (left.length > 0) throw new Error(`${left.join()}: ${said}`)
    },
  )
  return world
}

/** A controller process, but in this one: its epoch is new each time. */
export class Controller {
  readonly connection: Connection
  readonly names: Binding<NameRow>
  readonly servers: Binding<ServerRow>
  readonly #ending = new AbortController()
  readonly #unwatch: (() => void)[] = []
  readonly #running: Promise<unknown>

  constructor(path: string, names: Names, servers: Servers) {
    const { signal } = this.#ending
    const backoff = { firstMs: 5, maxMs: 50 }
    this.connection = new Connection({ path, backoff })
    const runner = new Runner(new Graph(), { signal, backoff, auditEveryMs: 0 })
    const attach = <Row>(table: InputTable<Row>): Binding<Row> => {
      const copy = new InputTable<Row>(table.name)
      const follower = {
        changed: (key: string, _: unknown, now: Row | undefined) =>
          now === undefined ? copy.drop(key) : copy.put(key, now),
      }
      table.watch(follower)
      this.#unwatch.push(() => table.unwatch(follower))
      copy.replace([...table.entries()])
      copy.markSynced()
      const target = new CarrierTarget<Row>(table.name, this.connection, (why) => binding.recover(why))
      const binding = runner.attach(copy, target)
      return binding
    }
    this.names = attach(names)
    this.servers = attach(servers)
    this.#running = Promise.all([this.connection.run(signal), runner.run()])
  }

  /** What the tables say now is in force. */
  async settled(): Promise<void> {
    for (const binding of [this.names, this.servers]) {
      const deadline = performance.now() + 60_000
      while (
        binding.status().pending > 0 ||
        binding.status().pendingSince !== null ||
        binding.status().applied === null
      ) {
        if (performance.now() > deadline) throw new Error(`not in force: ${binding.status().lastError?.message}`)
        await new Promise((resolve) => setTimeout(resolve, 5))
      }
    }
  }

  async end(): Promise<void> {
    for (const unwatch of this.#unwatch.splice(0)) unwatch()
    this.#ending.abort()
    await this.#running
  }
}

export async function end(child: ChildProcess): Promise<void> {
  // Without a pid it never began.
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await ended
}

export function host(name: string): string {
  return `${name}.ns1.svc.cluster.local.`
}

export function entry(name: string, ip: string): [string, NameRow] {
  return [`k0 ${host(name)}`, { set: 'k0', name: host(name), records: [{ type: 'A', ip }] }]
}

export function server(port: number): ServerRow {
  const soa = {
    primary: 'ns.dns',
    mailbox: 'hostmaster',
    ttl: 5,
    refresh: 7200,
    retry: 1800,
    expire: 86_400,
    minimum: 5,
  }
  const step = { plugin: 'kubernetes', set: 'k0', zones: ['cluster.local.'], ttl: 30, fallthrough: null, soa } as const
  return {
    listen: [{ transport: 'dns', address: '127.0.0.1', port }],
    zones: ['.'],
    steps: [{ ...step, zones: [...step.zones] }],
  }
}
