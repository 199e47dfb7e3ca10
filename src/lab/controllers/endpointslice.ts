/** EndpointSlices of Services with a selector (k8s.io/endpointslice, reconciler.go): who answers, in slices of at most 100. */
import type { Change } from '../api/history.ts'
import { controllerOf, same, type ApiObject, type Fields } from '../api/object.ts'
import { mapSelector, matches } from '../api/selector.ts'
import { refOf, type Store } from '../api/store.ts'
import { hashOf } from '../api/suffix.ts'
import { objectAt, type Controller } from './controller.ts'
import { endpointsOf, isListed, type Wanted } from './endpoints.ts'
import { ownerReference } from './pods.ts'

export const endpointSliceController: Controller = {
  name: 'endpointslice',

  *touched({ resource, object, previous }: Change, store: Store): Iterable<string> {
    const { namespace = '', name, labels } = object.metadata
    if (resource.plural === 'services') yield `${namespace}/${name}`
    if (resource.plural === 'pods') yield* servicesOf(store, object, previous)
    if (resource.plural === 'nodes' && !same(object.metadata.labels?.[ZONE], previous?.metadata.labels?.[ZONE])) {
      for (const { metadata } of store.list('services')) yield `${metadata.namespace}/${metadata.name}`
    }
    const isOurs = resource.plural === 'endpointslices' && labels?.[MANAGED_BY] === OURSELVES
    if (isOurs && controllerOf(object) !== undefined) yield `${namespace}/${controllerOf(object)!.name}`
  },

  reconcile(key: string, store: Store): void {
    const service = objectAt(store, 'services', key)
    if (service === undefined) return // the slices go with their owner
    const current = store
      .ownedBy(service.metadata.uid)
      .filter((object) => object.kind === 'EndpointSlice' && object.metadata.labels?.[MANAGED_BY] === OURSELVES)
    if (service['spec'].type === 'ExternalName' || mapSelector(service['spec'].selector) === null) {
      for (const slice of current) store.delete(refOf('endpointslices', slice))
      return
    }
    const wanted = endpointsOf(store, service)
    const groups = new Map(wanted.map((group) => [hashOf([group.addressType, group.ports]), group]))
    const left = new Set(groups.keys())
    for (const slices of Map.groupBy(current, (slice) => hashOf([slice['addressType'], slice['ports'] ?? []]))) {
      const group = groups.get(slices[0])
      left.delete(slices[0])
      fit(store, service, group ?? { addressType: '', ports: [], endpoints: [] }, slices[1])
    }
    for (const hash of left) fit(store, service, groups.get(hash)!, [])
  },
}

/** Endpoints stay in the slice where they are; new ones fill what has room, then new slices. */
function fit(store: Store, service: ApiObject, wanted: Wanted, slices: readonly ApiObject[]): void {
  const left = new Map(wanted.endpoints.map((endpoint) => [idOf(endpoint), endpoint]))
  const kept = slices.map((slice) => {
    const endpoints: Fields[] = []
    for (const old of slice['endpoints'] as Fields[]) {
      const endpoint = left.get(idOf(old))
      if (endpoint !== undefined) endpoints.push(endpoint)
      left.delete(idOf(old))
    }
    return { slice, endpoints }
  })
  const fresh = [...left.values()]
  for (const { endpoints } of kept) endpoints.push(...fresh.splice(0, ENDPOINTS_MAX - endpoints.length))
  // One slice stays though it is empty: that there is nobody is news too.
  const isPlaceholder = wanted.addressType !== '' && wanted.endpoints.length === 0
  for (const [i, { slice, endpoints }] of kept.entries()) {
    if (endpoints.length === 0 && !(isPlaceholder && i === 0)) store.delete(refOf('endpointslices', slice))
    else write(store, service, slice, endpoints)
  }
  while (fresh.length > 0) make(store, service, wanted, fresh.splice(0, ENDPOINTS_MAX))
  if (isPlaceholder && kept.length === 0) make(store, service, wanted, [])
}

function make(store: Store, service: ApiObject, wanted: Wanted, endpoints: readonly Fields[]): void {
  const made = store.create({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      generateName: `${service.metadata.name}-`,
      namespace: service.metadata.namespace,
      labels: labelsOf(service),
      annotations: { [TRIGGER_TIME]: new Date(store.nowMs()).toISOString() },
      ownerReferences: [ownerReference(service)],
    },
    addressType: wanted.addressType,
    ports: wanted.ports,
    endpoints,
  })
  if (!made.ok) throw new Error(`an EndpointSlice of ours was refused: ${made.failure.message}`)
}

function write(store: Store, service: ApiObject, slice: ApiObject, endpoints: readonly Fields[]): void {
  if (same(slice['endpoints'], endpoints) && same(slice.metadata.labels, labelsOf(service))) return
  store.modify(refOf('endpointslices', slice), (next) => {
    next['endpoints'] = endpoints
    next.metadata.labels = labelsOf(service)
    // When what led to this change happened: proxies measure from it how long they took.
    next.metadata.annotations = { ...next.metadata.annotations, [TRIGGER_TIME]: new Date(store.nowMs()).toISOString() }
  })
}

function labelsOf(service: ApiObject): Record<string, string> {
  return {
    ...service.metadata.labels,
    ...(service['spec'].clusterIP === 'None' && { 'service.kubernetes.io/headless': '' }),
    'kubernetes.io/service-name': service.metadata.name,
    [MANAGED_BY]: OURSELVES,
  }
}

/** Services that a pod belongs to, or did: only when something that endpoints show has changed. */
function* servicesOf(store: Store, pod: ApiObject, previous: ApiObject | null): Iterable<string> {
  if (!isListed(pod) && (previous === null || !isListed(previous))) return
  for (const { metadata, spec } of store.list('services', pod.metadata.namespace ?? '')) {
    const selector = mapSelector(spec.selector)
    if (selector === null) continue
    const was = previous !== null && matches(selector, previous.metadata.labels)
    if (was || matches(selector, pod.metadata.labels)) yield `${metadata.namespace}/${metadata.name}`
  }
}

/** An endpoint is the pod behind an address: another pod with the same address is another one. */
function idOf(endpoint: Fields): string {
  return `${endpoint['addresses'][0]} ${endpoint['targetRef']?.uid}`
}

const ENDPOINTS_MAX = 100 // --max-endpoints-per-slice of kube-controller-manager
const OURSELVES = 'endpointslice-controller.k8s.io'
const MANAGED_BY = 'endpointslice.kubernetes.io/managed-by'
const TRIGGER_TIME = 'endpoints.kubernetes.io/last-change-trigger-time'
const ZONE = 'topology.kubernetes.io/zone'
