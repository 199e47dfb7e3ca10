import { familyOf, mergeCidrs, parseAddress, parseCidr } from './address.ts'
import { intern } from './intern.ts'
import { createdAt, parseMetadata, type Metadata } from './metadata.ts'
import { parsePort, PORT_RANGE, type Protocol } from './protocol.ts'
import { flag, integer, isAbsent, isInteger, list, oneOf, record, type Raw } from './raw.ts'
import { show, type Parsed, type Report } from './rejection.ts'
import { usableAddress } from './usable.ts'

/** core/v1 Service, reduced to what derivations read. */
export interface Service {
  readonly namespace: string
  readonly name: string
  /** metadata.creationTimestamp in ms since 1970; 0 when absent. Who is older wins a contested address. */
  readonly created: number
  readonly type: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName'
  /** Canonical addresses, at most one per family; empty for headless and ExternalName. */
  readonly clusterIPs: readonly string[]
  readonly headless: boolean
  readonly externalIPs: readonly string[]
  /** status.loadBalancer.ingress[] with an ip and ipMode VIP (the default); those with ipMode Proxy are left out. */
  readonly loadBalancerIPs: readonly string[]
  /** Canonical CIDRs; null: everybody. An empty list lets nobody in (all that was given was invalid: fail closed). */
  readonly sourceRanges: readonly string[] | null
  readonly ports: readonly ServicePort[]
  /** sessionAffinityConfig.clientIP.timeoutSeconds with sessionAffinity ClientIP (default 10800); 0: none. */
  readonly affinitySeconds: number
  readonly internalTrafficPolicy: 'Cluster' | 'Local'
  readonly externalTrafficPolicy: 'Cluster' | 'Local'
  /** 0: none. */
  readonly healthCheckNodePort: number
  readonly publishNotReady: boolean
  /** Label service.kubernetes.io/service-proxy-name: another proxy serves it. */
  readonly proxyName: string | null
  /** Of type ExternalName: a host name, lower case, without a final dot; null: none that can be used, or another type. */
  readonly externalName: string | null
  /** Label k8s-app is kube-dns: the cluster's DNS. */
  readonly dns: boolean
}

export interface ServicePort {
  readonly name: string
  readonly protocol: Protocol
  readonly port: number
  /** 0: none. */
  readonly nodePort: number
  /** What is spoken there: `kubernetes.io/h2c`. Absent: not said. */
  readonly appProtocol?: string
  /** Of a Service of type ExternalName only: where what its name stands for listens, when that is not `port`. */
  readonly targetPort?: number
}

/** Of a core/v1 Service as JSON. Absent fields get the defaults an API server would have given them. Never throws. */
export function parseService(raw: unknown): Parsed<Service> {
  const meta = parseMetadata(raw, 'Service', true)
  if ('rejected' in meta) return meta.rejected
  const { report } = meta
  const spec = record(meta.raw['spec'], 'spec', report)
  const labels = record(meta.metadata['labels'], 'metadata.labels', report)
  const type = oneOf(spec['type'], 'spec.type', TYPES, 'ClusterIP', report)
  const headless = isHeadless(spec, labels)
  const exposed = type === 'NodePort' || type === 'LoadBalancer'
  const externalTrafficPolicy = policy(spec, 'externalTrafficPolicy', report)
  const proxyName = labels[LABEL_PROXY_NAME]
  return report.parsed<Service>({
    namespace: meta.namespace,
    name: meta.name,
    created: createdAt(meta),
    type,
    clusterIPs: headless || type === 'ExternalName' ? NONE : clusterIPs(spec, report),
    headless,
    externalIPs: addresses(spec['externalIPs'], 'spec.externalIPs', report),
    loadBalancerIPs: type === 'LoadBalancer' ? loadBalancerIPs(meta) : NONE,
    sourceRanges: sourceRanges(spec['loadBalancerSourceRanges'], report),
    ports: ports(spec, type, exposed, report),
    affinitySeconds: affinitySeconds(spec, report),
    internalTrafficPolicy: policy(spec, 'internalTrafficPolicy', report),
    externalTrafficPolicy,
    // Only a load balancer that must find the nodes with endpoints asks (as apiservice.NeedsHealthCheck upstream).
    healthCheckNodePort:
      type === 'LoadBalancer' && externalTrafficPolicy === 'Local'
        ? integer(spec['healthCheckNodePort'], 'spec.healthCheckNodePort', NODE_PORT_RANGE, 0, report)
        : 0,
    publishNotReady: flag(spec['publishNotReadyAddresses'], 'spec.publishNotReadyAddresses', false, report),
    proxyName: typeof proxyName === 'string' ? intern(proxyName) : null,
    externalName: type === 'ExternalName' ? externalName(spec['externalName'], report) : null,
    dns: labels[LABEL_APP] === 'kube-dns',
  })
}

/** What a CNAME can point to: an address is none, though the API server takes it. */
function externalName(value: unknown, report: Report): string | null {
  const name = typeof value === 'string' ? value.toLowerCase().replace(/\.$/, '') : ''
  const isName = name.length <= HOST_NAME_MAX && name.split('.').every((label) => HOST_LABEL.test(label))
  if (isName && parseAddress(name) === null) return name
  const problem = isAbsent(value) ? 'is missing' : `is ${show(value)}, not a host name`
  report.reject('spec.externalName', `${problem}; the Service has no name`, 'write a name like db.example.org')
  return null
}

/** The label is how a Service is kept from every service proxy by hand, as kube-proxy honours it. */
const isHeadless = (spec: Raw, labels: Raw): boolean =>
  spec['clusterIP'] === 'None' ||
  (Array.isArray(spec['clusterIPs']) && spec['clusterIPs'][0] === 'None') ||
  Object.hasOwn(labels, LABEL_HEADLESS)

function clusterIPs(spec: Raw, report: Report): readonly string[] {
  const several = Array.isArray(spec['clusterIPs']) && spec['clusterIPs'].length > 0
  // '' is an address still to be allocated.
  const given = several ? spec['clusterIPs'] : spec['clusterIP'] ? [spec['clusterIP']] : undefined
  const field = several ? 'spec.clusterIPs' : 'spec.clusterIP'
  const found = addresses(given, field, report)
  const perFamily = found.filter((ip, i) => found.findIndex((other) => familyOf(other) === familyOf(ip)) === i)
  for (const ip of found) {
    if (perFamily.includes(ip)) continue
    report.reject(
      field,
      `has ${show(ip)}, a second address of its family; left out`,
      'use one address for each IP family',
    )
  }
  return perFamily.length === 0 ? NONE : perFamily
}

function addresses(value: unknown, field: string, report: Report): readonly string[] {
  if (isAbsent(value)) return NONE
  const found = new Set<string>()
  for (const [i, item] of list(value, field, ADDRESSES_MAX, report).entries()) {
    const address = usableAddress(item, `${field}[${i}]`, report)
    if (address !== null) found.add(address)
  }
  return found.size === 0 ? NONE : [...found]
}

function loadBalancerIPs({ raw, report }: Metadata): readonly string[] {
  const status = record(raw['status'], 'status', report)
  const ingress = record(status['loadBalancer'], 'status.loadBalancer', report)['ingress']
  const found = new Set<string>()
  for (const [i, item] of list(ingress, 'status.loadBalancer.ingress', ADDRESSES_MAX, report).entries()) {
    const field = `status.loadBalancer.ingress[${i}]`
    const entry = record(item, field, report)
    if (isAbsent(entry['ip']) || entry['ip'] === '') continue // a hostname: nothing for a data plane
    const address = usableAddress(entry['ip'], `${field}.ip`, report)
    const mode = oneOf(entry['ipMode'], `${field}.ipMode`, ['VIP', 'Proxy'], 'VIP', report)
    if (address !== null && mode === 'VIP') found.add(address)
  }
  return found.size === 0 ? NONE : [...found]
}

function sourceRanges(value: unknown, report: Report): readonly string[] | null {
  if (isAbsent(value) || (Array.isArray(value) && value.length === 0)) return null
  const field = 'spec.loadBalancerSourceRanges'
  const remedy = 'write ranges like 10.0.0.0/8 or fd00::/8, one address as 192.0.2.1/32 or 2001:db8::1/128'
  const cidrs: string[] = []
  for (const [i, item] of list(value, field, RANGES_MAX, report).entries()) {
    const range = parseCidr(item)
    if (range === null) report.reject(`${field}[${i}]`, `is ${show(item)}, not a CIDR range; lets nobody in`, remedy)
    else {
      cidrs.push(range.cidr)
      if (!range.exact) {
        report.reject(`${field}[${i}]`, `is ${show(item)}; taken as ${range.cidr}`, `write ${range.cidr}`)
      }
    }
  }
  const { merged, covered } = mergeCidrs(cidrs)
  for (const [cidr, by] of covered) {
    const problem = cidr === by ? `has ${cidr} twice` : `has ${cidr}, which ${by} covers already`
    report.reject(field, `${problem}; it counts once`, `remove ${cidr}`)
  }
  return merged
}

function ports(spec: Raw, type: Service['type'], exposed: boolean, report: Report): readonly ServicePort[] {
  const found: ServicePort[] = []
  const taken = new Map<string, number>()
  for (const [i, item] of list(spec['ports'], 'spec.ports', PORTS_MAX, report).entries()) {
    const field = `spec.ports[${i}]`
    const port = parsePort(item, field, report)
    if (port === null) continue
    const twins = [`${port.protocol} port ${port.port}`, `${port.protocol} name ${show(port.name)}`]
    const twin = twins.find((it) => taken.has(it))
    if (twin !== undefined) {
      const problem = `is a second ${twin}, after spec.ports[${taken.get(twin)}]; left out`
      report.reject(field, problem, 'give each port of a Service its own name, and each protocol a number once')
      continue
    }
    for (const it of twins) taken.set(it, i)
    const nodePort = nodePortOf(item as Raw, field, exposed, port.protocol, taken, i, report)
    const appProtocol = (item as Raw)['appProtocol']
    const said = typeof appProtocol === 'string' ? { appProtocol: intern(appProtocol) } : {}
    // Pods have theirs in EndpointSlices. A name is that of a container's port, and there is no container.
    const targetPort = type === 'ExternalName' ? (item as Raw)['targetPort'] : undefined
    const target = isInteger(targetPort, ...PORT_RANGE) && targetPort !== port.port ? { targetPort } : {}
    found.push({ name: port.name, protocol: port.protocol, port: port.port, nodePort, ...said, ...target })
  }
  return found.length === 0 ? NONE : found
}

function nodePortOf(
  item: Raw,
  field: string,
  exposed: boolean,
  protocol: Protocol,
  taken: Map<string, number>,
  index: number,
  report: Report,
): number {
  const nodePort = integer(item['nodePort'], `${field}.nodePort`, NODE_PORT_RANGE, 0, report)
  if (nodePort === 0) return 0
  if (!exposed) {
    const problem = `is ${nodePort} on a Service that has no node ports; not used`
    report.reject(`${field}.nodePort`, problem, 'set spec.type to NodePort or LoadBalancer, or remove it')
    return 0
  }
  const name = `${protocol} node port ${nodePort}`
  if (!taken.has(name)) {
    taken.set(name, index)
    return nodePort
  }
  const problem = `is ${nodePort}, which spec.ports[${taken.get(name)}] has already; not used`
  report.reject(`${field}.nodePort`, problem, 'choose another node port')
  return 0
}

function affinitySeconds(spec: Raw, report: Report): number {
  if (oneOf(spec['sessionAffinity'], 'spec.sessionAffinity', ['None', 'ClientIP'], 'None', report) === 'None') return 0
  const config = record(spec['sessionAffinityConfig'], 'spec.sessionAffinityConfig', report)
  const field = 'spec.sessionAffinityConfig.clientIP'
  const clientIP = record(config['clientIP'], field, report)
  return integer(clientIP['timeoutSeconds'], `${field}.timeoutSeconds`, AFFINITY_RANGE, AFFINITY_SECONDS, report)
}

const policy = (spec: Raw, name: string, report: Report) =>
  oneOf(spec[name], `spec.${name}`, ['Cluster', 'Local'], 'Cluster', report)

const TYPES = ['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName'] as const
const LABEL_PROXY_NAME = 'service.kubernetes.io/service-proxy-name'
const LABEL_APP = 'k8s-app'
/** With the final dot and the octet before each label: 255 octets (RFC 1035). */
const HOST_NAME_MAX = 253
/** Underscores are no host names, but resolvers and people use them. */
const HOST_LABEL = /^[a-z0-9_]([-a-z0-9_]{0,61}[a-z0-9_])?$/
const LABEL_HEADLESS = 'service.kubernetes.io/headless'
/** 0: none, as an API server writes it. */
const NODE_PORT_RANGE = [0, PORT_RANGE[1]] as const
/** core/v1: `The value must be >0 && <=86400 (for 1 day)`, default 10800. */
const AFFINITY_RANGE = [1, 86_400] as const
const AFFINITY_SECONDS = 10_800
/** The API has no bound; nobody has been seen to need more. What exceeds it is reported. */
const PORTS_MAX = 1000
const ADDRESSES_MAX = 1000
const RANGES_MAX = 10_000
const NONE: readonly never[] = Object.freeze([])
