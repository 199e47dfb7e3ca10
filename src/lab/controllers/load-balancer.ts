/** The lab's cloud: gives Services of type LoadBalancer an address of a pool. Who announces it is not decided here. */
import { parseAddress } from '../../cluster/address.ts'
import { tell } from '../api/event.ts'
import type { Change } from '../api/history.ts'
import { IpRange } from '../api/ip-range.ts'
import { cut, type ApiObject, type Fields } from '../api/object.ts'
import { refOf, type Store } from '../api/store.ts'
import { objectAt, type Controller } from './controller.ts'

/** `pools`: canonical CIDRs, one a family. */
export function loadBalancerController(pools: readonly string[] = POOLS): Controller {
  const ranges = pools.map((cidr) => new IpRange(cidr))
  return {
    name: 'load-balancer',

    *touched({ resource, type, object, previous }: Change, store: Store): Iterable<string> {
      if (resource.plural !== 'services') return
      if (isOurs(object) || hasIngress(object)) yield `${object.metadata.namespace}/${object.metadata.name}`
      const isFreed = previous !== null && hasIngress(previous) && (type === 'DELETED' || !hasIngress(object))
      if (!isFreed) return
      // Somebody may wait for the address.
      for (const other of store.list('services')) {
        if (isOurs(other) && !hasIngress(other)) yield `${other.metadata.namespace}/${other.metadata.name}`
      }
    },

    reconcile(key: string, store: Store): void {
      const service = objectAt(store, 'services', key)
      if (service === undefined) return
      if (!isOurs(service)) {
        if (hasIngress(service)) write(store, service, undefined)
        return
      }
      const addresses = assign(store, service, ranges)
      if (addresses.length > 0) write(store, service, addresses)
    },
  }
}

function assign(store: Store, service: ApiObject, ranges: readonly IpRange[]): string[] {
  const others = store.list('services').filter((other) => other.metadata.uid !== service.metadata.uid)
  const taken = new Set(others.flatMap(ingressOf))
  const asked = parseAddress(service['spec'].loadBalancerIP)
  if (service['spec'].loadBalancerIP && !ranges.some((range) => asked !== null && range.has(asked))) {
    const message = `spec.loadBalancerIP ${cut(service['spec'].loadBalancerIP)} is no address of ${ranges.map(({ cidr }) => cidr).join(' or ')}, so another was given: use one of those or leave it out`
    tell(store, service, { type: 'Warning', reason: 'LoadBalancerIPIgnored', message, from: 'load-balancer' })
  }
  return (service['spec'].ipFamilies as string[]).flatMap((family) => {
    const range = ranges.find((candidate) => `IPv${candidate.family}` === family)
    if (range === undefined) return []
    const wanted = asked !== null && range.has(asked) ? asked : undefined
    const current = ingressOf(service).find((ip) => range.has(ip))
    const address = wanted ?? current ?? free(range, taken)
    if (address !== undefined && !taken.has(address)) return [address]
    const message = wanted
      ? `the address ${wanted} is another Service's: choose another loadBalancerIP or leave it out`
      : `no address of ${range.cidr} is free: delete LoadBalancer Services that are not needed`
    tell(store, service, { type: 'Warning', reason: 'NoLoadBalancerAddress', message, from: 'load-balancer' })
    return current === undefined ? [] : [current]
  })
}

/** Neither the first nor the last of the range: they are the network's in IPv4. */
function free(range: IpRange, taken: ReadonlySet<string>): string | undefined {
  for (let offset = 1; offset < range.size - 1; offset++) {
    const address = range.at(offset)
    if (!taken.has(address)) return address
  }
  return undefined
}

function write(store: Store, service: ApiObject, addresses: readonly string[] | undefined): void {
  store.modify(
    refOf('services', service),
    (next) => {
      next['status'] = { ...next['status'], loadBalancer: addresses ? { ingress: addresses.map(ingress) } : {} }
    },
    'status',
  )
}

function ingress(ip: string): Fields {
  return { ip, ipMode: 'VIP' }
}

function ingressOf(service: ApiObject): string[] {
  const listed = (service['status']?.loadBalancer?.ingress ?? []) as Fields[]
  return listed.flatMap(({ ip }) => parseAddress(ip) ?? [])
}

function hasIngress(service: ApiObject): boolean {
  return (service['status']?.loadBalancer?.ingress?.length ?? 0) > 0
}

/** One of another class is somebody else's to give an address. */
function isOurs({ spec, metadata }: ApiObject): boolean {
  return spec.type === 'LoadBalancer' && !spec.loadBalancerClass && metadata.deletionTimestamp === undefined
}

/** Within the lab's underlay; both have 64 addresses. */
export const POOLS: readonly string[] = ['172.30.0.192/26', 'fd00:172:30::c0/122']
