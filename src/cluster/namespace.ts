import { parseLabels, parseMetadata } from './metadata.ts'
import type { Parsed } from './rejection.ts'

/** core/v1 Namespace, reduced to what selectors read. */
export interface Namespace {
  readonly name: string
  readonly labels: ReadonlyMap<string, string>
}

/** Of a core/v1 Namespace as JSON. Never throws. */
export function parseNamespace(raw: unknown): Parsed<Namespace> {
  const meta = parseMetadata(raw, 'Namespace', false)
  if ('rejected' in meta) return meta.rejected
  const { report, name } = meta
  return report.parsed<Namespace>({ name, labels: parseLabels(meta.metadata['labels'], 'metadata.labels', report) })
}
