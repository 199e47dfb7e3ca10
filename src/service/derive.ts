import type { EndpointSlice } from '../cluster/endpointslice.ts'
import type { Node } from '../cluster/node.ts'
import type { Rejection } from '../cluster/rejection.ts'
import type { Service } from '../cluster/service.ts'
import type { Key } from '../core/delta.ts'
import { derive, type Derived, type Read } from '../core/derive.ts'
import { expand } from '../core/expand.ts'
import type { Graph } from '../core/graph.ts'
import type { Readable } from '../core/table.ts'
import { union } from '../core/union.ts'
import {
  claimsOf,
  claimText,
  isServed,
  precedence,
  rivalKeys,
  type Claim,
  type ClaimKind,
  type Claims,
} from './claims.ts'
import { deriveFlows, type Flows } from './flows.ts'
import { addressesOf, openedOf, ownerOf, rowsOf, sameRow, type Opened } from './frontends.ts'
import { deriveHealth, type HealthPort } from './healthports.ts'
import { hereOf, type HereKey } from './here.ts'
import type { HostAddress } from './nodeports.ts'
import type { ServiceOptions } from './options.ts'
import { plan, type Plan } from './plan.ts'
import { deriveRanges } from './ranges.ts'
import type { ServiceRow } from './rows.ts'
import { rowsOfShard, shardsOf, type Shard } from './shards.ts'

/** What Services follow from. Keys and indexes as cluster/tables.ts makes them. */
export interface ServiceInputs {
  readonly services: Readable<Service>
  readonly slices: Readable<EndpointSlice>
  readonly nodes: Readable<Node>
  readonly serviceCIDRs: Readable<{ readonly cidrs: readonly string[] }>
  /** What the interfaces of this host have. Index: `all` (''). Absent: not known; then only `primary` addresses answer node ports. */
  readonly addresses?: Readable<HostAddress>
}

export interface ServiceTables {
  /** For the target. */
  readonly rows: Readable<ServiceRow>
  /** By frontend: where its flows may go, for who deletes those that are stale. */
  readonly flows: Readable<Flows>
  /** By Service: everything decided, for status and metrics (see counts.ts). */
  readonly plans: Derived<Plan>
  /** By port: health checks that load balancers make on this node. */
  readonly health: Derived<HealthPort>
  /** What no single object shows to be wrong: addresses that two want, too many endpoints. */
  readonly rejections: Derived<Rejection>
  /** What else follows from this node reads it here. */
  readonly here: Readable<readonly string[]>
}

/** Decides how every Service address works on one node. */
export function deriveServices(graph: Graph, inputs: ServiceInputs, options: ServiceOptions): ServiceTables {
  const here = derive<readonly string[], Node>(graph, {
    name: 'here',
    driver: inputs.nodes,
    inputs: inputs.addresses ? [inputs.addresses] : [],
    rows: (key, node, read) => hereOf(key, node, options, () => hostAddresses(read, inputs)),
  })
  const holders = deriveHolders(graph, inputs, here, options)
  const { services, slices, nodes } = inputs
  const plans = derive<Plan, Service>(graph, {
    name: 'service plans',
    driver: services,
    inputs: [slices, nodes, here, holders.contested, holders.table],
    indexes: { health: ({ health }) => (health === null ? [] : [String(health.port)]) },
    rows: (key, service, read) => {
      if (!isServed(service, options)) return []
      const facts = {
        claims: claims(service, read, nodes, here, options),
        holder: holders.reader(key, read),
        slices: read.by(slices, 'service', key).map(([, slice]) => slice),
        location: { node: options.node, zone: list(read, here, 'zone')[0] ?? null },
        addresses: service.sourceRanges === null ? [] : list(read, here, 'addresses'),
      }
      return [[key, plan(service, facts)]]
    },
  })
  const health = deriveHealth(graph, plans)
  const rejections = derive<Rejection, Plan>(graph, {
    name: 'service rejections',
    driver: plans,
    inputs: [health],
    rows: (key, each, read) => rejectionsOf(key, each, read, health),
  })
  const ranges = deriveRanges(graph, here, inputs.serviceCIDRs, options)
  return { ...deriveRows(graph, plans, ranges), plans, health, rejections, here }
}

/** What plans come to, besides what follows from no Service. */
function deriveRows(
  graph: Graph,
  plans: Readable<Plan>,
  ranges: readonly Readable<ServiceRow>[],
): Pick<ServiceTables, 'rows' | 'flows'> {
  const addresses = derive<ServiceRow, Plan>(graph, {
    name: 'service addresses',
    driver: plans,
    inputs: [],
    same: sameRow,
    rows: (_, each) => addressesOf(each),
  })
  const opened = derive<Opened, Plan>(graph, {
    name: 'service frontends',
    driver: plans,
    inputs: [],
    rows: (_, each) => openedOf(each),
  })
  const frontends = expand<ServiceRow, Opened>(graph, {
    name: 'service rows of frontends',
    driver: opened,
    owner: ownerOf,
    same: sameRow,
    rows: rowsOf,
  })
  const shards = derive<Shard, Plan>(graph, {
    name: 'service shards',
    driver: plans,
    inputs: [],
    rows: shardsOf,
  })
  const crowds = derive<ServiceRow, Shard>(graph, {
    name: 'service rows of shards',
    driver: shards,
    inputs: [],
    same: sameRow,
    rows: (_, shard) => rowsOfShard(shard),
  })
  const rows = union('service rows', [addresses, frontends, crowds, ...ranges])
  return { rows, flows: deriveFlows(graph, opened) }
}

interface Holder {
  /** `namespace/name`. */
  readonly service: Key
  readonly kind: ClaimKind
}

/** Who gets an address that several Services want. Costs rows only where there is such a contest. */
function deriveHolders(
  graph: Graph,
  { services, nodes }: ServiceInputs,
  here: Readable<readonly string[]>,
  options: ServiceOptions,
) {
  // Keys sort by precedence among claims to one address.
  const contested = derive<Holder & { at: string }, Service>(graph, {
    name: 'service claims contested',
    driver: services,
    inputs: [services, nodes, here],
    indexes: { service: ({ service }) => [service] },
    rows: (key, service, read) => {
      if (!isServed(service, options)) return []
      const nodePortIPs = list(read, here, 'node-ports')
      return claims(service, read, nodes, here, options)
        .claims.filter((claim) => {
          // Its own claim counts as well. Who only seems to be a rival costs a row and wins nothing.
          const count = (sum: number, rivals: string) => sum + read.countBy(services, 'claims', rivals)
          return rivalKeys(claim, nodePortIPs).reduce(count, 0) > 1
        })
        .map(({ at, kind }) => [
          `${claimText(at)} ${precedence(kind, service)}`,
          { at: claimText(at), service: key, kind },
        ])
    },
  })
  // Of the keys that yield one output key, the smallest stands: whose precedence comes first.
  const table = derive<Holder, Holder & { at: string }>(graph, {
    name: 'service claims decided',
    driver: contested,
    inputs: [],
    rows: (_, { at, service, kind }) => [[at, { service, kind }]],
  })
  const reader = (key: Key, read: Read): ((claim: Claim) => Holder | null) => {
    if (read.countBy(contested, 'service', key) === 0) return () => null
    return ({ at }) => {
      const holder = read.get(table, claimText(at))
      return holder === undefined || holder.service === key ? null : holder
    }
  }
  return { contested, table, reader }
}

function claims(
  service: Service,
  read: Read,
  nodes: Readable<Node>,
  here: Readable<readonly string[]>,
  options: ServiceOptions,
): Claims {
  const isNode = (ip: string) => read.countBy(nodes, 'address', ip) > 0
  return claimsOf(service, list(read, here, 'node-ports'), isNode, options)
}

function* rejectionsOf(
  key: Key,
  each: Plan,
  read: Read,
  health: Readable<HealthPort>,
): Iterable<readonly [Key, Rejection]> {
  for (const [i, rejection] of each.rejections.entries()) yield [`${key} ${i}`, rejection]
  if (each.health === null) return
  const holder = read.get(health, String(each.health.port))
  if (holder === undefined || `${holder.namespace}/${holder.name}` === key) return
  yield [
    `${key} health`,
    {
      object: `Service ${key}`,
      field: 'spec.healthCheckNodePort',
      problem: `${each.health.port} belongs to Service ${holder.namespace}/${holder.name}; not answered for this one`,
      remedy: 'choose another healthCheckNodePort, or remove the field to have one allocated',
    },
  ]
}

const hostAddresses = (read: Read, { addresses }: ServiceInputs): readonly string[] =>
  addresses === undefined ? [] : read.by(addresses, 'all', '').map(([, { ip }]) => ip)
const list = (read: Read, here: Readable<readonly string[]>, key: HereKey): readonly string[] =>
  read.get(here, key) ?? []
