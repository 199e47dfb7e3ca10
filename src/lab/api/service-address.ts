/**
 * Cluster addresses and node ports of Services: given out when a Service is written, as the real API server does, so that
 * the answer already has them. What is in use is read from the stored Services alone: nothing can leak.
 */
import { parseAddress } from '../../cluster/address.ts'
import type { Family } from '../../cluster/protocol.ts'
import { invalid, type Failure, type Problem } from './failure.ts'
import type { Change } from './history.ts'
import { IpRange } from './ip-range.ts'
import { hasNodePorts, isHeadless, needsHealthCheckPort } from './kinds/service.ts'
import { cut, keyOf, type ApiObject, type Fields } from './object.ts'
import type { Resource } from './resource.ts'
import type { Admission } from './store.ts'
import { fnv32 } from './suffix.ts'

export interface ServiceRanges {
  /** Canonical CIDRs, at most one a family; the first is the family of single-stack Services. */
  readonly clusterCIDRs: readonly string[]
  readonly nodePorts: { readonly first: number; readonly last: number }
}

export class ServiceAddresses implements Admission {
  readonly #ranges: readonly IpRange[]
  readonly #nodePorts: ServiceRanges['nodePorts']
  /** Canonical address or node port -> key of the Service that has it. */
  readonly #owners = new Map<string | number, string>()

  constructor(ranges: ServiceRanges) {
    this.#ranges = ranges.clusterCIDRs.map((cidr) => new IpRange(cidr))
    this.#nodePorts = ranges.nodePorts
  }

  /** To be told of every change of the store. */
  note({ resource, type, object, previous }: Change): void {
    if (resource.plural !== 'services') return
    if (previous !== null) for (const claim of claims(previous)) this.#owners.delete(claim)
    if (type !== 'DELETED') for (const claim of claims(object)) this.#owners.set(claim, keyOf(object))
  }

  admit(next: ApiObject, previous: ApiObject | null, resource: Resource): Failure | null {
    if (resource.plural !== 'services') return null
    const spec: Fields = next['spec']
    if (previous !== null) keepAllocated(spec, previous['spec'])
    const problems: Problem[] = []
    if (spec['type'] !== 'ExternalName') this.#giveAddresses(next, spec, previous?.['spec'] ?? null, problems)
    this.#givePorts(next, spec, problems)
    return problems.length === 0 ? null : invalid('Service', next.metadata, problems)
  }

  #giveAddresses(service: ApiObject, spec: Fields, previous: Fields | null, problems: Problem[]): void {
    const asked: string[] = spec['clusterIPs'] ?? (spec['clusterIP'] ? [spec['clusterIP']] : [])
    if (spec['clusterIP'] && asked[0] !== spec['clusterIP']) {
      problems.push(wrong('spec.clusterIPs[0]', `${cut(asked[0])} is not spec.clusterIP`, 'give both the same value'))
    }
    const families = this.#families(spec, asked, previous, problems)
    if (problems.length > 0) return
    spec['ipFamilies'] = families.map((family) => `IPv${family}`)
    if (isHeadless(spec)) {
      spec['clusterIP'] = 'None'
      spec['clusterIPs'] = ['None']
      return
    }
    const given = families.map((family, i) => {
      const field = `spec.clusterIPs[${i}]`
      return asked[i] ? this.#take(service, asked[i], field, problems) : this.#free(service, family, problems)
    })
    spec['clusterIP'] = given[0]
    spec['clusterIPs'] = given
  }

  /** Which families the Service has, the first being that of clusterIP (KEP-563). */
  #families(spec: Fields, asked: string[], previous: Fields | null, problems: Problem[]): Family[] {
    const served = this.#ranges.map((range) => range.family)
    const wanted = new Set<Family>()
    for (const ip of asked) if (ip && ip !== 'None') wanted.add(ip.includes(':') ? 6 : 4)
    for (const text of (spec['ipFamilies'] ?? []) as string[]) wanted.add(text === 'IPv6' ? 6 : 4)
    const isOpen = isHeadless(spec) && Object.keys(spec['selector'] ?? {}).length === 0
    spec['ipFamilyPolicy'] ??= wanted.size > 1 || (isOpen && served.length > 1) ? 'RequireDualStack' : 'SingleStack'
    const policy: string = spec['ipFamilyPolicy']
    if (!POLICIES.includes(policy))
      problems.push(wrong('spec.ipFamilyPolicy', `${cut(policy)} is not possible`, USE_ONE))
    if (policy === 'RequireDualStack' && served.length < 2) {
      problems.push(wrong('spec.ipFamilyPolicy', 'this cluster has one family only', 'use PreferDualStack'))
    }
    for (const family of wanted) {
      if (served.includes(family)) continue
      problems.push(wrong('spec.ipFamilies', `IPv${family} is not served by this cluster`, 'leave it out'))
    }
    const chosen = [...wanted]
    if (policy === 'SingleStack') {
      const shrinks = previous !== null && previous['ipFamilyPolicy'] !== 'SingleStack'
      if (chosen.length > 1 && !shrinks) {
        const remedy = 'use ipFamilyPolicy PreferDualStack or name one family'
        problems.push(wrong('spec.ipFamilyPolicy', 'SingleStack contradicts two families', remedy))
      }
      if (shrinks) asked.splice(1)
      return [chosen[0] ?? served[0] ?? 4]
    }
    return [...chosen, ...served.filter((family) => !chosen.includes(family))]
  }

  /** An address that the Service names itself. */
  #take(service: ApiObject, ip: string, field: string, problems: Problem[]): string {
    const address = parseAddress(ip)
    const owner = address === null ? undefined : this.#owners.get(address)
    const ranges = this.#ranges.map((range) => range.cidr).join(' and ')
    if (address === null) {
      problems.push(wrong(field, `${cut(ip)} is not an IP address`, 'write one like 10.96.0.10, or None'))
    } else if (!this.#ranges.some((range) => range.has(address))) {
      problems.push(wrong(field, `${ip} is out of range`, `use an address of ${ranges}, or leave it out`))
    } else if (owner !== undefined && owner !== keyOf(service)) {
      problems.push(wrong(field, `${ip} is taken by Service ${owner}`, 'use another or leave it out'))
    }
    return address ?? ip
  }

  /** Found by the Service's name, so that a cluster that is started again looks the same; the low band is for people (KEP-3070). */
  #free(service: ApiObject, family: Family, problems: Problem[]): string {
    const range = this.#ranges.find((candidate) => candidate.family === family)!
    const first = Math.min(Math.max(16, Math.floor(range.size / 16)), 256, Math.floor(range.size / 2))
    const usable = range.size - 1 - first // not the last: the broadcast address of IPv4
    const from = fnv32(`${keyOf(service)} ${family}`) % usable
    for (let i = 0; i < usable; i++) {
      const address = range.at(first + ((from + i) % usable))
      if (!this.#owners.has(address)) return address
    }
    problems.push(
      wrong('spec.clusterIPs', `no address of ${range.cidr} is free`, 'delete Services that are not needed'),
    )
    return ''
  }

  #givePorts(service: ApiObject, spec: Fields, problems: Problem[]): void {
    const given = new Map<number, string>()
    const wants =
      hasNodePorts(spec) && (spec['type'] !== 'LoadBalancer' || spec['allocateLoadBalancerNodePorts'] !== false)
    const open: Fields[] = []
    for (const [i, port] of ((spec['ports'] ?? []) as Fields[]).entries()) {
      if (port['nodePort']) this.#takePort(service, port['nodePort'], `spec.ports[${i}].nodePort`, problems)
      else if (wants) open.push(port)
      if (port['nodePort']) given.set(port['nodePort'], port['protocol'])
    }
    for (const port of open) {
      // the same number for TCP and UDP of one port, as DNS needs it
      const twin = (spec['ports'] as Fields[]).find((other) => {
        return other['port'] === port['port'] && other['nodePort'] && other['protocol'] !== port['protocol']
      })
      port['nodePort'] = twin?.['nodePort'] ?? this.#freePort(service, `${port['port']}`, given, problems)
      given.set(port['nodePort'], port['protocol'])
    }
    if (!needsHealthCheckPort(spec)) return
    if (spec['healthCheckNodePort']) {
      this.#takePort(service, spec['healthCheckNodePort'], 'spec.healthCheckNodePort', problems)
      if (!given.has(spec['healthCheckNodePort'])) return
      problems.push(wrong('spec.healthCheckNodePort', 'is a nodePort of this Service too', 'use another'))
    } else spec['healthCheckNodePort'] = this.#freePort(service, 'health', given, problems)
  }

  #takePort(service: ApiObject, port: number, field: string, problems: Problem[]): void {
    const { first, last } = this.#nodePorts
    const owner = this.#owners.get(port)
    if (port < first || port > last) {
      problems.push(wrong(field, `${port} is out of range`, `use one of ${first}-${last} or leave it out`))
    } else if (owner !== undefined && owner !== keyOf(service)) {
      problems.push(wrong(field, `${port} is taken by Service ${owner}`, 'use another or leave it out'))
    }
  }

  #freePort(service: ApiObject, salt: string, given: ReadonlyMap<number, string>, problems: Problem[]): number {
    const { first, last } = this.#nodePorts
    const size = last - first + 1
    const low = Math.min(Math.max(16, Math.floor(size / 32)), 128, Math.floor(size / 2)) // for people (KEP-3668)
    const from = fnv32(`${keyOf(service)} ${salt}`) % (size - low)
    for (let i = 0; i < size; i++) {
      const port = first + ((low + from + i) % size)
      if (!this.#owners.has(port) && !given.has(port)) return port
    }
    problems.push(
      wrong('spec.ports', `no node port of ${first}-${last} is free`, 'delete Services that are not needed'),
    )
    return 0
  }
}

/** What a Service holds: others cannot have it. */
function claims(service: ApiObject): (string | number)[] {
  const { clusterIPs = [], ports = [], healthCheckNodePort } = service['spec']
  const nodePorts = (ports as Fields[]).map((port) => port['nodePort'])
  return [...clusterIPs, ...nodePorts, healthCheckNodePort].filter((claim) => claim && claim !== 'None')
}

/** Who replaces a Service may leave out what was given to it (patchAllocatedValues upstream). */
function keepAllocated(spec: Fields, previous: Fields): void {
  if (spec['type'] !== 'ExternalName' && previous['type'] !== 'ExternalName') {
    if (!spec['clusterIP'] && !spec['clusterIPs']?.[0]) {
      spec['clusterIP'] = previous['clusterIP']
      spec['clusterIPs'] = previous['clusterIPs']
    } else if (!spec['clusterIPs'] && spec['clusterIP'] === previous['clusterIP']) {
      spec['clusterIPs'] = [...(previous['clusterIPs'] ?? [])]
    }
    if (!spec['ipFamilies'] && spec['ipFamilyPolicy'] !== 'SingleStack') spec['ipFamilies'] = previous['ipFamilies']
    spec['ipFamilyPolicy'] ??= previous['ipFamilyPolicy']
  }
  if (needsHealthCheckPort(spec)) spec['healthCheckNodePort'] ??= previous['healthCheckNodePort']
  if (!hasNodePorts(spec)) return
  const used = new Set(((spec['ports'] ?? []) as Fields[]).map((port) => port['nodePort']))
  for (const port of (spec['ports'] ?? []) as Fields[]) {
    if (port['nodePort']) continue
    const old = ((previous['ports'] ?? []) as Fields[]).find((candidate) => {
      return candidate['port'] === port['port'] && candidate['protocol'] === port['protocol']
    })
    if (old?.['nodePort'] && !used.has(old['nodePort'])) port['nodePort'] = old['nodePort']
  }
}

function wrong(field: string, problem: string, remedy: string): Problem {
  return { field, problem, remedy }
}

const POLICIES = ['SingleStack', 'PreferDualStack', 'RequireDualStack']
const USE_ONE = `use one of ${POLICIES.join(', ')}`
