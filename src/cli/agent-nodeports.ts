/** Node ports of an agent: which addresses of the host answer them, and those that only processes of the node reach. */
import type { Tables } from '../cluster/tables.ts'
import type { Graph } from '../core/graph.ts'
import type { Runner } from '../core/runner.ts'
import type { InputTable, Readable } from '../core/table.ts'
import { createAddressTable, followAddresses, type HostAddress } from '../kernel/addresses.ts'
import type { ServiceTables } from '../service/derive.ts'
import { LocalhostTarget } from '../service/localhost/target.ts'
import { deriveLocalhost, loopbacksOf, readsHostAddresses } from '../service/nodeports.ts'
import type { ServiceOptions } from '../service/options.ts'
import type { Log } from '../status/log.ts'

/** An input of services, followed until the signal aborts; nothing where only the Node's own addresses count. */
export function hostAddresses(
  options: ServiceOptions,
  log: Log,
  signal: AbortSignal,
): { readonly addresses?: InputTable<HostAddress> } {
  if (!readsHostAddresses(options)) return {}
  const addresses = createAddressTable()
  void followAddresses(addresses, { signal, onProblem: (problem) => log.warn('addresses of this host', { problem }) })
  return { addresses }
}

/** null: no loopback address answers node ports. `close`, at the end: nobody is let in any more. */
export function serveLocalhost(
  runner: Runner,
  graph: Graph,
  { services }: Tables,
  { here }: ServiceTables,
  options: ServiceOptions,
): { readonly rows: Readable<unknown>; close(): void } | null {
  if (loopbacksOf(options).length === 0) return null
  const rows = deriveLocalhost(graph, services, here, options)
  const target = new LocalhostTarget((why) => binding.recover(`the relay ended: ${why}`))
  const binding = runner.attach(rows, target)
  return { rows, close: () => target.close() }
}
