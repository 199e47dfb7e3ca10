/** The data plane as `fairlead agent` wires it, from inlets to kernel, in this process and network namespace. */
import { createInlets, createTables } from '../src/cluster/tables.ts'
import { Graph } from '../src/core/graph.ts'
import type { Event } from '../src/core/progress.ts'
import { Runner } from '../src/core/runner.ts'
import { RulesetMonitor } from '../src/kernel/monitor.ts'
import { NftChannel } from '../src/kernel/nft-channel.ts'
import { nftProcess } from '../src/kernel/nft.ts'
import type { Variant } from '../src/kernel/iptables.ts'
import { ConntrackTarget } from '../src/service/conntrack/target.ts'
import { deriveServices } from '../src/service/derive.ts'
import { IptablesTarget } from '../src/service/iptables/target.ts'
import { NftTarget } from '../src/service/nftables/target.ts'
import { DEFAULT_OPTIONS } from '../src/service/options.ts'
import { NODE, SERVICE_CIDR, servicesOf, slicesOf, type Size } from './cluster.ts'
import { childCpu, type Cpu } from './machine.ts'

/** What carries the Services. */
export type Mode = 'nftables' | `iptables-${Variant}`

export interface FromNothing {
  /** Rows programmed. */
  readonly rows: number
  /** Raw objects to tables, and tables to rows; both are CPU of this process, wall time the same. */
  readonly parseMs: number
  readonly deriveMs: number
  /** Rows to kernel: wall time, and CPU of the processes that did it. */
  readonly applyMs: number
  readonly js: number
  readonly tool: Cpu
}

export class Pipeline {
  readonly inlets
  readonly #graph = new Graph()
  readonly #ending = new AbortController()
  readonly #channel = new NftChannel()
  readonly #runner: Runner
  readonly #rows
  #applied: PromiseWithResolvers<Event> = Promise.withResolvers()
  #ended: Promise<void> = Promise.resolve()

  constructor(mode: Mode = 'nftables') {
    const tables = createTables()
    const { signal } = this.#ending
    this.inlets = createInlets(tables)
    const { rows, flows } = deriveServices(this.#graph, tables, { ...DEFAULT_OPTIONS, node: 'n1' })
    this.#rows = rows
    this.#runner = new Runner(this.#graph, { signal, auditEveryMs: 0, onEvent: (event) => this.#hear(event) })
    const rules = this.#runner.attach(this.#rows, mode === 'nftables' ? this.#nftables() : iptables(mode))
    const programmed = (): Promise<void> => rules.whenApplied(rows.number)
    this.#runner.attach(flows, new ConntrackTarget({ flows, programmed, onCleaned() {} }))
  }

  /** Resolves at the next commit of a delta. */
  next(): Promise<Event> {
    return this.#applied.promise
  }

  async program(
    size: Size,
    more: { services?: Iterable<object>; slices?: Iterable<object> } = {},
  ): Promise<FromNothing> {
    const services = [...servicesOf(size), ...(more.services ?? [])]
    const slices = [...slicesOf(size), ...(more.slices ?? [])]
    const begun = performance.now()
    const { inlets } = this
    inlets.services.replace(services)
    inlets.slices.replace(slices)
    inlets.nodes.replace([NODE])
    inlets.serviceCIDRs.replace([SERVICE_CIDR])
    for (const inlet of [inlets.services, inlets.slices, inlets.nodes, inlets.serviceCIDRs]) inlet.synced()
    const parsed = performance.now()
    this.#graph.settle()
    const derived = performance.now()
    const before = { js: process.cpuUsage(), tool: childCpu() }
    const applied = this.next()
    this.#ended = this.#runner.run()
    await applied
    const done = performance.now()
    const { user, system } = process.cpuUsage(before.js)
    const tool = childCpu()
    return {
      rows: this.#rows.size,
      parseMs: parsed - begun,
      deriveMs: derived - parsed,
      applyMs: done - derived,
      js: (user + system) / 1000,
      tool: { userMs: tool.userMs - before.tool.userMs, systemMs: tool.systemMs - before.tool.systemMs },
    }
  }

  async close(): Promise<void> {
    this.#ending.abort()
    this.#channel.close()
    await this.#ended
  }

  #nftables(): NftTarget {
    const monitor = new RulesetMonitor({ signal: this.#ending.signal, onForeignChange() {}, onGap() {} })
    return new NftTarget({ changes: monitor.count(this.#channel), loads: monitor.count(nftProcess) })
  }

  #hear(event: Event): void {
    if (event.kind === 'applied' && event.target === 'conntrack') return
    if (event.kind === 'applied') {
      const { resolve } = this.#applied
      this.#applied = Promise.withResolvers()
      resolve(event)
    } else if (event.kind !== 'audited') {
      const { reject, promise } = this.#applied
      promise.catch(() => {})
      reject(new Error(JSON.stringify(event, (_, value: unknown) => (value instanceof Error ? value.stack : value))))
    }
  }
}

const iptables = (mode: Exclude<Mode, 'nftables'>): IptablesTarget =>
  new IptablesTarget({ variant: mode === 'iptables-legacy' ? 'legacy' : 'nft' })
