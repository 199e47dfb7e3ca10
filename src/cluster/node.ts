import { intern } from './intern.ts'
import { createdAt, parseLabels, parseMetadata } from './metadata.ts'
import { isAbsent, list, record } from './raw.ts'
import { show, type Parsed, type Report } from './rejection.ts'
import { usableAddress, usableCidrs } from './usable.ts'

/** core/v1 Node, reduced to what derivations read. */
export interface Node {
  readonly name: string
  /** metadata.creationTimestamp in ms since 1970; 0 when absent. Of two nodes that want the same, the older has it. */
  readonly created: number
  /** status.addresses of type InternalIP, canonical, both families. */
  readonly internalIPs: readonly string[]
  readonly externalIPs: readonly string[]
  /** spec.podCIDRs (else podCIDR), canonical. */
  readonly podCIDRs: readonly string[]
  /** Label topology.kubernetes.io/zone. */
  readonly zone: string | null
  readonly labels: ReadonlyMap<string, string>
  readonly annotations: ReadonlyMap<string, string>
  /** metadata.deletionTimestamp is set. */
  readonly deleting: boolean
  /** Keys of spec.taints. */
  readonly taints: readonly string[]
}

/** Of a core/v1 Node as JSON. Never throws. */
export function parseNode(raw: unknown): Parsed<Node> {
  const meta = parseMetadata(raw, 'Node', false)
  if ('rejected' in meta) return meta.rejected
  const { report, metadata } = meta
  const spec = record(meta.raw['spec'], 'spec', report)
  const status = record(meta.raw['status'], 'status', report)
  const labels = parseLabels(metadata['labels'], 'metadata.labels', report)
  const several = !isAbsent(spec['podCIDRs'])
  const cidrs = several ? spec['podCIDRs'] : spec['podCIDR'] ? [spec['podCIDR']] : []
  const { internal, external } = addresses(status['addresses'], report)
  return report.parsed<Node>({
    name: intern(meta.name),
    created: createdAt(meta),
    internalIPs: internal,
    externalIPs: external,
    podCIDRs: usableCidrs(cidrs, several ? 'spec.podCIDRs' : 'spec.podCIDR', report),
    zone: labels.get(LABEL_ZONE) ?? null,
    labels,
    annotations: parseLabels(metadata['annotations'], 'metadata.annotations', report, {
      valueMax: ANNOTATION_MAX,
      keep: (key) => ANNOTATIONS.test(key),
    }),
    deleting: !isAbsent(metadata['deletionTimestamp']),
    taints: taints(spec['taints'], report),
  })
}

function addresses(value: unknown, report: Report): { internal: readonly string[]; external: readonly string[] } {
  const internal = new Set<string>()
  const external = new Set<string>()
  for (const [i, item] of list(value, 'status.addresses', ADDRESSES_MAX, report).entries()) {
    const { type, address } = record(item, `status.addresses[${i}]`, report)
    if (type !== 'InternalIP' && type !== 'ExternalIP') continue // Hostname, InternalDNS, ExternalDNS
    const ip = usableAddress(address, `status.addresses[${i}].address`, report)
    if (ip !== null) (type === 'InternalIP' ? internal : external).add(ip)
  }
  return { internal: [...internal], external: [...external] }
}

function taints(value: unknown, report: Report): readonly string[] {
  const keys = new Set<string>()
  for (const [i, item] of list(value, 'spec.taints', TAINTS_MAX, report).entries()) {
    const { key } = record(item, `spec.taints[${i}]`, report)
    if (typeof key === 'string' && key.length <= TAINT_MAX) keys.add(intern(key))
    else report.reject(`spec.taints[${i}].key`, `is ${show(key)}, not a taint's key; left out`, 'write a label key')
  }
  return [...keys]
}

const LABEL_ZONE = 'topology.kubernetes.io/zone'
/** Of the many (and large) annotations nodes carry, those that say how to reach the node: flannel's, whatever its prefix, and ours. */
const ANNOTATIONS = /flannel|fairlead/
const ANNOTATION_MAX = 4096
const ADDRESSES_MAX = 100
const TAINTS_MAX = 100
const TAINT_MAX = 317
