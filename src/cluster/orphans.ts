import { derive, type Derived } from '../core/derive.ts'
import type { Graph } from '../core/graph.ts'
import type { Readable } from '../core/table.ts'
import type { EndpointSlice } from './endpointslice.ts'
import type { Rejection } from './rejection.ts'
import type { Service } from './service.ts'

/**
 * Slices with endpoints for Services that are not there: a mistyped label, or a Service just deleted whose slices have yet
 * to follow. They harm nobody, but somebody may wonder why no traffic comes.
 */
export function deriveOrphans(
  graph: Graph,
  { services, slices }: { readonly services: Readable<Service>; readonly slices: Readable<EndpointSlice> },
): Derived<Rejection> {
  return derive<Rejection, EndpointSlice>(graph, {
    name: 'orphans',
    driver: slices,
    inputs: [services],
    rows: (key, slice, read) => {
      // Without the label it was rejected when it was parsed.
      if (slice.service === '' || slice.endpoints.count === 0) return []
      const owner = `${slice.namespace}/${slice.service}`
      if (read.get(services, owner) !== undefined) return []
      return [[key, orphan(key, owner)]]
    },
  })
}

const orphan = (key: string, owner: string): Rejection => ({
  object: `EndpointSlice ${key}`,
  field: 'metadata.labels[kubernetes.io/service-name]',
  problem: `names the Service ${owner}, which does not exist; its endpoints get no traffic`,
  remedy: `create the Service ${owner}, or correct the label`,
})
