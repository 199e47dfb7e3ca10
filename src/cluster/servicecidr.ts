import { parseMetadata } from './metadata.ts'
import { record } from './raw.ts'
import type { Parsed } from './rejection.ts'
import { usableCidrs } from './usable.ts'

/** networking.k8s.io/v1 ServiceCIDR: a range ClusterIPs are allocated from. */
export interface ServiceCIDR {
  readonly name: string
  /** Canonical. */
  readonly cidrs: readonly string[]
}

/** Of a networking.k8s.io/v1 ServiceCIDR as JSON. Never throws. */
export function parseServiceCIDR(raw: unknown): Parsed<ServiceCIDR> {
  const meta = parseMetadata(raw, 'ServiceCIDR', false)
  if ('rejected' in meta) return meta.rejected
  const { report, name } = meta
  const spec = record(meta.raw['spec'], 'spec', report)
  return report.parsed<ServiceCIDR>({ name, cidrs: usableCidrs(spec['cidrs'], 'spec.cidrs', report) })
}
