import { unpackEndpoints, type Endpoint } from '../cluster/endpointlist.ts'
import type { EndpointSlice } from '../cluster/endpointslice.ts'
import type { Family } from '../cluster/protocol.ts'
import type { ServicePort } from '../cluster/service.ts'

/** The endpoints behind one ServicePort in one family: two lists of one length, no address and port twice. */
export interface Candidates {
  readonly endpoints: readonly Endpoint[]
  readonly ports: readonly number[]
}

/**
 * Merges the slices of a Service. A ServicePort finds its endpoint port by name, and each slice may have another number
 * for it. An endpoint that stands in two slices (it moves between them) counts once, as the readier of the two.
 *
 * `slices` in an order that depends on them only (by key). `node`: who is local wins among the equally ready.
 */
export function candidates(
  slices: readonly EndpointSlice[],
  port: ServicePort,
  family: Family,
  node: string,
): Candidates {
  const endpoints: Endpoint[] = []
  const ports: number[] = []
  const seen = new Map<string, number>()
  let usual = 0
  for (const slice of slices) {
    if (slice.family !== family) continue
    const target = slice.ports.find((each) => each.name === port.name && each.protocol === port.protocol)
    if (target === undefined) continue
    if (usual === 0) usual = target.port
    for (const endpoint of unpackEndpoints(slice.endpoints)) {
      const key = target.port === usual ? endpoint.address : `${endpoint.address} ${target.port}`
      const twin = seen.get(key)
      if (twin === undefined) {
        seen.set(key, endpoints.length)
        endpoints.push(endpoint)
        ports.push(target.port)
      } else if (standing(endpoint, node) > standing(endpoints[twin]!, node)) endpoints[twin] = endpoint
    }
  }
  return { endpoints, ports }
}

function standing(endpoint: Endpoint, node: string): number {
  const readiness = endpoint.ready ? 2 : endpoint.serving && endpoint.terminating ? 1 : 0
  return readiness * 2 + (endpoint.node === node ? 1 : 0)
}
