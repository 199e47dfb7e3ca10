/** Where a Service can be reached from outside the cluster. Pure: reads objects, decides addresses. */
import type { ApiObject, Fields } from './api/object.ts'
import type { Store } from './api/store.ts'

/** An endpoint as its slices say it, once for each of its addresses. */
export interface Endpoint {
  readonly ip: string
  readonly node: string
  readonly ready: boolean
  /** Ready, or still answering while it ends. */
  readonly serving: boolean
  /** By name of the Service's port. */
  readonly ports: ReadonlyMap<string, number>
}

/** Addresses that the lab's cloud gave the Service, canonical. */
export function ingressOf(service: ApiObject): string[] {
  const listed = (service['status']?.loadBalancer?.ingress ?? []) as { readonly ip?: string }[]
  return listed.flatMap(({ ip }) => ip ?? [])
}

export function endpointsOf(store: Store, { metadata }: ApiObject): Endpoint[] {
  return store
    .list('endpointslices', metadata.namespace)
    .filter((slice) => slice.metadata.labels?.['kubernetes.io/service-name'] === metadata.name)
    .flatMap((slice) => {
      const numbered = (slice['ports'] ?? []) as { readonly name?: string; readonly port?: number }[]
      const ports = new Map(numbered.flatMap(({ name = '', port }) => (port === undefined ? [] : [[name, port]])))
      return ((slice['endpoints'] ?? []) as Fields[]).map((endpoint) => {
        const ready = endpoint['conditions']?.ready !== false
        const serving = endpoint['conditions']?.serving ?? ready
        return { ip: endpoint['addresses'][0], node: endpoint['nodeName'] ?? '', ready, serving, ports }
      })
    })
}

/**
 * The nodes to which each load-balancer address is sent that does not go to all of them, for externalTrafficPolicy Local:
 * those with a ready endpoint, as health check node ports tell real load balancers; else those that still answer.
 * Without any, all are right: each refuses.
 */
export function announced(store: Store): Map<string, readonly string[]> {
  const routes = new Map<string, readonly string[]>()
  for (const service of store.list('services')) {
    if (service['spec']?.externalTrafficPolicy !== 'Local') continue
    const addresses = ingressOf(service)
    if (addresses.length === 0) continue
    const endpoints = endpointsOf(store, service)
    for (const address of addresses) {
      const family = endpoints.filter(({ ip, node }) => ip.includes(':') === address.includes(':') && node !== '')
      const ready = family.filter((endpoint) => endpoint.ready)
      const chosen = ready.length > 0 ? ready : family.filter(({ serving }) => serving)
      if (chosen.length > 0) routes.set(address, [...new Set(chosen.map(({ node }) => node))].sort())
    }
  }
  return routes
}

/** `172.30.0.193:80`, ...: where a client outside connects to for one port of a Service, its best way first; [] for none. */
export function placesOf(store: Store, service: ApiObject, port: Fields, nodes: readonly string[]): string[] {
  const external = ingressOf(service).map((ip) => place(ip, port['port']))
  if (external.length > 0) return external
  if (port['nodePort']) return nodes.map((ip) => place(ip, port['nodePort']))
  return endpointsOf(store, service).flatMap(({ ip, ready, ports }) => {
    const number = ports.get(port['name'] ?? '')
    return ready && number !== undefined ? [place(ip, number)] : []
  })
}

const place = (ip: string, port: number): string => (ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`)
