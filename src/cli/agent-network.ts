/** The network of pods of an agent, as far as it is told to make it: what is decided, who acts on it, and what wakes them. */
import type { Rejection } from '../cluster/rejection.ts'
import type { Connection } from '../cluster/source/kube.ts'
import type { Tables } from '../cluster/tables.ts'
import type { Binding } from '../core/binding.ts'
import type { Graph } from '../core/graph.ts'
import type { Runner } from '../core/runner.ts'
import { InputTable, type Readable } from '../core/table.ts'
import { deriveEgress } from '../egress/derive.ts'
import { MasqueradeTarget } from '../egress/nftables/target.ts'
import type { EgressRow, ForwardingRow } from '../egress/rows.ts'
import { ForwardingTarget } from '../egress/sysctl/target.ts'
import type { RulesetMonitor } from '../kernel/monitor.ts'
import { nftProcess } from '../kernel/nft.ts'
import type { Log } from '../status/log.ts'
import { egressOptions, makesPodNetwork, type NetworkWords } from './agent-network-options.ts'
import { decideOverlay, type Overlay } from './agent-overlay.ts'

export interface NetworkParts {
  readonly tables: Tables
  readonly graph: Graph
  readonly log: Log
  readonly signal: AbortSignal
}

/** What the network of pods needs to act. */
export interface NetworkMeans {
  /** null: there is no API server to tell of our end of the overlay. */
  readonly connection: Connection | null
  /** Not asked for where nothing of this is to be in nftables. */
  readonly monitor: () => RulesetMonitor
}

export class PodNetwork {
  readonly rejections: readonly Readable<Rejection>[]
  /** Tables of rows that targets follow, for status. */
  readonly tables: readonly Readable<unknown>[]
  readonly #words: NetworkWords
  readonly #signal: AbortSignal
  readonly #overlay: Overlay | null
  readonly #masqueraded: Readable<EgressRow>
  readonly #isMasquerading: boolean
  readonly #forwarding: Readable<ForwardingRow>
  readonly #isForwarding: boolean

  constructor(words: NetworkWords & { readonly node: string }, parts: NetworkParts) {
    this.#words = words
    this.#signal = parts.signal
    this.#overlay = decideOverlay(words, parts)
    this.#isMasquerading = words.masquerade ?? makesPodNetwork(words)
    this.#isForwarding = words.forwarding ?? makesPodNetwork(words)
    const egress = deriveEgress(parts.graph, parts.tables, egressOptions(words.node, words))
    this.#masqueraded = this.#isMasquerading ? egress.masqueraded : nothing('masqueraded')
    this.#forwarding = this.#isForwarding ? egress.forwarding : nothing('forwarding')
    this.rejections = this.#overlay === null ? [] : [this.#overlay.rejections]
    this.tables = [...(this.#overlay?.tables ?? []), this.#masqueraded, this.#forwarding]
  }

  /** Returns what must be looked at when somebody changed the ruleset. */
  attach(runner: Runner, { connection, monitor }: NetworkMeans): readonly Binding[] {
    const { subnetEnv } = this.#words
    const overlay = this.#overlay?.attach(runner, { nft: monitor().count(nftProcess), connection, subnetEnv })
    const masquerade = new MasqueradeTarget(this.#isMasquerading ? monitor().count(nftProcess) : nftProcess)
    this.#keepForwarding(runner)
    return [...(overlay ? [overlay.guard] : []), runner.attach(this.#masqueraded, masquerade)]
  }

  /** The kernel tells nobody when a setting changes. */
  #keepForwarding(runner: Runner): void {
    const target = new ForwardingTarget()
    const binding = runner.attach(this.#forwarding, target)
    const timer = setInterval(() => {
      if (target.differs() !== null) void binding.audit().catch(() => {}) // whoever looks says so
    }, LOOK_MS).unref()
    this.#signal.addEventListener('abort', () => clearInterval(timer))
  }
}

/** How long somebody else's setting of the kernel may stand. */
const LOOK_MS = 300

/** What is switched off: what an agent before left is removed. */
function nothing<Row>(name: string): Readable<Row> {
  const table = new InputTable<Row>(name)
  table.markSynced()
  return table
}
