/** What an agent is made of, and how it is wired: source -> tables -> derivations -> targets, and status that reads them all. */
import { deriveOrphans } from '../cluster/orphans.ts'
import type { AnyInlet } from '../cluster/inlet.ts'
import type { Rejection } from '../cluster/rejection.ts'
import { createInlets, createTables, type Tables } from '../cluster/tables.ts'
import { Graph } from '../core/graph.ts'
import { Runner } from '../core/runner.ts'
import type { Readable } from '../core/table.ts'
import { union } from '../core/union.ts'
import { ConntrackTarget } from '../service/conntrack/target.ts'
import { deriveServices, type ServiceTables } from '../service/derive.ts'
import { DEFAULT_OPTIONS, type ServiceOptions } from '../service/options.ts'
import { HealthPorts } from '../status/healthport.ts'
import type { Log } from '../status/log.ts'
import { Observer } from '../status/observer.ts'
import { sayRejections } from '../status/rejections.ts'
import { followLoads, makeLiberal, tellCleaned } from './agent-flows.ts'
import { collectWhenQuiet } from './agent-heap.ts'
import { openIptables } from './agent-iptables.ts'
import { watchRuleset, type Audited } from './agent-auditor.ts'
import { carryServices, onDemand, type Mode } from './agent-mode.ts'
import { hostAddresses, serveLocalhost } from './agent-nodeports.ts'
import { PodNetwork } from './agent-network.ts'
import { aliasesOf, NodeLocal, type NodeLocalWords } from './agent-nodelocal.ts'
import type { NetworkWords } from './agent-network-options.ts'
import { serveStatus, type StatusAddresses } from './agent-status.ts'
import { startSource, type SourceOptions } from './source.ts'
import { version } from './version.ts'

export interface AgentOptions extends StatusAddresses, SourceOptions, NetworkWords, NodeLocalWords {
  readonly node: string
  readonly nodeportAddresses?: readonly string[]
  readonly serviceCidrs?: readonly string[]
  readonly externalIpCidrs?: readonly string[]
  readonly serviceProxyName?: string
  readonly conntrackTcpBeLiberal?: boolean
  readonly mode?: Mode
  readonly auditSeconds: number
}

/** Runs until SIGTERM or SIGINT. What was programmed stays. */
export async function runAgent(options: AgentOptions, log: Log): Promise<void> {
  const signal = untilTold()
  const tables = createTables()
  const graph = new Graph()
  const observer = new Observer(log)
  const chosen = serviceOptions(options)
  const services = deriveServices(graph, { ...tables, ...hostAddresses(chosen, log, signal) }, chosen)
  const nodeLocal = new NodeLocal(options)
  const network = new PodNetwork(options, { tables, graph, log, signal })
  const rejections = union('problems', rejectionsOf(graph, tables, services, network))
  sayRejections(rejections, log)
  const source = await startSource(options, {
    inlets: inletsFor(options, tables),
    rejections: tables.rejections,
    ...{ component: 'fairlead-agent', host: options.node, log, signal },
  })

  const runner = new Runner(graph, { signal, auditEveryMs: options.auditSeconds * 1000, onEvent: observer.hear })
  const guards: Audited[] = []
  const monitor = onDemand(() => watchRuleset(() => guards, log, signal))
  const flows = new ConntrackTarget({
    flows: services.flows,
    programmed: () => rows.whenApplied(services.rows.number),
    onCleaned: (cleaned) => tellCleaned(cleaned, log, status.counters),
  })
  const inherit = flows.inherit.bind(flows)
  const mode = options.mode ?? 'nftables'
  const parts = { guards: () => guards, monitor, log, signal }
  const iptables = mode === 'iptables' ? await openIptables(parts) : null
  const { rows, close } = carryServices(mode, iptables, { runner, table: services.rows, inherit, monitor })
  followLoads(rows, runner.attach(services.flows, flows), observer)
  const means = { monitor, iptables, log, signal }
  guards.push(rows, ...network.attach(runner, { ...source, ...means }), ...nodeLocal.attach(runner, means))
  const localhost = serveLocalhost(runner, graph, tables, services, chosen)
  const status = await serveStatus({
    options,
    signal,
    log,
    observer,
    tables,
    services,
    more: [...(localhost === null ? [] : [localhost.rows]), ...network.tables, ...nodeLocal.tables],
    rejections,
    faults: () => graph.faults(),
    measure: (metrics) => nodeLocal.measure(metrics),
    set: options.conntrackTcpBeLiberal === true ? await makeLiberal(log, observer) : () => [],
    rows,
    bindings: () => runner.bindings,
    sources: source.states,
    post: source.post,
  })
  runner.attach(services.health, new HealthPorts(() => status.health.healthy))

  collectWhenQuiet(observer, signal)
  log.info('agent started', { node: options.node, version, source: source.from })
  await runner.run()
  localhost?.close()
  await source.done
  close()
  await status.close()
  log.info('agent ended; the kernel keeps what it was given', { node: options.node })
}

/** Aborts on SIGTERM or SIGINT. */
function untilTold(): AbortSignal {
  const ending = new AbortController()
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => ending.abort())
  return ending.signal
}

/** Of all that is read. */
function rejectionsOf(
  graph: Graph,
  tables: Tables,
  services: ServiceTables,
  network: PodNetwork,
): readonly Readable<Rejection>[] {
  return [tables.rejections, services.rejections, deriveOrphans(graph, tables), ...network.rejections]
}

function serviceOptions(options: AgentOptions): ServiceOptions {
  return {
    ...DEFAULT_OPTIONS,
    node: options.node,
    nodePortAddresses: options.nodeportAddresses ?? DEFAULT_OPTIONS.nodePortAddresses,
    serviceCIDRs: options.serviceCidrs ?? [],
    externalIPAllowed: options.externalIpCidrs ?? null,
    localPodCIDRs: options.localPodCidrs ?? null,
    proxyName: options.serviceProxyName ?? null,
    aliases: aliasesOf(options),
  }
}

function inletsFor({ mode }: AgentOptions, tables: Tables): readonly AnyInlet[] {
  const { services, slices, nodes, serviceCIDRs } = createInlets(tables)
  // Where somebody else carries services, there are none to know of.
  const carried = mode === 'none' ? [] : [services, slices]
  if (carried.length === 0) for (const table of [tables.services, tables.slices]) table.markSynced()
  return [...carried, nodes, serviceCIDRs]
}
