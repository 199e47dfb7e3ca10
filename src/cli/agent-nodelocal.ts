/** Node-local DNS of an agent: addresses on this host, whose queries a server here answers, or else the cluster's. */
import type { Command } from 'commander'
import { parseAddress } from '../cluster/address.ts'
import type { Runner } from '../core/runner.ts'
import { Successor } from '../core/successor.ts'
import { InputTable, type Readable } from '../core/table.ts'
import type { Target } from '../core/delta.ts'
import { hearKernel } from '../kernel/events.ts'
import type { Variant } from '../kernel/iptables.ts'
import type { RulesetMonitor } from '../kernel/monitor.ts'
import { nftProcess } from '../kernel/nft.ts'
import { XtablesMonitor } from '../kernel/xtables.ts'
import { followServer } from '../nodelocal/carrier/server.ts'
import { localAddresses } from '../nodelocal/derive.ts'
import { FilterTarget } from '../nodelocal/iptables/filter.ts'
import { IptablesNotrackTarget } from '../nodelocal/iptables/notrack.ts'
import { DEVICE, DeviceTarget } from '../nodelocal/netlink/target.ts'
import { NotrackTarget, TABLE } from '../nodelocal/nftables/target.ts'
import type { LocalAddress } from '../nodelocal/rows.ts'
import type { Log } from '../status/log.ts'
import type { Metrics } from '../status/metrics.ts'
import type { Audited } from './agent-auditor.ts'
import type { HostIptables } from './agent-iptables.ts'
import type { Mode } from './agent-mode.ts'
import { removeTable } from './agent-rules.ts'
import { Failure } from './failure.ts'

export interface NodeLocalWords {
  /** Canonical. Absent: there is none. */
  readonly nodeLocalDns?: readonly string[]
  readonly nodeLocalDnsSocket: string
  /** Namespace/name. */
  readonly dnsService: string
}

export interface NodeLocalMeans {
  /** Not asked for where nothing of this is to be in nftables. */
  readonly monitor: () => RulesetMonitor
  /** null: rules go to nftables. */
  readonly iptables: HostIptables | null
  readonly log: Log
  readonly signal: AbortSignal
}

export function addNodeLocalOptions(command: Command): Command {
  return command
    .option(
      '--node-local-dns <addresses>',
      'give this host these addresses, and send queries for them to the DNS server here while it answers, untracked, else ' +
        "to the cluster's: 169.254.20.10,fd00::10 and, with them, the ClusterIPs of kube-dns (as -localip of NodeLocal DNSCache)",
      (text) => text.split(',').map(parseOne),
    )
    .option(
      '--node-local-dns-socket <path>',
      'where `fairlead-carrier dns --node-local` listens',
      '/run/fairlead/node-local-dns.sock',
    )
    .option('--dns-service <namespace/name>', "the cluster's DNS", 'kube-system/kube-dns')
}

/** Where the Service leads while nobody answers here. */
export const aliasesOf = ({ nodeLocalDns = [], dnsService }: NodeLocalWords): ReadonlyMap<string, readonly string[]> =>
  new Map(nodeLocalDns.length === 0 ? [] : [[dnsService, nodeLocalDns]])

/** Throws what of the words does not go together. */
export function checkNodeLocal({ nodeLocalDns = [] }: NodeLocalWords, mode: Mode | undefined): void {
  if (mode !== 'none' || nodeLocalDns.length === 0) return
  const why = 'while no server answers here, their queries would be lost: with --mode none nobody sends them elsewhere'
  throw new Failure(`--node-local-dns: ${why}; use --mode nftables or iptables, or leave the addresses out`, 2)
}

/** Who answers queries for an address of the node: the server here (1), or the cluster's (0). */
export function nodeLocalMetrics(metrics: Metrics, rows: Readable<LocalAddress>): void {
  const served = metrics.gauge(
    'fairlead_node_local_dns_served',
    "1: queries for this address are answered on this node; 0: they go to the cluster's DNS",
    ['address'],
  )
  metrics.onCollect(() => {
    served.clear()
    for (const [, { ip, isServed }] of rows.entries()) served.set(isServed ? 1 : 0, ip)
  })
}

export class NodeLocal {
  readonly #words: NodeLocalWords
  readonly #rows = new InputTable<LocalAddress>('node-local DNS')
  /** Of legacy iptables, where no rules of Services are in it. */
  #legacy: XtablesMonitor | null = null

  constructor(words: NodeLocalWords) {
    this.#words = words
    if (this.#addresses.length === 0) this.#rows.markSynced()
  }

  /** For status. */
  get tables(): readonly Readable<unknown>[] {
    return this.#addresses.length === 0 ? [] : [this.#rows]
  }

  measure(metrics: Metrics): void {
    if (this.#addresses.length > 0) nodeLocalMetrics(metrics, this.#rows)
  }

  get #addresses(): readonly string[] {
    return this.#words.nodeLocalDns ?? []
  }

  /** Returns what must be looked at when somebody changed the ruleset. */
  attach(runner: Runner, means: NodeLocalMeans): readonly Audited[] {
    const { iptables, signal, log } = means
    const isOn = this.#addresses.length > 0
    const device = runner.attach(this.#rows, new DeviceTarget())
    const queries = runner.attach(this.#rows, notrack(means, isOn))
    const firewall = new FilterTarget({ onWrite: (variant) => this.#writing(variant, iptables) })
    const filter = runner.attach(this.#rows, firewall)
    if (!isOn) return []
    if (iptables?.hasNftables !== false) means.monitor() // tells of changes of the host's firewall
    const audit = (): void => void device.audit().catch(() => {}) // whoever looks says so
    void hearKernel({
      flags: ['--link', '--address'],
      signal,
      onEvent: (event) => (this.#isOurs(event as HeardEvent) ? audit() : undefined),
      onEnd: (why) => log.warn('the node-local addresses are not watched for a moment', { why }),
    })
    if (iptables?.variant === 'legacy') iptables.add(firewall)
    else
      this.#legacy = new XtablesMonitor({
        ...{ signal, tables: [firewall.table], ours: (family, table) => firewall.entries(family, table) },
        onForeignChange: () => void filter.audit().catch(() => {}), // whoever looks says so
        onGap: (why) => log.warn("the host's firewall in legacy iptables is not watched for a moment", { why }),
      })
    void followServer({
      path: this.#words.nodeLocalDnsSocket,
      signal,
      onServing: async (places) => {
        this.#rows.replace(localAddresses(this.#addresses, places))
        this.#rows.markSynced()
        await queries.whenApplied(this.#rows.number)
      },
      onProblem: (problem) =>
        problem === null
          ? log.info('node-local DNS: queries stay on this node')
          : log.warn("node-local DNS: queries go to the cluster's", { problem, service: this.#words.dnsService }),
    })
    return [queries, filter]
  }

  #isOurs({ event, name, address }: HeardEvent): boolean {
    return event === 'overrun' || name === DEVICE || this.#addresses.includes(address ?? '')
  }

  /** A write of ours to the host's firewall, for whoever watches that. */
  #writing(variant: Variant, iptables: HostIptables | null): () => void {
    if (variant === iptables?.variant) return iptables.onWrite()
    return variant === 'legacy' && this.#legacy !== null ? this.#legacy.writing() : () => {}
  }
}

interface HeardEvent {
  readonly event: string
  readonly name?: string
  readonly address?: string
}

/** Removes what an agent left of it. Throws what could not be removed. */
export async function removeNodeLocal(): Promise<void> {
  await removeNftables()
  await new IptablesNotrackTarget({ variant: 'nft' }).cleanup()
  await new FilterTarget({ onWrite: () => () => {} }).cleanup()
  await new DeviceTarget().cleanup()
}

function notrack({ iptables, monitor }: NodeLocalMeans, isOn: boolean): Target<LocalAddress> {
  if (iptables !== null) {
    const target = new IptablesNotrackTarget(iptables)
    iptables.add(target.corner)
    iptables.addSets(target.corner)
    return new Successor(target, removeNftables)
  }
  const target = new NotrackTarget(isOn ? monitor().count(nftProcess) : nftProcess)
  return new Successor(target, () => new IptablesNotrackTarget({ variant: 'nft' }).cleanup())
}

const removeNftables = (): Promise<void> => removeTable(TABLE, new NotrackTarget(nftProcess))

function parseOne(text: string): string {
  const ip = parseAddress(text.trim())
  if (ip === null) throw new Failure(`--node-local-dns: ${text} is no address such as 169.254.20.10 or fd00::10`, 2)
  return ip
}
