/** Endpoints of clusters, from slices and from addresses of Services: a row each. */
import type { EndpointSlice } from '../cluster/endpointslice.ts'
import { unpackEndpoints } from '../cluster/endpointlist.ts'
import type { Service } from '../cluster/service.ts'
import type { Key } from '../core/delta.ts'
import { derive } from '../core/derive.ts'
import type { Graph } from '../core/graph.ts'
import type { Readable } from '../core/table.ts'
import type { ClusterPlan } from './clusters.ts'
import { endpointRow, type Endpoint, type ProxyRow } from './rows.ts'

/** `clusters`: index `slices`, by the Service whose slices feed them. */
export function deriveEndpoints(
  graph: Graph,
  slices: Readable<EndpointSlice>,
  services: Readable<Service>,
  clusters: Readable<ClusterPlan>,
): readonly Readable<ProxyRow>[] {
  const ofSlices = derive<ProxyRow, EndpointSlice>(graph, {
    name: 'endpoints of slices',
    driver: slices,
    inputs: [clusters],
    rows: (_, slice, read) => {
      if (slice.service === '') return []
      const fed = read.by(clusters, 'slices', `${slice.namespace}/${slice.service}`)
      return fed.flatMap(([name, plan]) => endpointsOf(slice, name, plan))
    },
  })
  const ofServices = derive<ProxyRow, ClusterPlan>(graph, {
    name: 'endpoints of services',
    driver: clusters,
    inputs: [services],
    rows: (name, { feed }, read) => {
      if (feed.from !== 'address') return []
      const { clusterIPs = [] } = read.get(services, feed.service) ?? {}
      return clusterIPs.map((address) =>
        endpointRow({ cluster: name, address, port: feed.port, weight: 1, draining: false, label: feed.service }),
      )
    },
  })
  return [ofSlices, ofServices]
}

/** Ready ones, and those that still serve while they end: nothing new goes there. */
function endpointsOf(slice: EndpointSlice, cluster: Key, { feed }: ClusterPlan): [Key, ProxyRow][] {
  if (feed.from !== 'slices') return []
  const port = slice.ports.find(({ name, protocol }) => name === feed.port && protocol === feed.protocol)
  if (port === undefined) return []
  const pods = slice.endpoints.pods?.split(' ')
  const rows: [Key, ProxyRow][] = []
  for (const [i, { address, ready, serving, terminating, hintZones }] of unpackEndpoints(slice.endpoints).entries()) {
    if (!ready && !(serving && terminating)) continue
    const endpoint: Endpoint = {
      cluster,
      address,
      port: port.port,
      weight: 1,
      draining: !ready,
      label: pods?.[i] || address,
    }
    rows.push(endpointRow(hintZones === null ? endpoint : { ...endpoint, zones: [...hintZones] }))
  }
  return rows
}

/** Services that have an endpoint to send to. */
export function deriveStaffed(
  graph: Graph,
  services: Readable<Service>,
  slices: Readable<EndpointSlice>,
): Readable<true> {
  return derive<true, Service>(graph, {
    name: 'services with endpoints',
    driver: services,
    inputs: [slices],
    rows: (key, { type }, read) => {
      const isStaffed =
        type === 'ExternalName' ||
        read.by(slices, 'service', key).some(([, { endpoints }]) => /[3-7]/.test(endpoints.states))
      return isStaffed ? [[key, true]] : []
    },
  })
}
