import type { EndpointSlice } from '../cluster/endpointslice.ts'
import { isLabel } from '../cluster/metadata.ts'
import type { Rejection } from '../cluster/rejection.ts'
import type { Key } from '../core/delta.ts'
import { derive, type Read } from '../core/derive.ts'
import { gather } from '../core/gather.ts'
import type { Graph } from '../core/graph.ts'
import type { Readable } from '../core/table.ts'
import { partsOf, together, type Crew, type Part } from './endpoints.ts'
import type { Zones } from './names.ts'
import type { Plan } from './plan.ts'
import { hasReady } from './published.ts'
import { rejectionsOf, rejectionsOfCrew, rejectionsOfName } from './rejections.ts'
import type { NameRow } from './rows.ts'
import { rowsOf } from './service.ts'

/** What is read of every source of names. */
export interface Setting {
  readonly set: string
  readonly zones: Zones
  /** Namespaces that are shown, by name. */
  readonly exposed: Readable<true>
  /** null: endpoints are not looked at. */
  readonly slices: Readable<EndpointSlice> | null
  /** Endpoints are called as their pods; else names of pods that are in slices are another set's. */
  readonly podNames: boolean
}

/** A kind of object that has a name, and endpoints with names below: Service, or ServiceImport. */
export interface Source<Row> {
  readonly kind: Plan['kind']
  readonly driver: Readable<Row>
  /** Of slices, by the driver's key. */
  readonly index: 'service' | 'import'
  /** null: it has no name. `ready`: slices of it with a ready endpoint, by key. */
  readonly plan: (row: Row, ready: () => readonly EndpointSlice[]) => Plan | null
  /** Whose endpoints a slice has; null: nobody's of this kind. */
  readonly owner: (slice: EndpointSlice) => string | null
  /** How the endpoints of a slice are called; null: not at all, nor is their address reversed to it. */
  readonly crew: (row: Row, slice: EndpointSlice) => Pick<Crew, 'cluster' | 'named'> | null
}

export interface NameTables {
  /** Of those that hold a key, the first counts. */
  readonly rows: readonly Readable<NameRow>[]
  readonly rejections: readonly Readable<Rejection>[]
}

export function deriveSource<Row extends { readonly namespace: string; readonly name: string }>(
  graph: Graph,
  setting: Setting,
  source: Source<Row>,
): NameTables {
  const { set, zones, exposed, slices, podNames } = setting
  const { kind, driver } = source
  const plans = derive<Plan, Row>(graph, {
    name: `${set} ${kind}s`,
    driver,
    inputs: slices === null ? [exposed] : [exposed, slices],
    rows: (key, row, read) => {
      if (!isLabel(row.name) || read.get(exposed, row.namespace) === undefined) return []
      const plan = source.plan(row, () =>
        slices === null ? [] : readySlices(read, slices, source.index, key).map((it) => called(it, podNames)),
      )
      return plan === null ? [] : [[key, plan]]
    },
  })
  const names = gather<NameRow, Plan, NameRow>(graph, {
    name: `${set} names of ${kind}s`,
    driver: plans,
    parts: (_, plan) => rowsOf(plan, set, zones),
    // Two have one ClusterIP only while a cluster is out of order: then, the first by name.
    row: (_, [first]) => first!,
  })
  const unnamed = derive<Rejection, Row>(graph, {
    name: `${set} ${kind}s without a name`,
    driver,
    inputs: [],
    rows: (key, { namespace, name }) =>
      numbered(`${set} ${kind} ${key} name`, rejectionsOfName({ kind, namespace, name })),
  })
  const rejections = derive<Rejection, Plan>(graph, {
    name: `${set} rejections of ${kind}s`,
    driver: plans,
    inputs: [],
    rows: (key, plan) => numbered(`${set} ${kind} ${key}`, rejectionsOf(plan, zones)),
  })
  if (slices === null) return { rows: [names], rejections: [unnamed, rejections] }
  const endpoints = deriveEndpoints(graph, setting, source, slices)
  return { rows: [names, ...endpoints.rows], rejections: [unnamed, rejections, ...endpoints.rejections] }
}

function deriveEndpoints<Row>(
  graph: Graph,
  { set, zones, exposed, podNames }: Setting,
  { kind, driver, owner, crew }: Source<Row>,
  slices: Readable<EndpointSlice>,
): NameTables {
  const crews = derive<Crew, EndpointSlice>(graph, {
    name: `${set} endpoints of ${kind}s`,
    driver: slices,
    inputs: [driver, exposed],
    rows: (key, slice, read) => {
      const { namespace, endpoints } = called(slice, podNames)
      const name = owner(slice)
      if (!isLabel(name) || !hasReady(endpoints) || read.get(exposed, namespace) === undefined) return []
      const row = read.get(driver, `${namespace}/${name}`)
      const how = row === undefined ? null : crew(row, slice)
      return how === null ? [] : [[key, { kind, namespace, name, endpoints, ...how }]]
    },
  })
  const names = gather<NameRow, Crew, Part>(graph, {
    name: `${set} names of endpoints of ${kind}s`,
    driver: crews,
    parts: (_, each) => partsOf(each, set, zones),
    row: together,
    // Of pods that many Services select, each change looks at the endpoints of all of them.
    atHand: 20_000,
  })
  const rejections = derive<Rejection, Crew>(graph, {
    name: `${set} rejections of endpoints of ${kind}s`,
    driver: crews,
    inputs: [],
    rows: (key, each) => numbered(`${set} ${kind} endpoints ${key}`, rejectionsOfCrew(each, zones)),
  })
  return { rows: [names], rejections: [rejections] }
}

const readySlices = (read: Read, slices: Readable<EndpointSlice>, index: 'service' | 'import', key: Key) =>
  read.by(slices, index, key).flatMap(([, slice]) => (hasReady(slice.endpoints) ? [slice] : []))

const called = (slice: EndpointSlice, podNames: boolean): EndpointSlice =>
  podNames || slice.endpoints.pods === null ? slice : { ...slice, endpoints: { ...slice.endpoints, pods: null } }

const numbered = (prefix: string, rejections: Iterable<Rejection>): [Key, Rejection][] =>
  [...rejections].map((rejection, i) => [`${prefix} ${i}`, rejection])
