import { parseLabels, parseMetadata } from './metadata.ts'
import type { Parsed } from './rejection.ts'

/** core/v1 ConfigMap. */
export interface ConfigMap {
  readonly namespace: string
  readonly name: string
  readonly data: ReadonlyMap<string, string>
}

/** Of a core/v1 ConfigMap as JSON. Never throws. */
export function parseConfigMap(raw: unknown): Parsed<ConfigMap> {
  const meta = parseMetadata(raw, 'ConfigMap', true)
  if ('rejected' in meta) return meta.rejected
  const { report, namespace, name } = meta
  const data = parseLabels(meta.raw['data'], 'data', report, { valueMax: VALUE_MAX })
  return report.parsed<ConfigMap>({ namespace, name, data })
}

const VALUE_MAX = 64 * 1024
