import { InputTable } from '../core/table.ts'
import type { ConfigMap } from './configmap.ts'
import type { EndpointSlice } from './endpointslice.ts'
import type { Ingress } from './ingress.ts'
import type { IngressClass } from './ingressclass.ts'
import { Inlet } from './inlet.ts'
import * as kind from './kind.ts'
import type { Namespace } from './namespace.ts'
import type { Node } from './node.ts'
import type { Pod } from './pod.ts'
import type { Protocol } from './protocol.ts'
import type { Rejection } from './rejection.ts'
import type { Secret } from './secret.ts'
import type { Service } from './service.ts'
import type { ServiceCIDR } from './servicecidr.ts'
import type { ServiceImport } from './serviceimport.ts'

/** What the cluster says, as rows. Keys are `namespace/name`, or `name` for kinds without namespaces. */
export interface Tables {
  /** Indexes: `claims` (claimKey, nodePortKey), `address` (each ClusterIP), `dns` (''; the cluster's DNS). */
  readonly services: InputTable<Service>
  /** Indexes: `service` (`namespace/name` of the Service), `import` (of the ServiceImport). */
  readonly slices: InputTable<EndpointSlice>
  /** Index: `address` (internal and external IPs). */
  readonly nodes: InputTable<Node>
  /** Index: `label` (`key=value`). */
  readonly namespaces: InputTable<Namespace>
  /** Indexes: `node`, `ip`, `ns`, `label` (labelKey). */
  readonly pods: InputTable<Pod>
  readonly serviceCIDRs: InputTable<ServiceCIDR>
  readonly serviceImports: InputTable<ServiceImport>
  readonly ingresses: InputTable<Ingress>
  /** Index: `default` (''; those of Ingresses that name none). */
  readonly ingressClasses: InputTable<IngressClass>
  readonly configMaps: InputTable<ConfigMap>
  readonly secrets: InputTable<Secret>
  /** What could not be used, of all kinds. */
  readonly rejections: InputTable<Rejection>
}

/** Tables with the indexes that derivations read. `of` tells those of several clusters apart: `services (endpoint ...)`. */
export function createTables(of = ''): Tables {
  const called = (name: string): string => (of === '' ? name : `${name} (${of})`)
  const rejections = new InputTable<Rejection>(called('rejections'))
  // Complaints are shown as they come: nothing waits for them to be complete.
  rejections.markSynced()
  return {
    services: new InputTable<Service>(called('services'), { indexes: serviceIndexes }),
    slices: new InputTable<EndpointSlice>(called('slices'), { indexes: { service: ownerOf, import: importOf } }),
    nodes: new InputTable<Node>(called('nodes'), {
      indexes: { address: (row) => [...row.internalIPs, ...row.externalIPs] },
    }),
    namespaces: new InputTable<Namespace>(called('namespaces'), { indexes: { label: (row) => pairs(row.labels) } }),
    pods: new InputTable<Pod>(called('pods'), { indexes: podIndexes }),
    serviceCIDRs: new InputTable<ServiceCIDR>(called('serviceCIDRs')),
    serviceImports: new InputTable<ServiceImport>(called('serviceImports')),
    ingresses: new InputTable<Ingress>(called('ingresses')),
    ingressClasses: new InputTable<IngressClass>(called('ingressClasses'), {
      indexes: { default: ({ isDefault }) => (isDefault ? DEFAULT : NONE) },
    }),
    configMaps: new InputTable<ConfigMap>(called('configMaps')),
    secrets: new InputTable<Secret>(called('secrets')),
    rejections,
  }
}

export interface Inlets {
  readonly services: Inlet<Service>
  readonly slices: Inlet<EndpointSlice>
  readonly nodes: Inlet<Node>
  readonly namespaces: Inlet<Namespace>
  readonly pods: Inlet<Pod>
  readonly serviceCIDRs: Inlet<ServiceCIDR>
  readonly serviceImports: Inlet<ServiceImport>
  readonly ingresses: Inlet<Ingress>
  readonly ingressClasses: Inlet<IngressClass>
  readonly configMaps: Inlet<ConfigMap>
  readonly secrets: Inlet<Secret>
}

/** One inlet a kind. A source is given those it shall fill: `[inlets.services, inlets.slices]`. `podNames`: of endpoints, for DNS. */
export function createInlets(tables: Tables, { podNames = false } = {}): Inlets {
  const { rejections } = tables
  return {
    services: new Inlet(kind.services, tables.services, rejections),
    slices: new Inlet(podNames ? kind.endpointSlicesWithPods : kind.endpointSlices, tables.slices, rejections),
    nodes: new Inlet(kind.nodes, tables.nodes, rejections),
    namespaces: new Inlet(kind.namespaces, tables.namespaces, rejections),
    pods: new Inlet(kind.pods, tables.pods, rejections),
    serviceCIDRs: new Inlet(kind.serviceCIDRs, tables.serviceCIDRs, rejections),
    serviceImports: new Inlet(kind.serviceImports, tables.serviceImports, rejections),
    ingresses: new Inlet(kind.ingresses, tables.ingresses, rejections),
    ingressClasses: new Inlet(kind.ingressClasses, tables.ingressClasses, rejections),
    configMaps: new Inlet(kind.configMaps, tables.configMaps, rejections),
    secrets: new Inlet(kind.secrets, tables.secrets, rejections),
  }
}

/** Values of the index `claims` of services: an address and port, or a node port, that a Service wants for itself. */
export const claimKey = (ip: string, protocol: Protocol, port: number): string => `${ip} ${protocol} ${port}`
export const nodePortKey = (protocol: Protocol, nodePort: number): string => `node-port ${protocol} ${nodePort}`

/** Value of the index `label` of pods. */
export const labelKey = (namespace: string, label: string, value: string): string => `${namespace} ${label}=${value}`

function* claims(service: Service): Iterable<string> {
  for (const { protocol, port, nodePort } of service.ports) {
    for (const ips of [service.clusterIPs, service.externalIPs, service.loadBalancerIPs]) {
      for (const ip of ips) yield claimKey(ip, protocol, port)
    }
    if (nodePort !== 0) yield nodePortKey(protocol, nodePort)
  }
}

const serviceIndexes = {
  claims,
  address: (service: Service) => service.clusterIPs,
  dns: (service: Service) => (service.dns ? DNS : NONE),
}

const ownerOf = (slice: EndpointSlice) => (slice.service === '' ? NONE : [`${slice.namespace}/${slice.service}`])

const importOf = (slice: EndpointSlice) => (slice.imported === '' ? NONE : [`${slice.namespace}/${slice.imported}`])

const podIndexes = {
  node: (pod: Pod) => (pod.node === null ? NONE : [pod.node]),
  ip: (pod: Pod) => pod.ips,
  ns: (pod: Pod) => [pod.namespace],
  label: (pod: Pod) => [...pod.labels].map(([label, value]) => labelKey(pod.namespace, label, value)),
}

const pairs = (labels: ReadonlyMap<string, string>) => [...labels].map(([label, value]) => `${label}=${value}`)

const NONE: readonly string[] = Object.freeze([])
const DNS: readonly string[] = Object.freeze([''])
const DEFAULT = DNS
