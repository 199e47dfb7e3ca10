/** Bridges of pods on an agent's node: what is looked at, what follows from it, who acts on it, and what wakes them. */
import { deriveBridges, type BridgeOptions, type BridgeTables } from '../bridge/derive.ts'
import { createBridges, createRoutes } from '../bridge/found.ts'
import { BridgeFollower, type BridgeEvent } from '../bridge/netlink/follower.ts'
import { BridgeTarget } from '../bridge/netlink/target.ts'
import type { Node } from '../cluster/node.ts'
import type { Graph } from '../core/graph.ts'
import type { Runner } from '../core/runner.ts'
import { asTable, type Readable } from '../core/table.ts'
import { hearKernel } from '../kernel/events.ts'
import type { Log } from '../status/log.ts'

export interface BridgesParts {
  readonly graph: Graph
  readonly nodes: Readable<Node>
  readonly options: BridgeOptions
  readonly log: Log
  readonly signal: AbortSignal
  readonly often: (work: () => unknown, everyMs: number) => void
}

export class Bridges {
  readonly tables: BridgeTables
  readonly #parts: BridgesParts
  readonly #found = { bridges: createBridges(), routes: createRoutes() }

  constructor(parts: BridgesParts) {
    this.#parts = parts
    const { graph, nodes, options } = parts
    this.tables = deriveBridges(graph, { nodes, ...this.#found }, options)
  }

  attach(runner: Runner): void {
    const { log, signal, often } = this.#parts
    const target = new BridgeTarget()
    const binding = runner.attach(this.tables.rows, target)
    const audit = (): void => void binding.audit().catch(() => {}) // whoever looks says so
    const follower = new BridgeFollower({
      ...this.#found,
      matters: () => this.tables.ofPods.size > 0,
      signal,
      onProblem: (problem) => log.warn('bridges of this host', { problem }),
    })
    asTable(this.tables.ofPods).watch({
      changed(bridge, was, now) {
        if (was === undefined) setImmediate(() => follower.look()) // what was on it before did not matter
        if (now?.isUsed === false) log.info('no pod is on a bridge', { bridge, remedy: `ip link delete ${bridge}` })
      },
    })
    void hearKernel({
      flags: ['--link', '--address', '--route'],
      signal,
      onEvent: (event) => {
        follower.hear(event as BridgeEvent)
        if (this.tables.rows.size > 0 && isOfBridge(event as BridgeEvent)) audit()
      },
      onEnd: (why) => log.warn('bridges are not followed for a moment', { why }),
    })
    often(() => {
      follower.lookForFilter()
      if (target.differs() !== null) audit()
    }, SETTINGS_MS)
    often(async () => {
      if (await target.hasLostProxies(signal).catch(() => false)) audit()
    }, PROXIES_MS)
  }
}

/** An option of a bridge, or its alias, may be another. */
const isOfBridge = ({ event, kind }: BridgeEvent): boolean => event === 'link' && kind === 'bridge'

/** How long somebody else's setting may stand, */
const SETTINGS_MS = 300
/** and an address not be answered for, for which a process must be started to see it. */
const PROXIES_MS = 600
