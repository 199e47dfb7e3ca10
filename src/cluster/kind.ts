import { parseConfigMap, type ConfigMap } from './configmap.ts'
import { parseEndpointSlice, type EndpointSlice } from './endpointslice.ts'
import { parseIngress, type Ingress } from './ingress.ts'
import { parseIngressClass, type IngressClass } from './ingressclass.ts'
import { objectKey } from './metadata.ts'
import { parseNamespace, type Namespace } from './namespace.ts'
import { parseNode, type Node } from './node.ts'
import { parsePod, type Pod } from './pod.ts'
import type { Parsed } from './rejection.ts'
import { parseSecret, type Secret } from './secret.ts'
import { parseService, type Service } from './service.ts'
import { parseServiceCIDR, type ServiceCIDR } from './servicecidr.ts'
import { parseServiceImport, type ServiceImport } from './serviceimport.ts'

/** A kind of object: where an API server has it, and how it becomes a row. */
export interface Kind<Row> {
  /** As in manifests: `EndpointSlice`. */
  readonly kind: string
  /** As in URLs: `endpointslices`. */
  readonly plural: string
  /** '' for core/v1. */
  readonly group: string
  readonly version: string
  readonly namespaced: boolean
  /** Older API servers do not have it: counts as an empty list there. */
  readonly optional: boolean
  /** Never throws, whatever it is given. */
  parse(raw: unknown): Parsed<Row>
}

export const services: Kind<Service> = {
  ...{ kind: 'Service', plural: 'services', group: '', version: 'v1', namespaced: true, optional: false },
  parse: parseService,
}

export const endpointSlices: Kind<EndpointSlice> = {
  ...{ kind: 'EndpointSlice', plural: 'endpointslices', group: 'discovery.k8s.io', version: 'v1' },
  ...{ namespaced: true, optional: false },
  parse: (raw) => parseEndpointSlice(raw),
}

/** The same with the names of pods, which only DNS may want (endpoint_pod_names). */
export const endpointSlicesWithPods: Kind<EndpointSlice> = {
  ...endpointSlices,
  parse: (raw) => parseEndpointSlice(raw, true),
}

export const nodes: Kind<Node> = {
  ...{ kind: 'Node', plural: 'nodes', group: '', version: 'v1', namespaced: false, optional: false },
  parse: parseNode,
}

export const namespaces: Kind<Namespace> = {
  ...{ kind: 'Namespace', plural: 'namespaces', group: '', version: 'v1', namespaced: false, optional: false },
  parse: parseNamespace,
}

export const pods: Kind<Pod> = {
  ...{ kind: 'Pod', plural: 'pods', group: '', version: 'v1', namespaced: true, optional: false },
  parse: parsePod,
}

/** GA in Kubernetes 1.33. */
export const serviceCIDRs: Kind<ServiceCIDR> = {
  ...{ kind: 'ServiceCIDR', plural: 'servicecidrs', group: 'networking.k8s.io', version: 'v1' },
  ...{ namespaced: false, optional: true },
  parse: parseServiceCIDR,
}

/** Multi-Cluster Services API: a custom resource, which most clusters have not. */
export const serviceImports: Kind<ServiceImport> = {
  ...{ kind: 'ServiceImport', plural: 'serviceimports', group: 'multicluster.x-k8s.io', version: 'v1alpha1' },
  ...{ namespaced: true, optional: true },
  parse: parseServiceImport,
}

export const ingresses: Kind<Ingress> = {
  ...{ kind: 'Ingress', plural: 'ingresses', group: 'networking.k8s.io', version: 'v1' },
  ...{ namespaced: true, optional: false },
  parse: parseIngress,
}

export const ingressClasses: Kind<IngressClass> = {
  ...{ kind: 'IngressClass', plural: 'ingressclasses', group: 'networking.k8s.io', version: 'v1' },
  ...{ namespaced: false, optional: false },
  parse: parseIngressClass,
}

export const configMaps: Kind<ConfigMap> = {
  ...{ kind: 'ConfigMap', plural: 'configmaps', group: '', version: 'v1', namespaced: true, optional: false },
  parse: parseConfigMap,
}

export const secrets: Kind<Secret> = {
  ...{ kind: 'Secret', plural: 'secrets', group: '', version: 'v1', namespaced: true, optional: false },
  parse: parseSecret,
}

export const kinds: readonly Kind<unknown>[] = [
  ...[services, endpointSlices, nodes, namespaces, pods, serviceCIDRs, serviceImports],
  ...[ingresses, ingressClasses, configMaps, secrets],
]

/** `v1`, `discovery.k8s.io/v1`: as `apiVersion` of a manifest says it. */
export const apiVersion = (kind: Kind<unknown>): string =>
  kind.group === '' ? kind.version : `${kind.group}/${kind.version}`

export { objectKey }
