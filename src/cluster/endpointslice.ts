import { parseAddress, specialKind, familyOf } from './address.ts'
import { packEndpoints, type Endpoint, type EndpointList, type EndpointNames } from './endpointlist.ts'
import { intern } from './intern.ts'
import { isLabel, parseMetadata } from './metadata.ts'
import { parsePort, type Family, type Port } from './protocol.ts'
import { isAbsent, isRecord, list, record, type Raw } from './raw.ts'
import { show, type Parsed, type Report } from './rejection.ts'
import { usableAddress } from './usable.ts'

/** discovery.k8s.io/v1 EndpointSlice, reduced to what derivations read. */
export interface EndpointSlice {
  readonly namespace: string
  readonly name: string
  /** Label kubernetes.io/service-name; '' when absent (such a slice is nobody's, or only imported). */
  readonly service: string
  /** Label multicluster.kubernetes.io/service-name: of the ServiceImport whose endpoints these are; '' when absent. */
  readonly imported: string
  /** Label multicluster.kubernetes.io/source-cluster, a DNS label; '' when absent. */
  readonly cluster: string
  readonly family: Family
  /** A null port means all ports: of no use to a service proxy, left out with a rejection. */
  readonly ports: readonly Port[]
  readonly endpoints: EndpointList
  /** When what the slice says last became true, as far as the cluster tells: ms since 1970; 0: it does not. */
  readonly triggeredAt: number
}

/** Of a discovery.k8s.io/v1 EndpointSlice as JSON. `podNames`: keep those, too. Never throws. */
export function parseEndpointSlice(raw: unknown, podNames = false): Parsed<EndpointSlice> {
  const meta = parseMetadata(raw, 'EndpointSlice', true)
  if ('rejected' in meta) return meta.rejected
  const { report } = meta
  const family = FAMILIES.get(meta.raw['addressType'])
  if (family === undefined) {
    const type = meta.raw['addressType']
    if (type === 'FQDN')
      report.reject('addressType', 'is FQDN: names, not addresses; the slice is not used', 'use IPv4 or IPv6')
    else report.reject('addressType', `is ${show(type)}; the slice is not used`, 'write IPv4 or IPv6')
    return report.parsed<EndpointSlice>(null)
  }
  const labels = record(meta.metadata['labels'], 'metadata.labels', report)
  const imported = importedName(labels, report)
  return report.parsed<EndpointSlice>({
    namespace: meta.namespace,
    name: meta.name,
    service: serviceName(labels, imported, report),
    imported,
    cluster: imported === '' ? '' : clusterName(labels, report),
    family,
    ports: ports(meta.raw['ports'], report),
    endpoints: packEndpoints(endpoints(meta.raw['endpoints'], family, podNames, report)),
    triggeredAt: triggeredAt(meta.metadata['annotations']),
  })
}

function serviceName(labels: Raw, imported: string, report: Report): string {
  const service = labels[LABEL_SERVICE]
  if (isServiceName(service)) return intern(service)
  if (imported !== '' && isAbsent(service)) return ''
  const problem = isAbsent(service)
    ? 'is missing: the slice belongs to no Service'
    : `is ${show(service)}, not a Service's name`
  report.reject(`metadata.labels[${LABEL_SERVICE}]`, problem, 'set it to the name of the Service')
  return ''
}

function importedName(labels: Raw, report: Report): string {
  const imported = labels[LABEL_IMPORTED]
  if (isServiceName(imported)) return intern(imported)
  if (!isAbsent(imported)) {
    const problem = `is ${show(imported)}, not a ServiceImport's name`
    report.reject(`metadata.labels[${LABEL_IMPORTED}]`, problem, 'set it to the name of the ServiceImport')
  }
  return ''
}

function clusterName(labels: Raw, report: Report): string {
  const cluster = labels[LABEL_CLUSTER]
  if (isLabel(cluster)) return intern(cluster)
  const problem = `is ${show(cluster)}, not a DNS label; its endpoints get no names of their own`
  report.reject(`metadata.labels[${LABEL_CLUSTER}]`, problem, 'set it to the id of the cluster the endpoints are in')
  return ''
}

const isServiceName = (value: unknown): value is string =>
  typeof value === 'string' && value !== '' && value.length <= SERVICE_NAME_MAX

/** Only measured, never decided by: what cannot be read is not complained about. */
function triggeredAt(annotations: unknown): number {
  const text = isRecord(annotations) ? annotations[ANNOTATION_TRIGGERED] : undefined
  if (typeof text !== 'string' || !RFC3339.test(text)) return 0
  return Math.max(0, Date.parse(text) || 0)
}

function ports(value: unknown, report: Report): readonly Port[] {
  const found: Port[] = []
  for (const [i, item] of list(value, 'ports', PORTS_MAX, report).entries()) {
    if (isRecord(item) && isAbsent(item['port'])) {
      // The API documentation: nil is `all ports`, left to the consumer to make sense of.
      report.reject(
        `ports[${i}].port`,
        'is missing, which means all ports; left out',
        'name the port that the Service sends to',
      )
      continue
    }
    const port = parsePort(item, `ports[${i}]`, report)
    if (port === null) continue
    const twin = found.some((other) => other.name === port.name && other.protocol === port.protocol)
    if (!twin) found.push(port)
    else
      report.reject(
        `ports[${i}].name`,
        `is a second ${port.protocol} port ${show(port.name)}; left out`,
        'give each port its own name',
      )
  }
  return found
}

type NamedEndpoint = Endpoint & EndpointNames

function endpoints(value: unknown, family: Family, podNames: boolean, report: Report): readonly NamedEndpoint[] {
  const found: NamedEndpoint[] = []
  const items = list(value, 'endpoints', ENDPOINTS_MAX, report)
  for (let i = 0; i < items.length; i++) {
    const endpoint = parseEndpoint(items[i], i, family, podNames, report)
    if (endpoint !== null) found.push(endpoint)
  }
  return found
}

// Runs 100,000 times when an agent starts: field paths are made only where something is wrong.
function parseEndpoint(
  value: unknown,
  i: number,
  family: Family,
  podNames: boolean,
  report: Report,
): NamedEndpoint | null {
  if (!isRecord(value)) {
    report.reject(`endpoints[${i}]`, `is ${show(value)}, not an object; left out`, 'write an object with addresses')
    return null
  }
  const given = Array.isArray(value['addresses']) ? (value['addresses'][0] as unknown) : undefined
  let address = parseAddress(given)
  if (address === null || familyOf(address) !== family || specialKind(address) !== null) {
    address = usableAddress(given, `endpoints[${i}].addresses[0]`, report, family)
    if (address === null) return null
  }
  const conditions = isAbsent(value['conditions'])
    ? NO_CONDITIONS
    : isRecord(value['conditions'])
      ? value['conditions']
      : UNKNOWN_CONDITIONS
  const ready = conditions['ready'] ?? true
  const serving = conditions['serving'] ?? ready
  const terminating = conditions['terminating'] ?? false
  if (typeof ready !== 'boolean' || typeof serving !== 'boolean' || typeof terminating !== 'boolean') {
    // Whether it may get traffic is not known: it gets none.
    const problem = `has a condition that is neither true nor false; ${address} is left out`
    report.reject(`endpoints[${i}].conditions`, problem, 'write true or false, without quotes')
    return null
  }
  const hintsGiven = value['hints']
  const hints =
    isAbsent(hintsGiven) || isRecord(hintsGiven) ? hintsGiven : record(hintsGiven, `endpoints[${i}].hints`, report)
  return {
    address,
    ready,
    serving,
    terminating,
    node: name(value['nodeName'], i, 'nodeName', report),
    zone: name(value['zone'], i, 'zone', report),
    hintZones: isAbsent(hints) ? null : hinted(hints['forZones'], i, 'forZones', report),
    hintNodes: isAbsent(hints) ? null : hinted(hints['forNodes'], i, 'forNodes', report),
    hostname: hostname(value['hostname'], i, report),
    pod: podNames ? podName(value['targetRef']) : null,
  }
}

function hostname(value: unknown, i: number, report: Report): string | null {
  if (isAbsent(value) || value === '') return null
  if (isLabel(value)) return intern(value)
  const problem = `is ${show(value)}, not a DNS label; not used`
  report.reject(`endpoints[${i}].hostname`, problem, "use at most 63 lower-case letters, digits and '-' (RFC 1123)")
  return null
}

/** A pod's name may be longer than a label, or have dots: then DNS cannot use it, and that is nobody's mistake. */
function podName(targetRef: unknown): string | null {
  const name = isRecord(targetRef) ? targetRef['name'] : null
  return isLabel(name) ? name : null
}

function name(value: unknown, i: number, field: string, report: Report): string | null {
  if (typeof value === 'string' && value.length <= NAME_MAX) return intern(value)
  if (!isAbsent(value)) {
    report.reject(
      `endpoints[${i}].${field}`,
      `is ${show(value)}, not a name; not used`,
      `use at most ${NAME_MAX} characters`,
    )
  }
  return null
}

function hinted(value: unknown, i: number, field: 'forZones' | 'forNodes', report: Report): readonly string[] | null {
  if (isAbsent(value)) return null
  const names: string[] = []
  const hints =
    Array.isArray(value) && value.length === 1
      ? value
      : list(value, `endpoints[${i}].hints.${field}`, HINTS_MAX, report)
  for (const item of hints) {
    const hint = name(isRecord(item) ? (item['name'] ?? 0) : item, i, HINT_FIELDS[field], report)
    if (hint !== null) names.push(hint)
  }
  if (names.length === 0) return null
  if (names.length > 1) return names
  // Nearly always one of a handful of zones: share the array too.
  const known = hintLists.get(names[0]!)
  if (known !== undefined) return known
  if (hintLists.size >= HINT_LISTS_MAX) hintLists.clear()
  hintLists.set(names[0]!, names)
  return names
}

const FAMILIES: ReadonlyMap<unknown, Family> = new Map([
  ['IPv4', 4],
  ['IPv6', 6],
])
/** Multi-Cluster Services API (KEP-1645). */
const LABEL_IMPORTED = 'multicluster.kubernetes.io/service-name'
const LABEL_CLUSTER = 'multicluster.kubernetes.io/source-cluster'
const LABEL_SERVICE = 'kubernetes.io/service-name'
/** Written by the endpoint slice controller; kube-proxy's network_programming_duration_seconds begins there. */
const ANNOTATION_TRIGGERED = 'endpoints.kubernetes.io/last-change-trigger-time'
const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/
const NO_CONDITIONS: Raw = Object.freeze({})
/** Not an object: as unusable as conditions that are no booleans. */
const UNKNOWN_CONDITIONS: Raw = Object.freeze({ ready: 'unknown' })
/** discovery/v1: `Each slice may include a maximum of 1000 endpoints`. */
const ENDPOINTS_MAX = 1000
const PORTS_MAX = 1000
/** discovery/v1: at most 8 hints of a kind. */
const HINTS_MAX = 8
const HINT_FIELDS = { forZones: 'hints.forZones', forNodes: 'hints.forNodes' }
const NAME_MAX = 253
const SERVICE_NAME_MAX = 253
const HINT_LISTS_MAX = 10_000
const hintLists = new Map<string, readonly string[]>()
