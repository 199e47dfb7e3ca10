/** Keeps the EndpointSlices of one origin equal to what is wanted, changing as few of them as possible. */
import { same, type ApiObject, type Fields } from '../api/object.ts'
import { refOf, type Store } from '../api/store.ts'
import { hashOf } from '../api/suffix.ts'
import { ownerReference } from './pods.ts'

/** Endpoints that share a family and port numbers: named target ports may differ from pod to pod. */
export interface Wanted {
  readonly addressType: string
  readonly ports: readonly Fields[]
  readonly endpoints: readonly Fields[]
}

/** Whose slices they are. */
export interface Origin {
  /** A Service, or an Endpoints object that is mirrored. Its name is the Service's. */
  readonly owner: ApiObject
  readonly labels: Readonly<Record<string, string>>
  readonly managedBy: string
}

/** A group without endpoints has one empty slice: that there is nobody is news too. No group: no slices. */
export function keepSlices(store: Store, origin: Origin, wanted: readonly Wanted[]): void {
  const current = slicesOf(store, origin)
  const groups = new Map(wanted.map((group) => [hashOf([group.addressType, group.ports]), group]))
  const left = new Set(groups.keys())
  for (const [hash, slices] of Map.groupBy(current, (slice) => hashOf([slice['addressType'], slice['ports'] ?? []]))) {
    left.delete(hash)
    fit(store, origin, groups.get(hash) ?? NOBODY, slices)
  }
  for (const hash of left) fit(store, origin, groups.get(hash)!, [])
}

/** The key of the origin of a slice, when it is one of these: `shop/web`. */
export function* originKey(slice: ApiObject, managedBy: string): Iterable<string> {
  const owner = slice.metadata.ownerReferences?.[0]
  if (slice.metadata.labels?.[MANAGED_BY] === managedBy && owner) yield `${slice.metadata.namespace}/${owner.name}`
}

/** Endpoints stay in the slice where they are; new ones fill what has room, then new slices. */
function fit(store: Store, origin: Origin, wanted: Wanted, slices: readonly ApiObject[]): void {
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
  for (const { endpoints } of kept) endpoints.push(...fresh.splice(0, Math.max(0, ENDPOINTS_MAX - endpoints.length)))
  const isPlaceholder = wanted !== NOBODY && wanted.endpoints.length === 0
  for (const [i, { slice, endpoints }] of kept.entries()) {
    if (endpoints.length === 0 && !(isPlaceholder && i === 0)) store.delete(refOf('endpointslices', slice))
    else write(store, origin, slice, endpoints)
  }
  while (fresh.length > 0) make(store, origin, wanted, fresh.splice(0, ENDPOINTS_MAX))
  if (isPlaceholder && kept.length === 0) make(store, origin, wanted, [])
}

function make(store: Store, origin: Origin, wanted: Wanted, endpoints: readonly Fields[]): void {
  const { name, namespace } = origin.owner.metadata
  const made = store.create({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      generateName: `${name}-`,
      namespace,
      labels: labelsOf(origin),
      annotations: { [TRIGGER_TIME]: new Date(store.nowMs()).toISOString() },
      ownerReferences: [ownerReference(origin.owner)],
    },
    addressType: wanted.addressType,
    ports: wanted.ports,
    endpoints,
  })
  // Ours are right; those of Endpoints written by hand may not be, and who wrote them was told when they were checked.
  if (!made.ok && made.failure.code !== 403) throw new Error(`an EndpointSlice was refused: ${made.failure.message}`)
}

function write(store: Store, origin: Origin, slice: ApiObject, endpoints: readonly Fields[]): void {
  if (same(slice['endpoints'], endpoints) && same(slice.metadata.labels, labelsOf(origin))) return
  store.modify(refOf('endpointslices', slice), (next) => {
    next['endpoints'] = endpoints
    next.metadata.labels = labelsOf(origin)
    // When what led to this change happened: proxies measure from it how long they took.
    next.metadata.annotations = { ...next.metadata.annotations, [TRIGGER_TIME]: new Date(store.nowMs()).toISOString() }
  })
}

function slicesOf(store: Store, { owner, managedBy }: Origin): ApiObject[] {
  return store.ownedBy(owner.metadata.uid).filter((object) => {
    return object.kind === 'EndpointSlice' && object.metadata.labels?.[MANAGED_BY] === managedBy
  })
}

function labelsOf({ owner, labels, managedBy }: Origin): Record<string, string> {
  return { ...labels, 'kubernetes.io/service-name': owner.metadata.name, [MANAGED_BY]: managedBy }
}

/** An endpoint is the pod behind an address: another pod with the same address is another one. */
function idOf(endpoint: Fields): string {
  return `${endpoint['addresses'][0]} ${endpoint['targetRef']?.uid}`
}

const NOBODY: Wanted = { addressType: '', ports: [], endpoints: [] }
const ENDPOINTS_MAX = 100 // --max-endpoints-per-slice of kube-controller-manager
const MANAGED_BY = 'endpointslice.kubernetes.io/managed-by'
const TRIGGER_TIME = 'endpoints.kubernetes.io/last-change-trigger-time'
