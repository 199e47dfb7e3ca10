import type { Pod } from '../cluster/pod.ts'
import { derive } from '../core/derive.ts'
import { gather } from '../core/gather.ts'
import type { Graph } from '../core/graph.ts'
import type { Readable } from '../core/table.ts'
import { reverseName } from './names.ts'
import { nameKey, type NameRow } from './rows.ts'

interface Client {
  readonly namespace: string
  readonly name: string
  readonly ips: readonly string[]
  readonly deleting: boolean
  /** `KEY=VALUE`, those that are asked for. */
  readonly labels: readonly string[]
}

/** The set whose rows say who asks: for steps that answer a client by the namespace it is in. */
export const clientsOf = (set: string): string => `${set}-clients`

/**
 * For each address of a pod a TXT record of its reverse name: the namespace, and the pod where it is one, with its labels that are
 * among `keys`. Addresses come to
 * other pods: one that has finished has none any more, and one that is being deleted only while nobody else has it. Where pods
 * of several namespaces share one, and for pods on their host's network, nobody can tell who asks, and nothing is said.
 */
export function deriveClients(
  graph: Graph,
  pods: Readable<Pod>,
  set: string,
  keys: readonly string[],
): Readable<NameRow> {
  const clients = derive<Client, Pod>(graph, {
    name: `${set} clients`,
    driver: pods,
    inputs: [],
    rows: (key, { namespace, name, ips, hostNetwork, finished, deleting, labels }) => {
      if (finished || hostNetwork || ips.length === 0) return []
      const shown = keys.filter((label) => labels.has(label)).map((label) => `${label}=${labels.get(label)}`)
      return [[key, { namespace, name, ips, deleting, labels: shown }]]
    },
  })
  return gather<NameRow, Client, Client>(graph, {
    name: `${set} names of clients`,
    driver: clients,
    parts: (_, client) => client.ips.map((ip) => [nameKey(clientsOf(set), reverseName(ip)), client] as const),
    row: rowOf,
  })
}

function rowOf(key: string, all: readonly Client[]): NameRow {
  const staying = all.filter(({ deleting }) => !deleting)
  const owners = staying.length > 0 ? staying : all
  const [{ namespace, name, labels }] = owners as [Client]
  const space = key.indexOf(' ')
  const row = { set: key.slice(0, space), name: key.slice(space + 1) }
  if (owners.some((other) => other.namespace !== namespace)) return { ...row, records: [] }
  if (owners.length > 1) return { ...row, records: [{ type: 'TXT', texts: [namespace] }] }
  return { ...row, records: [{ type: 'TXT', texts: [namespace, name, ...labels] }], object: `Pod ${namespace}/${name}` }
}
