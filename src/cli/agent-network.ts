/** The network of pods of an agent, as far as it is told to make it: what is decided, who acts on it, and what wakes them. */
import { BridgeTarget } from '../bridge/netlink/target.ts'
import { ConflistFile } from '../cni/file.ts'
import type { Rejection } from '../cluster/rejection.ts'
import type { Connection } from '../cluster/source/kube.ts'
import type { Tables } from '../cluster/tables.ts'
import type { Graph } from '../core/graph.ts'
import type { Target } from '../core/delta.ts'
import type { Runner } from '../core/runner.ts'
import { InputTable, type Readable } from '../core/table.ts'
import { deriveEgress } from '../egress/derive.ts'
import { HostFirewalls } from '../egress/iptables/firewalls.ts'
import { AcceptTarget } from '../egress/iptables/target.ts'
import type { AcceptRow, EgressRow, Firewall, ForwardingRow } from '../egress/rows.ts'
import { ForwardingTarget } from '../egress/sysctl/target.ts'
import type { InterfaceAddress } from '../kernel/interfaces.ts'
import type { RulesetMonitor } from '../kernel/monitor.ts'
import { nftProcess, type Nft } from '../kernel/nft.ts'
import { NetlinkTarget } from '../overlay/netlink/target.ts'
import type { GuardRow } from '../overlay/rows.ts'
import { MARKS } from '../service/iptables/names.ts'
import type { Log } from '../status/log.ts'
import { Bridges } from './agent-bridges.ts'
import { Cni } from './agent-cni.ts'
import type { HostIptables } from './agent-iptables.ts'
import type { Audited } from './agent-auditor.ts'
import { egressOptions, makesPodNetwork, type NetworkWords } from './agent-network-options.ts'
import { decideOverlay, type Overlay } from './agent-overlay.ts'
import { makeGuard, makeMasquerade, removeRules } from './agent-rules.ts'
import { coalesced } from './coalesced.ts'

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
  /** null: rules go to nftables. */
  readonly iptables: HostIptables | null
}

export class PodNetwork {
  readonly rejections: readonly Readable<Rejection>[]
  /** Tables of rows that targets follow, for status. */
  readonly tables: readonly Readable<unknown>[]
  readonly #words: NetworkWords
  readonly #parts: NetworkParts
  readonly #overlay: Overlay | null
  readonly #masqueraded: Readable<EgressRow>
  readonly #isMasquerading: boolean
  readonly #forwarding: Readable<ForwardingRow>
  readonly #isForwarding: boolean
  readonly #firewalls = new InputTable<Firewall>('firewalls')
  readonly #accepted: Readable<AcceptRow>
  /** null: the conflist is somebody else's to write. */
  readonly #cni: Cni | null
  /** null: what bridges are set to is nobody's of ours. */
  readonly #bridges: Bridges | null

  constructor(words: NetworkWords & { readonly node: string }, parts: NetworkParts) {
    this.#words = words
    this.#parts = parts
    this.#overlay = decideOverlay(words, parts)
    this.#isMasquerading = words.masquerade ?? makesPodNetwork(words)
    this.#isForwarding = words.forwarding ?? makesPodNetwork(words)
    const interfaces = this.#overlay?.interfaces ?? nothing<InterfaceAddress>('interfaces')
    const inputs = { nodes: parts.tables.nodes, interfaces, firewalls: this.#firewalls }
    const egress = deriveEgress(parts.graph, inputs, egressOptions(words.node, words))
    this.#masqueraded = this.#isMasquerading ? egress.masqueraded : nothing('masqueraded')
    this.#forwarding = this.#isForwarding ? egress.forwarding : nothing('forwarding')
    this.#accepted = this.#isForwarding ? egress.accepted : nothing('accepted')
    this.#cni = this.#decideCni(words)
    const cni = this.#cni?.tables
    this.#bridges = this.#decideBridges(words)
    const bridges = this.#bridges?.tables
    this.rejections = [this.#overlay?.rejections, egress.rejections, cni?.rejections, bridges?.rejections].filter(
      (each) => each !== undefined,
    )
    const tables = [this.#masqueraded, this.#forwarding, this.#accepted, cni?.conflist, bridges?.rows]
    this.tables = [...(this.#overlay?.tables ?? []), ...tables.filter((each) => each !== undefined)]
  }

  #decideCni({ node, cniConfDir: folder, cniDataDir: dataDir }: NetworkWords & { readonly node: string }): Cni | null {
    if (folder === '') return null
    const { graph, tables } = this.#parts
    const overlay = this.#overlay?.rows ?? null
    const often = this.#often.bind(this)
    return new Cni({ graph, nodes: tables.nodes, overlay, node, folder, dataDir, often })
  }

  #decideBridges(words: NetworkWords & { readonly node: string }): Bridges | null {
    if (!this.#isForwarding) return null
    const { graph, tables, log, signal } = this.#parts
    const options = { node: words.node, localPodCIDRs: words.localPodCidrs ?? null }
    return new Bridges({ graph, nodes: tables.nodes, options, log, signal, often: this.#often.bind(this) })
  }

  /** Returns what must be looked at when somebody changed the ruleset. */
  attach(runner: Runner, { connection, monitor, iptables }: NetworkMeans): readonly Audited[] {
    const { subnetEnv } = this.#words
    const counted = (): Nft => monitor().count(nftProcess)
    const guard = (port: number): Target<GuardRow> => makeGuard(port, { iptables, nft: counted })
    const overlay = this.#overlay?.attach(runner, { guard, connection, subnetEnv })
    const masquerade = makeMasquerade({ iptables, nft: this.#isMasquerading ? counted : () => nftProcess })
    this.#keepForwarding(runner)
    this.#cni?.attach(runner)
    if (this.#bridges) this.#bridges.attach(runner)
    else runner.attach(nothing('bridge rows'), new BridgeTarget())
    const firewalls = this.#passFirewalls(runner)
    if (this.#isForwarding && iptables?.hasNftables !== false) monitor() // tells of changes of their rules
    return [
      ...(overlay ? [overlay.guard] : []),
      runner.attach(this.#masqueraded, masquerade),
      ...(firewalls ? [firewalls] : []),
    ]
  }

  /** The kernel tells nobody when a setting changes. */
  #keepForwarding(runner: Runner): void {
    const target = new ForwardingTarget()
    const binding = runner.attach(this.#forwarding, target)
    this.#often(() => {
      if (target.differs() !== null) void binding.audit().catch(() => {}) // whoever looks says so
    }, SETTINGS_MS)
  }

  /** What is returned looks whether the host's firewalls are as they were, and whether our rules in them are. */
  #passFirewalls(runner: Runner): Audited | null {
    const { log, signal } = this.#parts
    const binding = runner.attach(this.#accepted, new AcceptTarget({ masquerade: MARKS.masquerade, drop: MARKS.drop }))
    if (!this.#isForwarding) {
      this.#firewalls.markSynced()
      return null
    }
    const warn = (problem: string): void => log.warn('a firewall of this host', { problem })
    const firewalls = new HostFirewalls(this.#firewalls, warn)
    const look = coalesced(async () => {
      const changed = await firewalls.look(signal).catch((error: Error) => warn(error.message))
      if (changed) void binding.audit().catch(() => {})
    })
    this.#often(async () => {
      if (await firewalls.hasLegacyChanged(signal)) look()
    }, FIREWALLS_MS)
    look()
    return { audit: () => (look(), binding.audit()) }
  }

  /** One at a time, however long it takes. */
  #often(work: () => unknown, everyMs: number): void {
    let isWorking = false
    const timer = setInterval(async () => {
      if (isWorking) return
      isWorking = true
      await Promise.resolve(work()).finally(() => (isWorking = false))
    }, everyMs).unref()
    this.#parts.signal.addEventListener('abort', () => clearInterval(timer))
  }
}

/** Where container runtimes look unless told otherwise. */
const CNI_CONF_DIR = '/etc/cni/net.d'
/** How long somebody else's setting of the kernel may stand, */
const SETTINGS_MS = 300
/** and a change of legacy iptables, for which a process must be started to see it. */
const FIREWALLS_MS = 600

/** Removes what an agent left of all this. Throws what could not be removed. */
export async function removeNetwork(cniConfDir: string): Promise<void> {
  await new NetlinkTarget().cleanup()
  await removeRules()
  await new AcceptTarget({ masquerade: MARKS.masquerade, drop: MARKS.drop }).cleanup()
  await new BridgeTarget().cleanup()
  await new ConflistFile(cniConfDir || CNI_CONF_DIR).cleanup()
}

/** What is switched off: what an agent before left is removed. */
function nothing<Row>(name: string): Readable<Row> {
  const table = new InputTable<Row>(name)
  table.markSynced()
  return table
}
