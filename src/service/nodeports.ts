/**
 * Which addresses of this node answer node ports, as kube-proxy's nodePortAddresses says it: words and ranges, each of
 * which adds some. What a kernel answers, and what only processes of this node reach: the loopback addresses.
 */
import { contains, familyOf, specialKind } from '../cluster/address.ts'
import type { Node } from '../cluster/node.ts'
import type { Service } from '../cluster/service.ts'
import { nodePortKey } from '../cluster/tables.ts'
import type { Key } from '../core/delta.ts'
import { derive, type Derived, type Read } from '../core/derive.ts'
import type { Graph } from '../core/graph.ts'
import type { Readable } from '../core/table.ts'
import { isServed, precedence } from './claims.ts'
import type { HereKey } from './here.ts'
import type { ServiceOptions } from './options.ts'

/** An address that an interface of this host has. */
export interface HostAddress {
  readonly ip: string
}

/** A node port that processes of this node reach on a loopback address. */
export interface LocalhostPort {
  readonly ip: Loopback
  readonly protocol: 'tcp' | 'udp'
  readonly port: number
  /** `172.30.0.11:30080`, `[fd00::11]:30080`: where the kernel serves it as it serves what comes from the node itself. */
  readonly to: string
}

export type Loopback = '127.0.0.1' | '::1'

/** Where packets to node ports are met by the kernel. `hostAddresses` is called only when the answer depends on them. */
export function nodePortIPs(
  node: Node,
  { nodePortAddresses: wanted }: ServiceOptions,
  hostAddresses: () => readonly string[],
): readonly string[] {
  const own = [...node.internalIPs, ...node.externalIPs]
  const first = (family: 4 | 6) => own.filter((ip) => familyOf(ip) === family).slice(0, 1)
  const primary = wanted.includes('primary') ? [...first(4), ...first(6)] : []
  const ranges = rangesOf(wanted)
  const chosen = ranges.some(mayBeOfHost) ? hostAddresses().filter((ip) => isChosen(ip, ranges)) : []
  return [...new Set([...primary, ...chosen])]
}

/** Whether it matters which addresses the interfaces of this host have. */
export const readsHostAddresses = ({ nodePortAddresses }: Pick<ServiceOptions, 'nodePortAddresses'>): boolean =>
  rangesOf(nodePortAddresses).some(mayBeOfHost)

/** Loopback addresses that answer node ports: those that a range holds. */
export function loopbacksOf({ nodePortAddresses }: Pick<ServiceOptions, 'nodePortAddresses'>): readonly Loopback[] {
  const ranges = rangesOf(nodePortAddresses)
  return LOOPBACKS.filter((ip) => ranges.some((range) => contains(range, ip)))
}

/** By object and place (`Service shop/web 127.0.0.1:30080/tcp`): node ports on loopback addresses. A port that two Services want is its holder's. */
export function deriveLocalhost(
  graph: Graph,
  services: Readable<Service>,
  here: Readable<readonly string[]>,
  options: ServiceOptions,
): Derived<LocalhostPort> {
  const loopbacks = loopbacksOf(options)
  return derive<LocalhostPort, Service>(graph, {
    name: 'localhost node ports',
    driver: services,
    inputs: [services, here],
    rows: function* (key, service, read) {
      if (!hasNodePorts(service, options)) return
      for (const { protocol: name, port, nodePort } of service.ports) {
        const protocol = name.toLowerCase()
        if (nodePort === 0 || (protocol !== 'tcp' && protocol !== 'udp')) continue
        if (!isHolder(key, service, nodePortKey(name, nodePort), read, services, options)) continue
        for (const ip of loopbacks) {
          const to = targetOf(service, ip, port, nodePort, read, here)
          if (to !== null) yield [rowKey(key, ip, nodePort, protocol), { ip, protocol, port: nodePort, to }]
        }
      }
    },
  })
}

/** The node port on an address of this node has its own traffic policy; the ClusterIP is second best, where no such address answers. */
function targetOf(
  service: Service,
  loopback: Loopback,
  port: number,
  nodePort: number,
  read: Read,
  here: Readable<readonly string[]>,
): string | null {
  const family = familyOf(loopback)
  const ofFamily = (ip: string): boolean => familyOf(ip) === family
  const clusterIP = service.clusterIPs.find(ofFamily)
  if (clusterIP === undefined) return null
  const get = (key: HereKey): readonly string[] => (read.get(here, key) ?? []).filter(ofFamily)
  const answering = get('node-ports')
  const own = get('addresses').find((ip) => answering.includes(ip)) ?? answering[0]
  return own === undefined ? place(clusterIP, port) : place(own, nodePort)
}

/** The answer that deriving claims gives for addresses of the node, also when none of those answers node ports. */
function isHolder(
  key: Key,
  service: Service,
  claim: string,
  read: Read,
  services: Readable<Service>,
  options: ServiceOptions,
): boolean {
  if (read.countBy(services, 'claims', claim) < 2) return true
  const own = precedence('node-port', service)
  return read
    .by(services, 'claims', claim)
    .every(([rival, other]) => rival === key || !hasNodePorts(other, options) || own < precedence('node-port', other))
}

const hasNodePorts = (service: Service, options: ServiceOptions): boolean =>
  isServed(service, options) && service.type !== 'ClusterIP'

const rangesOf = (wanted: readonly string[]): readonly string[] =>
  wanted.flatMap((word) => (word === 'all' ? ALL : word === 'localhost' ? LOOPBACK_RANGES : word === 'primary' ? [] : [word])) // prettier-ignore

const mayBeOfHost = (range: string): boolean => !LOOPBACK_RANGES.some((loopback) => contains(loopback, range))

/** What is special only when its kind is named: link-local addresses are not this host's alone. Loopback ones are never a kernel's to serve. */
function isChosen(ip: string, ranges: readonly string[]): boolean {
  const isSpecial = specialKind(ip) !== null
  const able = isSpecial ? ranges.filter((range) => LINK_LOCAL.some((all) => contains(all, range))) : ranges
  return able.some((range) => contains(range, ip))
}

const rowKey = (service: Key, ip: string, port: number, protocol: string): Key =>
  `Service ${service} ${place(ip, port)}/${protocol}`

const place = (ip: string, port: number): string => (ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`)

const LOOPBACKS: readonly Loopback[] = ['127.0.0.1', '::1']
const LOOPBACK_RANGES: readonly string[] = ['127.0.0.0/8', '::1/128']
const LINK_LOCAL: readonly string[] = ['169.254.0.0/16', 'fe80::/10']
const ALL: readonly string[] = ['0.0.0.0/0', '::/0']
