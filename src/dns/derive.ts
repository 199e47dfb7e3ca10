import type { EndpointSlice } from '../cluster/endpointslice.ts'
import { isLabel } from '../cluster/metadata.ts'
import type { Namespace } from '../cluster/namespace.ts'
import type { Pod } from '../cluster/pod.ts'
import type { Rejection } from '../cluster/rejection.ts'
import { matches } from '../cluster/selector.ts'
import type { Service } from '../cluster/service.ts'
import type { ServiceImport } from '../cluster/serviceimport.ts'
import { derive, type Read } from '../core/derive.ts'
import { gather } from '../core/gather.ts'
import type { Graph } from '../core/graph.ts'
import { InputTable, type Readable } from '../core/table.ts'
import { union } from '../core/union.ts'
import { deriveClients } from './clients.ts'
import { together, type Part } from './endpoints.ts'
import { zonesOf } from './names.ts'
import type { NameOptions } from './options.ts'
import type { Plan } from './plan.ts'
import { partsOfPod, type Dweller } from './pods.ts'
import type { NameRow } from './rows.ts'
import { deriveSource, type NameTables, type Setting, type Source } from './source.ts'
import { rowsOfNamespace, rowsOfZone, type Server } from './zone.ts'

/** What names follow from. Keys and indexes as cluster/tables.ts makes them. Those that no option needs need not be synced. */
export interface NameInputs {
  readonly services: Readable<Service>
  readonly namespaces: Readable<Namespace>
  /** Unless `noEndpoints`. */
  readonly slices: Readable<EndpointSlice>
  /** With pods `verified`. */
  readonly pods: Readable<Pod>
  /** With `multicluster` zones. */
  readonly serviceImports: Readable<ServiceImport>
}

export interface Names {
  /** For the carrier's table `names`. */
  readonly rows: Readable<NameRow>
  /** What no single field shows to be wrong: names that are too long, answers that no message holds. */
  readonly rejections: Readable<Rejection>
}

/** The names of each `kubernetes` of a Corefile. */
export function deriveNames(graph: Graph, inputs: NameInputs, instances: readonly NameOptions[]): Names {
  const all = instances.map((options) => deriveSet(graph, inputs, options))
  return {
    rows: union(
      'names',
      all.flatMap(({ rows }) => rows),
    ),
    rejections: union(
      'name rejections',
      all.flatMap(({ rejections }) => rejections),
    ),
  }
}

function deriveSet(graph: Graph, inputs: NameInputs, options: NameOptions): NameTables {
  const { set } = options
  const exposed = derive<true, Namespace>(graph, {
    name: `${set} namespaces`,
    driver: inputs.namespaces,
    inputs: [],
    rows: (key, namespace) => (isExposed(namespace, options) ? [[key, true]] : []),
  })
  const zones = zonesOf(options)
  const { noEndpoints, endpointPodNames: podNames } = options
  const setting: Setting = { set, zones, exposed, slices: noEndpoints ? null : inputs.slices, podNames }
  const namespaces = derive<NameRow, true>(graph, {
    name: `${set} names of namespaces`,
    driver: exposed,
    inputs: [],
    rows: (key) => rowsOfNamespace(key, options, zones),
  })
  const sources = [deriveSource(graph, setting, servicesOf(inputs.services, options))]
  if (zones.imported.length > 0) sources.push(deriveSource(graph, setting, importsOf(inputs.serviceImports)))
  const rows = [deriveZones(graph, inputs.services, options, setting), namespaces]
  if (options.pods === 'verified') rows.push(derivePods(graph, inputs.pods, setting))
  if (options.clients) rows.push(deriveClients(graph, inputs.pods, set, options.clients))
  return {
    rows: [...rows, ...sources.flatMap((source) => source.rows)],
    rejections: sources.flatMap(({ rejections }) => rejections),
  }
}

const isExposed = ({ name, labels }: Namespace, { namespaces, namespaceLabels }: NameOptions): boolean =>
  (namespaces === null || namespaces.includes(name)) && (namespaceLabels === null || matches(namespaceLabels, labels))

function servicesOf(services: Readable<Service>, options: NameOptions): Source<Service> {
  return {
    ...{ kind: 'Service', driver: services, index: 'service' },
    plan: (service, ready) => planOf(service, options, ready),
    owner: ({ service }) => service,
    crew: ({ type, headless }) =>
      type === 'ExternalName' ? null : { cluster: '', named: headless || options.endpointNames === 'all' },
  }
}

function planOf(service: Service, options: NameOptions, ready: () => readonly EndpointSlice[]): Plan | null {
  const { namespace, name, type, externalName, clusterIPs, ports } = service
  const plan: Plan = { kind: 'Service', namespace, name, alias: null, addresses: clusterIPs, ports, slices: [] }
  if (type === 'ExternalName') return externalName === null ? null : { ...plan, alias: externalName, ports: [] }
  if (service.headless) {
    const slices = ready()
    return slices.length === 0 ? null : { ...plan, addresses: null, ports: [], slices }
  }
  return options.ignoreEmptyService && !options.noEndpoints && ready().length === 0 ? null : plan
}

/** KEP-1645: as Services, but each endpoint is below the id of its cluster, and no address is reversed to it. */
function importsOf(serviceImports: Readable<ServiceImport>): Source<ServiceImport> {
  return {
    ...{ kind: 'ServiceImport', driver: serviceImports, index: 'import' },
    plan: ({ namespace, name, headless, ips, ports }, ready) => {
      const plan: Plan = { kind: 'ServiceImport', namespace, name, alias: null, addresses: ips, ports, slices: [] }
      if (!headless) return plan
      const slices = ready()
      return slices.length === 0 ? null : { ...plan, addresses: null, ports: [], slices }
    },
    owner: ({ imported }) => imported,
    crew: (_, { cluster }) => (cluster === '' ? null : { cluster, named: true }),
  }
}

function deriveZones(
  graph: Graph,
  services: Readable<Service>,
  options: NameOptions,
  { set, zones, exposed }: Setting,
): Readable<NameRow> {
  const configured = new InputTable<string>(`${set} zones`)
  configured.replace(options.zones.map((zone) => [zone, zone]))
  configured.markSynced()
  return derive<NameRow, string>(graph, {
    name: `${set} names of zones`,
    driver: configured,
    inputs: [services, exposed],
    rows: (zone, _, read) => rowsOfZone(zone, serverOf(read, services, exposed, options.addresses), set, zones),
  })
}

function serverOf(read: Read, services: Readable<Service>, exposed: Readable<true>, given: readonly string[]): Server {
  const found = given.flatMap((address) => read.by(services, 'address', address))
  const own = new Map(given.length === 0 ? read.by(services, 'dns', '') : found)
  const used = [...own.keys()].sort().map((key) => own.get(key)!)
  const isShown = ({ namespace, name }: Service) => isLabel(name) && read.get(exposed, namespace) !== undefined
  return {
    services: used.filter((service) => service.clusterIPs.length > 0 && isShown(service)),
    addresses: [...new Set([...given, ...used.flatMap(({ clusterIPs }) => clusterIPs)])],
  }
}

function derivePods(graph: Graph, pods: Readable<Pod>, { set, zones, exposed }: Setting): Readable<NameRow> {
  const dwellers = derive<Dweller, Pod>(graph, {
    name: `${set} pods`,
    driver: pods,
    inputs: [exposed],
    rows: (key, { namespace, name, ips, finished, deleting }, read) => {
      if (finished || deleting || read.get(exposed, namespace) === undefined) return []
      return [[key, { namespace, name, ips }]]
    },
  })
  return gather<NameRow, Dweller, Part>(graph, {
    name: `${set} names of pods`,
    driver: dwellers,
    parts: (_, dweller) => partsOfPod(dweller, set, zones),
    row: together,
  })
}
