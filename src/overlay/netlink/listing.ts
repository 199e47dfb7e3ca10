/** What the kernel holds, as rows: what is on our devices, and routes with our number elsewhere. */
import { parseAddress } from '../../cluster/address.ts'
import type { Key } from '../../core/delta.ts'
import { list, PROTOCOL, type Listed } from '../../kernel/ip.ts'
import { keyOf, type Route } from '../rows.ts'
import type { Entry } from './commands.ts'

export interface Listing {
  /** Interfaces that have a name of ours, whatever they are. */
  readonly links: ReadonlyMap<string, Link>
  /** What is on devices that are ours, and our routes elsewhere. */
  readonly rows: ReadonlyMap<Key, Entry>
  /** Keys of routes that somebody else made: on our devices, but without our number. */
  readonly unnumbered: ReadonlySet<Key>
}

export interface Link {
  readonly index: number
  readonly name: string
  readonly kind: string
  readonly vni: number
  readonly port: number
  readonly local: string
  readonly parent: string
  readonly mtu: number
  readonly mac: string
  readonly isUp: boolean
  readonly learning: boolean
  /** A note by which we know what we made, or took over. */
  readonly alias: string
}

/** `names`: devices of ours that are, or shall be. */
export async function listOverlay(names: Iterable<string>, signal?: AbortSignal): Promise<Listing> {
  const [interfaces, neighbours, entries, ...routes] = await Promise.all([
    listInterfaces(signal),
    list('ip', ['neighbour', 'show', 'nud', 'permanent'], signal),
    list('bridge', ['fdb', 'show'], signal),
    list('ip', ['-N', '-4', 'route', 'show'], signal),
    list('ip', ['-N', '-6', 'route', 'show'], signal),
  ])
  const all = linksOf(interfaces, names)
  const devices = new Set(all.filter(({ kind }) => kind === 'vxlan').map(({ name }) => name))
  const found = readRoutes(routes.flat(), devices)
  const rows = [
    ...interfaces.flatMap((each) => (devices.has(String(each['ifname'])) ? readAddresses(each) : [])),
    ...neighbours.filter(({ dev }) => devices.has(String(dev))).flatMap(readNeighbour),
    ...entries.filter(({ ifname }) => devices.has(String(ifname))).flatMap(readForwarding),
    ...found.map(({ row }) => row),
  ]
  return {
    links: new Map(all.map((link) => [link.name, link])),
    rows: new Map(rows.map((row) => [keyOf(row), row])),
    unnumbered: new Set(found.filter(({ isNumbered }) => !isNumbered).map(({ row }) => keyOf(row))),
  }
}

/** Interfaces that have one of these names, and devices that are ours. */
export async function listLinks(names: Iterable<string>, signal?: AbortSignal): Promise<readonly Link[]> {
  return linksOf(await listInterfaces(signal), names)
}

const listInterfaces = (signal?: AbortSignal): Promise<readonly Listed[]> =>
  list('ip', ['-details', 'address', 'show'], signal)

function linksOf(interfaces: readonly Listed[], names: Iterable<string>): readonly Link[] {
  const wanted = new Set(names)
  return interfaces.map(readLink).filter((link) => wanted.has(link.name) || isMarked(link))
}

/** VXLAN devices there are, with their link addresses. */
export async function listDevices(signal?: AbortSignal): Promise<readonly Link[]> {
  return (await list('ip', ['-details', 'link', 'show', 'type', 'vxlan'], signal)).map(readLink)
}

export const isMarked = ({ kind, alias }: Link): boolean => kind === 'vxlan' && alias === MARK

function readAddresses({ ifname, addr_info: all = [] }: Listed & { readonly addr_info?: readonly Listed[] }): Entry[] {
  return all
    .filter(({ scope, prefixlen, family }) => scope === 'global' && prefixlen === (family === 'inet' ? 32 : 128))
    .map(({ local }) => ({ kind: 'address', device: String(ifname), ip: canonical(local) }))
}

/** Multicast groups are the kernel's own entries. */
function readNeighbour({ dev, dst, lladdr }: Listed): Entry[] {
  if (GROUP.test(String(dst))) return []
  return [{ kind: 'neighbour', device: String(dev), ip: canonical(dst), mac: String(lladdr) }]
}

function readForwarding({ ifname, mac, dst }: Listed): Entry[] {
  return dst === undefined ? [] : [{ kind: 'fdb', device: String(ifname), mac: String(mac), to: canonical(dst) }]
}

/** Routes on our devices, whoever made them, and ours on others. The kernel's own (link-local, multicast) are nobody's. */
function readRoutes(
  listed: readonly Listed[],
  devices: ReadonlySet<string>,
): readonly { readonly row: Route; readonly isNumbered: boolean }[] {
  return listed
    .filter(({ dev, protocol }) => protocol === PROTOCOL || (protocol !== KERNEL && devices.has(String(dev))))
    .map(({ dst, gateway, dev, flags, protocol }) => ({
      row: {
        ...{ kind: 'route', to: canonicalRange(dst), via: gateway === undefined ? '' : canonical(gateway) },
        ...{ device: String(dev), onlink: (flags as readonly string[]).includes('onlink') },
      },
      isNumbered: protocol === PROTOCOL,
    }))
}

function readLink(raw: Listed): Link {
  const { info_kind: kind, info_data: data } = (raw['linkinfo'] ?? {}) as { info_kind?: string; info_data?: Listed }
  return {
    index: Number(raw['ifindex']),
    name: String(raw['ifname']),
    kind: kind ?? String(raw['link_type']),
    vni: Number(data?.['id'] ?? 0),
    port: Number(data?.['port'] ?? 0),
    local: canonical(data?.['local'] ?? data?.['local6'] ?? ''),
    parent: String(data?.['link'] ?? ''),
    mtu: Number(raw['mtu']),
    mac: String(raw['address'] ?? ''),
    isUp: (raw['flags'] as readonly string[]).includes('UP'),
    learning: data?.['learning'] === true,
    alias: String(raw['ifalias'] ?? ''),
  }
}

const canonical = (text: unknown): string => parseAddress(text) ?? String(text)

/** iproute2 leaves the length away where it is one address. */
function canonicalRange(text: unknown): string {
  const [address = '', bits] = String(text).split('/')
  const ip = canonical(address)
  return `${ip}/${bits ?? (ip.includes(':') ? 128 : 32)}`
}

export const MARK = 'fairlead'
/** Addresses of multicast groups. */
export const GROUP = /^(ff|22[4-9]\.|23\d\.)/
/** RTPROT_KERNEL (linux/rtnetlink.h). */
const KERNEL = '2'
