/** Until the cluster has DNS: the names of all Services in a hosts file. Pure. */
import type { ApiObject } from './api/object.ts'
import type { Store } from './api/store.ts'
import { specOf } from './podspec.ts'

/** Lines for pods of `namespace`: NAME, NAME.NS, NAME.NS.svc, NAME.NS.svc.cluster.local; the bare name only within its own. */
export function hostsOf(store: Store, namespace: string): string {
  const lines: string[] = []
  for (const service of store.list('services')) {
    const ips = (service['spec']?.clusterIPs ?? [service['spec']?.clusterIP]) as readonly (string | undefined)[]
    const { name, namespace: own = 'default' } = service.metadata
    if (ips[0] === 'None') {
      for (const address of headless(store, own, name)) {
        lines.push(`${address.ip}\t${names(name, own, namespace)}`)
        if (address.hostname) lines.push(`${address.ip}\t${names(`${address.hostname}.${name}`, own, namespace)}`)
      }
    } else for (const ip of ips) if (ip) lines.push(`${ip}\t${names(name, own, namespace)}`)
  }
  return lines.join('\n') + '\n'
}

/** The whole file of one pod. */
export function podHosts(pod: ApiObject, podIPs: readonly string[], services: string): string {
  const spec = specOf(pod)
  const own = podIPs.map((ip) => `${ip}\t${spec.hostname ?? pod.metadata.name}\n`).join('')
  const aliases = (spec.hostAliases ?? []).map(({ ip, hostnames = [] }) => `${ip}\t${hostnames.join(' ')}\n`).join('')
  return `${LOCAL}${own}${aliases}${services}`
}

function names(name: string, own: string, seenFrom: string): string {
  const full = `${name}.${own}.svc.cluster.local ${name}.${own}.svc ${name}.${own}`
  return own === seenFrom ? `${full} ${name}` : full
}

function headless(store: Store, namespace: string, service: string): { ip: string; hostname?: string }[] {
  const found: { ip: string; hostname?: string }[] = []
  for (const slice of store.list('endpointslices', namespace)) {
    if (slice.metadata.labels?.['kubernetes.io/service-name'] !== service) continue
    for (const endpoint of slice['endpoints'] ?? []) {
      if (endpoint.conditions?.ready === false) continue
      found.push({ ip: endpoint.addresses[0], ...(endpoint.hostname && { hostname: endpoint.hostname }) })
    }
  }
  return found
}

const LOCAL = '127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n'
