/** EndpointSlices of Services with a selector (k8s.io/endpointslice, reconciler.go): who answers, as the pods say. */
import type { Change } from '../api/history.ts'
import { same, type ApiObject } from '../api/object.ts'
import { mapSelector, matches } from '../api/selector.ts'
import type { Store } from '../api/store.ts'
import { objectAt, type Controller } from './controller.ts'
import { endpointsOf, isListed } from './endpoints.ts'
import { keepSlices, originKey } from './slices.ts'

export const endpointSliceController: Controller = {
  name: 'endpointslice',

  *touched({ resource, object, previous }: Change, store: Store): Iterable<string> {
    if (resource.plural === 'services') yield `${object.metadata.namespace}/${object.metadata.name}`
    if (resource.plural === 'pods') yield* servicesOf(store, object, previous)
    if (resource.plural === 'nodes' && !same(object.metadata.labels?.[ZONE], previous?.metadata.labels?.[ZONE])) {
      for (const { metadata } of store.list('services')) yield `${metadata.namespace}/${metadata.name}`
    }
    if (resource.plural === 'endpointslices') yield* originKey(object, OURSELVES)
  },

  reconcile(key: string, store: Store): void {
    const service = objectAt(store, 'services', key)
    if (service === undefined) return // the slices go with their owner
    const { type, selector, clusterIP } = service['spec']
    const labels = {
      ...service.metadata.labels,
      ...(clusterIP === 'None' && { 'service.kubernetes.io/headless': '' }),
    }
    const isSomebodyElses = type === 'ExternalName' || mapSelector(selector) === null
    const wanted = isSomebodyElses ? [] : endpointsOf(store, service)
    keepSlices(store, { owner: service, labels, managedBy: OURSELVES }, wanted)
  },
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

const OURSELVES = 'endpointslice-controller.k8s.io'
const ZONE = 'topology.kubernetes.io/zone'
