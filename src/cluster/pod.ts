import { intern } from './intern.ts'
import { parseLabels, parseMetadata, type Metadata } from './metadata.ts'
import { parsePort, type Port } from './protocol.ts'
import { isAbsent, isRecord, list, record, type Raw } from './raw.ts'
import { show, type Parsed, type Report } from './rejection.ts'
import { usableAddress } from './usable.ts'

/** core/v1 Pod, reduced to what derivations read. */
export interface Pod {
  readonly namespace: string
  readonly name: string
  /** null: not scheduled yet. */
  readonly node: string | null
  /** Canonical, at most one per family in practice. Of a host-network pod: the node's. */
  readonly ips: readonly string[]
  readonly hostNetwork: boolean
  readonly labels: ReadonlyMap<string, string>
  /** Container ports that have a name (NetworkPolicy and Services refer to them by it). */
  readonly ports: readonly Port[]
  /** Phase Succeeded or Failed: its addresses may belong to another pod by now. */
  readonly finished: boolean
  /** metadata.deletionTimestamp is set. */
  readonly deleting: boolean
}

/** Of a core/v1 Pod as JSON. Never throws. */
export function parsePod(raw: unknown): Parsed<Pod> {
  const meta = parseMetadata(raw, 'Pod', true)
  if ('rejected' in meta) return meta.rejected
  const { report, metadata } = meta
  const spec = record(meta.raw['spec'], 'spec', report)
  const status = record(meta.raw['status'], 'status', report)
  const node = spec['nodeName']
  return report.parsed<Pod>({
    namespace: meta.namespace,
    name: meta.name,
    node: typeof node === 'string' && node !== '' ? intern(node) : null,
    ips: addresses(status, report),
    hostNetwork: spec['hostNetwork'] === true,
    labels: parseLabels(metadata['labels'], 'metadata.labels', report),
    ports: namedPorts(spec, meta),
    finished: status['phase'] === 'Succeeded' || status['phase'] === 'Failed',
    deleting: !isAbsent(metadata['deletionTimestamp']),
  })
}

function addresses(status: Raw, report: Report): readonly string[] {
  const several = Array.isArray(status['podIPs']) && status['podIPs'].length > 0
  if (!several && (isAbsent(status['podIP']) || status['podIP'] === '')) return NONE
  const given = several ? status['podIPs'] : [{ ip: status['podIP'] }]
  const found = new Set<string>()
  for (const [i, item] of list(given, 'status.podIPs', IPS_MAX, report).entries()) {
    const ip = isRecord(item) ? item['ip'] : item
    const address = usableAddress(ip, several ? `status.podIPs[${i}].ip` : 'status.podIP', report)
    if (address !== null) found.add(address)
  }
  return found.size === 0 ? NONE : [...found]
}

/** Of containers and of sidecars (initContainers that restart always): the ports traffic can be meant for. */
function namedPorts(spec: Raw, { report }: Metadata): readonly Port[] {
  const found: Port[] = []
  for (const group of ['containers', 'initContainers']) {
    for (const [i, item] of list(spec[group], `spec.${group}`, CONTAINERS_MAX, report).entries()) {
      const container = record(item, `spec.${group}[${i}]`, report)
      if (group === 'initContainers' && container['restartPolicy'] !== 'Always') continue
      const field = `spec.${group}[${i}].ports`
      for (const [j, port] of list(container['ports'], field, PORTS_MAX, report).entries()) {
        if (isRecord(port) && isAbsent(port['name'])) continue
        const named = parsePort(port, `${field}[${j}]`, report, 'containerPort')
        if (named === null || named.name === '') continue
        const twin = found.find((other) => other.name === named.name && other.protocol === named.protocol)
        if (twin === undefined) found.push(named)
        else if (twin.port !== named.port) {
          const problem = `is ${show(named.name)}, which port ${twin.port} has already; left out`
          report.reject(`${field}[${j}].name`, problem, 'give each port of a pod its own name')
        }
      }
    }
  }
  return found.length === 0 ? NONE : found
}

const IPS_MAX = 10
const CONTAINERS_MAX = 100
const PORTS_MAX = 1000
const NONE: readonly never[] = Object.freeze([])
