/** What the kernel holds, as rows: what is on our devices, and routes with our number elsewhere. */
import { parseAddress } from '../../cluster/address.ts'
import type { Key } from '../../core/delta.ts'
import { list, type Listed } from '../../kernel/ip.ts'
import { keyOf, type Route } from '../rows.ts'
import { PROTOCOL, type Entry } from './commands.ts'

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
  const wanted = new Set(names)
  const all = (await list('ip', ['-details', 'link', 'show'], signal)).map(readLink)
  const links = new Map(all.filter((link) => wanted.has(link.name) || isMarked(link)).map((link) => [link.name, link]))
  const devices = [...links.values()].filter(({ kind }) => kind === 'vxlan').map(({ name }) => name)
  const [routes, ...parts] = await Promise.all([
    listRoutes(devices, signal),
    ...devices.map((name) => onDevice(name, signal)),
  ])
  const rows = [...parts.flat(), ...routes.map(({ row }) => row)]
  const unnumbered = routes.filter(({ isNumbered }) => !isNumbered).map(({ row }) => keyOf(row))
  return { links, rows: new Map(rows.map((row) => [keyOf(row), row])), unnumbered: new Set(unnumbered) }
}

/** VXLAN devices there are, with their link addresses. */
export async function listDevices(signal?: AbortSignal): Promise<readonly Link[]> {
  return (await list('ip', ['-details', 'link', 'show', 'type', 'vxlan'], signal)).map(readLink)
}

export const isMarked = ({ kind, alias }: Link): boolean => kind === 'vxlan' && alias === MARK

async function onDevice(device: string, signal?: AbortSignal): Promise<readonly Entry[]> {
  const [addresses, neighbours, entries] = await Promise.all([
    list('ip', ['address', 'show', 'dev', device], signal),
    list('ip', ['neighbour', 'show', 'dev', device, 'nud', 'permanent'], signal),
    list('bridge', ['fdb', 'show', 'dev', device], signal),
  ])
  return [
    ...(addresses as readonly { addr_info?: readonly Listed[] }[]).flatMap(({ addr_info: all = [] }) =>
      all
        .filter(({ scope, prefixlen, family }) => scope === 'global' && prefixlen === (family === 'inet' ? 32 : 128))
        .map(({ local }): Entry => ({ kind: 'address', device, ip: canonical(local) })),
    ),
    // Multicast groups are the kernel's own entries.
    ...neighbours
      .filter(({ dst }) => !/^(ff|22[4-9]\.|23\d\.)/.test(String(dst)))
      .map(({ dst, lladdr }): Entry => ({ kind: 'neighbour', device, ip: canonical(dst), mac: String(lladdr) })),
    ...entries
      .filter(({ dst }) => dst !== undefined)
      .map(({ mac, dst }): Entry => ({ kind: 'fdb', device, mac: String(mac), to: canonical(dst) })),
  ]
}

/** Routes on our devices, whoever made them, and ours on others. The kernel's own (link-local, multicast) are nobody's. */
async function listRoutes(
  devices: readonly string[],
  signal?: AbortSignal,
): Promise<readonly { readonly row: Route; readonly isNumbered: boolean }[]> {
  const lists = [4, 6].map((family) => list('ip', ['-N', `-${family}`, 'route', 'show'], signal))
  return (await Promise.all(lists))
    .flat()
    .filter(({ dev, protocol }) => protocol === PROTOCOL || (protocol !== KERNEL && devices.includes(String(dev))))
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
/** RTPROT_KERNEL (linux/rtnetlink.h). */
const KERNEL = '2'
