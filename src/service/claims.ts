/**
 * Which addresses a Service asks for on this node, and who gets one that several ask for. The answer depends on the
 * objects as they are, never on who came first to us: a ClusterIP goes before a node port, that before a load balancer's
 * address, that before an externalIP (which any user may write into a Service); then the older, then the first by name.
 */
import { contains, familyOf } from '../cluster/address.ts'
import type { Rejection } from '../cluster/rejection.ts'
import type { Service } from '../cluster/service.ts'
import { claimKey, nodePortKey } from '../cluster/tables.ts'
import type { ServiceOptions } from './options.ts'
import type { FrontendAddress } from './rows.ts'

export type ClaimKind = 'cluster-ip' | 'node-port' | 'load-balancer' | 'external-ip'

export interface Claim {
  readonly at: FrontendAddress
  readonly kind: ClaimKind
  /** Position in Service.ports. */
  readonly port: number
  readonly field: string
}

export interface Claims {
  /** ClusterIPs that can be served. */
  readonly clusterIPs: readonly string[]
  /** No address, protocol and port twice. */
  readonly claims: readonly Claim[]
  readonly rejections: readonly Rejection[]
}

/** Does this proxy serve the Service at all? */
export function isServed(service: Service, options: ServiceOptions): boolean {
  return service.type !== 'ExternalName' && !service.headless && service.proxyName === options.proxyName
}

/** `nodePortIPs`: addresses of this node that answer node ports. `isNode`: is this an address of some node? */
export function claimsOf(
  service: Service,
  nodePortIPs: readonly string[],
  isNode: (ip: string) => boolean,
  options: ServiceOptions,
): Claims {
  const rejections: Rejection[] = []
  const reject = (field: string, problem: string, remedy: string): void => {
    rejections.push({ object: `Service ${service.namespace}/${service.name}`, field, problem, remedy })
  }
  const clusterIPs = usable(service.clusterIPs, (ip) => {
    if (!isNode(ip)) return true
    reject('spec.clusterIPs', `${ip} is the address of a node: serving it would cut the node off`, RENUMBER)
    return false
  })
  const claims = new Map<string, Claim>()
  const claim = (ip: string, number: number, kind: ClaimKind, port: number, field: string): void => {
    const at = { ip, protocol: service.ports[port]!.protocol, port: number }
    const held = claims.get(claimText(at))
    if (held === undefined) claims.set(claimText(at), { at, kind, port, field })
    else if (held.port !== port) reject(field, `${show(at)} is already another port of this Service`, REMEDIES[kind])
  }
  const aliases = (options.aliases.get(`${service.namespace}/${service.name}`) ?? []).filter((ip) =>
    hasFamily(service, ip),
  )
  const external = externalAddresses(service, options, reject)
  service.ports.forEach((port, i) => {
    for (const ip of [...clusterIPs, ...aliases]) claim(ip, port.port, 'cluster-ip', i, `spec.ports[${i}].port`)
    for (const ip of external.loadBalancer) claim(ip, port.port, 'load-balancer', i, 'status.loadBalancer.ingress')
    if (port.nodePort !== 0 && service.type !== 'ClusterIP') {
      for (const ip of nodePortIPs) {
        if (hasFamily(service, ip)) claim(ip, port.nodePort, 'node-port', i, `spec.ports[${i}].nodePort`)
      }
    }
    for (const ip of external.externalIPs) claim(ip, port.port, 'external-ip', i, 'spec.externalIPs')
  })
  return { clusterIPs, claims: [...claims.values()], rejections }
}

/** The list itself when all of it passes: it is held for as long as the Service is. */
function usable(ips: readonly string[], passes: (ip: string) => boolean): readonly string[] {
  const passed = ips.filter(passes)
  return passed.length === ips.length ? ips : passed
}

/** Under which values of the index `claims` of services its rivals are found. */
export function rivalKeys({ at, kind }: Claim, nodePortIPs: readonly string[]): readonly string[] {
  const isNodePort = kind === 'node-port' || nodePortIPs.includes(at.ip)
  return isNodePort ? [claimText(at), nodePortKey(at.protocol, at.port)] : [claimText(at)]
}

export const claimText = (at: FrontendAddress): string => claimKey(at.ip, at.protocol, at.port)

/** Sorts claims to one address: the first one gets it. */
export function precedence(kind: ClaimKind, service: Service): string {
  const created = String(service.created).padStart(16, '0')
  return `${KINDS.indexOf(kind)} ${created} ${service.namespace}/${service.name}`
}

/** Tells the loser of a contested address who has it. */
export function lost(service: Service, claim: Claim, winner: { service: string; kind: ClaimKind }): Rejection {
  return {
    object: `Service ${service.namespace}/${service.name}`,
    field: claim.field,
    problem: `${show(claim.at)} belongs to Service ${winner.service} (${NAMES[winner.kind]}); not served for this one`,
    remedy: REMEDIES[claim.kind],
  }
}

function externalAddresses(
  service: Service,
  options: ServiceOptions,
  reject: (field: string, problem: string, remedy: string) => void,
): { loadBalancer: readonly string[]; externalIPs: readonly string[] } {
  const ofFamily = (field: string) => (ip: string) => {
    if (hasFamily(service, ip)) return true
    const family = `IPv${familyOf(ip)}`
    reject(field, `${ip} is ${family}, but the Service has no ${family} ClusterIP`, `add ${family} to spec.ipFamilies`)
    return false
  }
  const isAllowed = (ip: string) => {
    const allowed = options.externalIPAllowed
    if (allowed === null || allowed.some((cidr) => contains(cidr, ip))) return true
    reject('spec.externalIPs', `${ip} is outside the ranges allowed for externalIPs`, ALLOW)
    return false
  }
  const vips = service.type === 'LoadBalancer' ? service.loadBalancerIPs : []
  return {
    loadBalancer: vips.filter(ofFamily('status.loadBalancer.ingress')),
    externalIPs: service.externalIPs.filter(ofFamily('spec.externalIPs')).filter(isAllowed),
  }
}

const hasFamily = (service: Service, ip: string): boolean =>
  service.clusterIPs.some((each) => familyOf(each) === familyOf(ip))

const show = (at: FrontendAddress): string => `${at.ip.includes(':') ? `[${at.ip}]` : at.ip}:${at.port}/${at.protocol}`

const RENUMBER = 'delete and recreate the Service, and keep the service range apart from the addresses of nodes'
const ALLOW = 'use an allowed address, or have the administrator extend the list of allowed ranges'
const KINDS: readonly ClaimKind[] = ['cluster-ip', 'node-port', 'load-balancer', 'external-ip']
const NAMES: Readonly<Record<ClaimKind, string>> = {
  'cluster-ip': 'its ClusterIP',
  'node-port': 'its node port',
  'load-balancer': 'its load balancer address',
  'external-ip': 'one of its externalIPs',
}
const REMEDIES: Readonly<Record<ClaimKind, string>> = {
  'cluster-ip': 'delete and recreate one of the two Services so that it gets an address of its own',
  'node-port': 'choose another nodePort, or remove the field to have one allocated',
  'load-balancer': 'choose another port or address in one of the two Services',
  'external-ip': 'choose another port or address in one of the two Services',
}
