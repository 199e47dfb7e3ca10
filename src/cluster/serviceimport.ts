import { parseMetadata } from './metadata.ts'
import { parsePort, type Port } from './protocol.ts'
import { list, oneOf, record } from './raw.ts'
import type { Parsed, Report } from './rejection.ts'
import { usableAddress } from './usable.ts'

/** multicluster.x-k8s.io/v1alpha1 ServiceImport (KEP-1645): a Service of other clusters, as this one may use it. */
export interface ServiceImport {
  readonly namespace: string
  readonly name: string
  /** Type Headless: its endpoints are asked for, not its addresses. */
  readonly headless: boolean
  /** Canonical; empty for headless ones. */
  readonly ips: readonly string[]
  readonly ports: readonly Port[]
}

/** Of a multicluster.x-k8s.io/v1alpha1 ServiceImport as JSON. Never throws. */
export function parseServiceImport(raw: unknown): Parsed<ServiceImport> {
  const meta = parseMetadata(raw, 'ServiceImport', true)
  if ('rejected' in meta) return meta.rejected
  const { report } = meta
  const spec = record(meta.raw['spec'], 'spec', report)
  const headless = oneOf(spec['type'], 'spec.type', TYPES, 'ClusterSetIP', report) === 'Headless'
  return report.parsed<ServiceImport>({
    namespace: meta.namespace,
    name: meta.name,
    headless,
    ips: headless ? [] : addresses(spec['ips'], report),
    ports: ports(spec['ports'], report),
  })
}

function addresses(value: unknown, report: Report): readonly string[] {
  const found = new Set<string>()
  for (const [i, item] of list(value, 'spec.ips', IPS_MAX, report).entries()) {
    const address = usableAddress(item, `spec.ips[${i}]`, report)
    if (address !== null) found.add(address)
  }
  return [...found]
}

function ports(value: unknown, report: Report): readonly Port[] {
  const found: Port[] = []
  for (const [i, item] of list(value, 'spec.ports', PORTS_MAX, report).entries()) {
    const port = parsePort(item, `spec.ports[${i}]`, report)
    if (port !== null) found.push(port)
  }
  return found
}

const TYPES = ['ClusterSetIP', 'Headless'] as const
/** The API: one of each family. */
const IPS_MAX = 100
const PORTS_MAX = 1000
