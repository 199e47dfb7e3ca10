/** Objects as people read them: metav1.Table, asked for with `Accept: application/json;as=Table` (what `get` prints). */
import { isObject, textOf, type ApiObject, type Fields } from './object.ts'

interface Column {
  readonly name: string
  /** Shown only with `-o wide`. */
  readonly wide?: boolean
  readonly of: (object: ApiObject) => string | number
}

/** A List or a single object as a Table. */
export function tableOf(body: Fields): Fields {
  const isList = Array.isArray(body['items'])
  const objects = (isList ? body['items'] : [body]) as ApiObject[]
  const kind = isList ? textOf(body['kind']).replace(/List$/, '') : textOf(body['kind'])
  const columns = [NAME, ...(COLUMNS[kind] ?? []), AGE]
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata: { resourceVersion: body['metadata']?.resourceVersion },
    columnDefinitions: columns.map(({ name, wide }) => ({ name, type: 'string', priority: wide ? 1 : 0 })),
    rows: objects.map((object) => ({
      cells: columns.map((column) => column.of(object)),
      object: { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata },
    })),
  }
}

/** kubectl's short ages: 12s, 5m, 3h20m, 2d. */
export function age(since: string | undefined, nowMs = Date.now()): string {
  if (since === undefined) return '<unknown>'
  const seconds = Math.max(0, Math.floor((nowMs - Date.parse(since)) / 1000))
  if (seconds < 120) return `${seconds}s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 10) return seconds % 60 === 0 ? `${minutes}m` : `${minutes}m${seconds % 60}s`
  if (minutes < 180) return `${minutes}m`
  const hours = Math.floor(minutes / 60)
  if (hours < 8) return minutes % 60 === 0 ? `${hours}h` : `${hours}h${minutes % 60}m`
  return hours < 48 ? `${hours}h` : `${Math.floor(hours / 24)}d`
}

function podStatus(pod: ApiObject): string {
  if (pod.metadata.deletionTimestamp !== undefined) return 'Terminating'
  const states: Fields[] = (pod['status']?.containerStatuses ?? []).map((status: Fields) => status['state'] ?? {})
  const waiting = states.find((state) => isObject(state['waiting']) && state['waiting']['reason'])
  if (waiting !== undefined) return waiting['waiting'].reason
  const phase: string = pod['status']?.reason ?? pod['status']?.phase ?? 'Unknown'
  return phase === 'Succeeded' ? 'Completed' : phase
}

function ready(pod: ApiObject): string {
  const statuses: Fields[] = pod['status']?.containerStatuses ?? []
  return `${statuses.filter((status) => status['ready']).length}/${pod['spec'].containers.length}`
}

function restarts(pod: ApiObject): number {
  const statuses: Fields[] = pod['status']?.containerStatuses ?? []
  return statuses.reduce((sum, status) => sum + (status['restartCount'] ?? 0), 0)
}

function servicePorts(service: ApiObject): string {
  const ports: Fields[] = service['spec'].ports ?? []
  const text = ports.map(({ port, nodePort, protocol }) => `${port}${nodePort ? `:${nodePort}` : ''}/${protocol}`)
  return some(text)
}

function externalIPs(service: ApiObject): string {
  const { type, externalIPs: listed = [], externalName } = service['spec']
  if (type === 'ExternalName') return externalName
  const all = [...ingressOf(service['status']), ...listed]
  return type === 'LoadBalancer' && all.length === 0 ? '<pending>' : some(all)
}

function ingressOf(status: Fields | undefined): string[] {
  return ((status?.['loadBalancer']?.ingress ?? []) as Fields[]).map(({ ip, hostname }) => ip ?? hostname)
}

/** As kubectl, at most three. */
function hosts({ spec }: ApiObject): string {
  const all = ((spec?.rules ?? []) as Fields[]).flatMap(({ host }) => host ?? [])
  if (all.length === 0) return '*'
  return all.slice(0, HOSTS_MAX).join(',') + (all.length > HOSTS_MAX ? ` + ${all.length - HOSTS_MAX} more...` : '')
}

function parameters(of: Fields | undefined): string {
  return of ? `${of['kind']}${of['apiGroup'] ? `.${of['apiGroup']}` : ''}/${of['name']}` : '<none>'
}

function nodeStatus(node: ApiObject): string {
  const condition = (node['status']?.conditions ?? []).find(({ type }: Fields) => type === 'Ready')
  const state = condition === undefined ? 'Unknown' : condition.status === 'True' ? 'Ready' : 'NotReady'
  return node['spec']?.unschedulable ? `${state},SchedulingDisabled` : state
}

function address(node: ApiObject, type: string): string {
  const found: Fields[] = (node['status']?.addresses ?? []).filter((entry: Fields) => entry['type'] === type)
  return some(found.map((entry) => entry['address']))
}

function selector(object: ApiObject): string {
  const raw = object['spec'].selector ?? {}
  const labels: Fields = object.kind === 'Service' ? raw : (raw.matchLabels ?? {})
  return some(Object.entries(labels).map(([key, value]) => `${key}=${value}`))
}

function containers(object: ApiObject, field: 'name' | 'image'): string {
  const listed: Fields[] = object['spec'].template?.spec?.containers ?? []
  return some(listed.map((container) => container[field] ?? ''))
}

/** An address for each port, as kubectl shows them. */
function placesOf(endpoints: ApiObject): string[] {
  const place = (ip: string, port: number): string => (ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`)
  return ((endpoints['subsets'] ?? []) as Fields[]).flatMap(({ addresses = [], ports = [] }) =>
    (ports as Fields[]).flatMap(({ port }) => (addresses as Fields[]).map(({ ip }) => place(ip, port))),
  )
}

function some(texts: readonly unknown[]): string {
  return texts.length === 0 ? '<none>' : texts.join(',')
}

const HOSTS_MAX = 3
const NAME: Column = { name: 'Name', of: (object) => object.metadata.name }
const AGE: Column = { name: 'Age', of: (object) => age(object.metadata.creationTimestamp) }
const WORKLOAD: readonly Column[] = [
  { name: 'Containers', wide: true, of: (object) => containers(object, 'name') },
  { name: 'Images', wide: true, of: (object) => containers(object, 'image') },
  { name: 'Selector', wide: true, of: selector },
]

const COLUMNS: Readonly<Record<string, readonly Column[]>> = {
  Pod: [
    { name: 'Ready', of: ready },
    { name: 'Status', of: podStatus },
    { name: 'Restarts', of: restarts },
    { name: 'IP', wide: true, of: (pod) => some((pod['status']?.podIPs ?? []).map(({ ip }: Fields) => ip)) },
    { name: 'Node', wide: true, of: (pod) => pod['spec'].nodeName ?? '<none>' },
  ],
  Service: [
    { name: 'Type', of: (service) => service['spec'].type },
    { name: 'Cluster-IP', of: (service) => some(service['spec'].clusterIPs ?? []) },
    { name: 'External-IP', of: externalIPs },
    { name: 'Port(s)', of: servicePorts },
    { name: 'Selector', wide: true, of: selector },
  ],
  Node: [
    { name: 'Status', of: nodeStatus },
    { name: 'Internal-IP', of: (node) => address(node, 'InternalIP') },
    { name: 'Zone', of: (node) => node.metadata.labels?.['topology.kubernetes.io/zone'] ?? '<none>' },
    { name: 'Pod-CIDR', wide: true, of: (node) => some(node['spec']?.podCIDRs ?? []) },
  ],
  EndpointSlice: [
    { name: 'AddressType', of: (slice) => slice['addressType'] },
    { name: 'Ports', of: (slice) => some((slice['ports'] ?? []).map(({ port }: Fields) => port)) },
    {
      name: 'Endpoints',
      of: (slice) => some((slice['endpoints'] ?? []).flatMap(({ addresses }: Fields) => addresses)),
    },
  ],
  Endpoints: [{ name: 'Endpoints', of: (endpoints) => some(placesOf(endpoints)) }],
  Namespace: [{ name: 'Status', of: (namespace) => namespace['status']?.phase ?? 'Active' }],
  Deployment: [
    { name: 'Ready', of: ({ spec, status }) => `${status?.readyReplicas ?? 0}/${spec.replicas}` },
    { name: 'Up-to-date', of: ({ status }) => status?.updatedReplicas ?? 0 },
    { name: 'Available', of: ({ status }) => status?.availableReplicas ?? 0 },
    ...WORKLOAD,
  ],
  ReplicaSet: [
    { name: 'Desired', of: ({ spec }) => spec.replicas },
    { name: 'Current', of: ({ status }) => status?.replicas ?? 0 },
    { name: 'Ready', of: ({ status }) => status?.readyReplicas ?? 0 },
    ...WORKLOAD,
  ],
  StatefulSet: [
    { name: 'Ready', of: ({ spec, status }) => `${status?.readyReplicas ?? 0}/${spec.replicas}` },
    ...WORKLOAD.slice(0, 2),
  ],
  DaemonSet: [
    { name: 'Desired', of: ({ status }) => status?.desiredNumberScheduled ?? 0 },
    { name: 'Current', of: ({ status }) => status?.currentNumberScheduled ?? 0 },
    { name: 'Ready', of: ({ status }) => status?.numberReady ?? 0 },
    { name: 'Up-to-date', of: ({ status }) => status?.updatedNumberScheduled ?? 0 },
    { name: 'Available', of: ({ status }) => status?.numberAvailable ?? 0 },
    ...WORKLOAD,
  ],
  Job: [
    { name: 'Completions', of: ({ spec, status }) => `${status?.succeeded ?? 0}/${spec.completions ?? 1}` },
    ...WORKLOAD,
  ],
  Event: [
    { name: 'Type', of: (event) => event['type'] ?? '' },
    { name: 'Reason', of: (event) => event['reason'] ?? '' },
    { name: 'Object', of: ({ involvedObject: on }) => `${textOf(on?.kind ?? '').toLowerCase()}/${on?.name ?? ''}` },
    { name: 'Count', of: (event) => event['count'] ?? 1 },
    { name: 'Message', of: (event) => event['message'] ?? '' },
  ],
  Ingress: [
    { name: 'Class', of: ({ spec }) => spec?.ingressClassName ?? '<none>' },
    { name: 'Hosts', of: hosts },
    { name: 'Address', of: ({ status }) => ingressOf(status).join(',') },
    { name: 'Ports', of: ({ spec }) => (spec?.tls?.length > 0 ? '80, 443' : '80') },
  ],
  IngressClass: [
    { name: 'Controller', of: ({ spec }) => spec?.controller ?? '' },
    { name: 'Parameters', of: ({ spec }) => parameters(spec?.parameters) },
  ],
}
