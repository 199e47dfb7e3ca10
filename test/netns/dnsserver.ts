/** A DNS server as it ships, controller and carrier, in a network namespace; it says who it is by what it answers for `who.test`. */
import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { carrier } from '../../src/kernel/carrier.ts'
import { start } from '../../src/kernel/exec.ts'
import { MAIN } from './shipped.ts'
import { ended } from './waiting.ts'
import { within } from './world.ts'

export interface ServerOptions {
  /** Where its files are. */
  readonly folder: string
  readonly namespace: string
  /** The address of `who.test`, which is all that it knows. */
  readonly who?: string
  /** Or lines of its Corefile, or all of it. */
  readonly lines?: readonly string[]
  readonly corefile?: string
  /** Manifests of its cluster. */
  readonly directory?: string
  /** Words of `bind`; '': all addresses. */
  readonly bind?: string
  /** More words for the carrier. */
  readonly carrier?: readonly string[]
}

export class DnsServer {
  carrier: ChildProcess
  readonly controller: ChildProcess
  /** Lines of both logs. */
  readonly said: string[] = []
  readonly #options: ServerOptions
  readonly #socket: string

  constructor(options: ServerOptions) {
    const { folder, namespace, who, bind = '', lines: own = [`hosts {\n${who} who.test\n}`] } = options
    const { directory, corefile: whole } = options
    this.#options = options
    this.#socket = join(folder, `${namespace}.sock`)
    const corefile = join(folder, `${namespace}.Corefile`)
    const lines = [bind === '' ? '' : `bind ${bind}`, ...own, 'health 127.0.0.1:8080']
    writeFileSync(corefile, whole ?? `.:53 {\n${lines.join('\n')}\n}\n`)
    this.carrier = this.startCarrier()
    const main = [process.execPath, '--disable-warning=ExperimentalWarning', MAIN]
    const words = ['dns', '--corefile', corefile, '--socket', this.#socket, '--metrics-bind-address', '127.0.0.1:0']
    const command = [...within(namespace), ...main, ...words, '--directory', directory ?? corefile, '--log', 'debug']
    this.controller = this.#start(command)
  }

  /** Another carrier in the place of this one's. */
  startCarrier(...more: readonly string[]): ChildProcess {
    const { namespace, carrier: words = [] } = this.#options
    const command = [...within(namespace), carrier, 'dns', '--socket', this.#socket, '--threads', '2']
    return (this.carrier = this.#start([...command, ...words, ...more]))
  }

  async kill(): Promise<void> {
    for (const child of [this.controller, this.carrier]) {
      child.kill('SIGKILL')
      await ended(child)
    }
  }

  #start(command: readonly string[]): ChildProcess {
    const child = start(command as [string], { stdio: ['ignore', 'ignore', 'pipe'] })
    createInterface({ input: child.stderr! }).on('line', (line) => this.said.push(line))
    return child
  }
}
