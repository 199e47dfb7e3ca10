/** What the kernel says of bridges, and of addresses that it answers for on them. */
import { existsSync } from 'node:fs'
import { parseAddress } from '../../cluster/address.ts'
import type { Key } from '../../core/delta.ts'
import { list, PROTOCOL, type Listed } from '../../kernel/ip.ts'
import type { Bridge, HostRoute } from '../found.ts'

/** Bridges of this host, and, where there are any, what is routed to addresses of their own. */
export async function findBridges(signal?: AbortSignal): Promise<{
  readonly bridges: ReadonlyMap<Key, Bridge>
  readonly routes: ReadonlyMap<Key, HostRoute>
  /** By index: what events call them. */
  readonly indexes: ReadonlySet<number>
}> {
  const listed = (await list('ip', ['address', 'show', 'type', 'bridge'], signal)).slice(0, BRIDGES_MAX)
  if (listed.length === 0) return { bridges: new Map(), routes: new Map(), indexes: new Set() }
  const [ports, all] = await Promise.all([
    list('bridge', ['link', 'show'], signal),
    list('ip', ['-N', '-6', 'route', 'show'], signal),
  ])
  const used = new Set(ports.map(({ master }) => master))
  const isFiltered = hasFilter()
  const bridges = listed.map(({ ifname, addr_info: addresses }): [Key, Bridge] => {
    const name = String(ifname)
    const own = (addresses as readonly Listed[]).map(({ local, prefixlen }) => `${parseAddress(local)}/${prefixlen}`)
    return [name, { name, addresses: own, isUsed: used.has(name), isFiltered }]
  })
  const routes = all
    .filter(({ dst, gateway, protocol }) => gateway === undefined && protocol !== KERNEL && !String(dst).includes('/'))
    .flatMap(({ dst }) => parseAddress(dst) ?? [])
    .slice(0, ROUTES_MAX)
  const indexes = new Set(listed.map(({ ifindex }) => Number(ifindex)))
  return { bridges: new Map(bridges), routes: new Map(routes.map((ip) => [ip, { ip }])), indexes }
}

/** Whether br_netfilter is there: this may change at any time. */
export const hasFilter = (): boolean => existsSync(FILTER)

/** A bridge as the target sees it. */
export interface Held {
  readonly index: number
  readonly name: string
  /** ip-link(8): alias. */
  readonly alias: string
  /** Options by name; values as ip-link(8) takes them. */
  readonly options: ReadonlyMap<string, string>
}

export async function listHeld(signal?: AbortSignal): Promise<readonly Held[]> {
  const listed = await list('ip', ['-details', 'link', 'show', 'type', 'bridge'], signal)
  return listed.map(({ ifindex, ifname, ifalias, linkinfo }) => {
    const data = (linkinfo as { readonly info_data?: Listed } | undefined)?.info_data ?? {}
    const options = Object.entries(data).map(([name, value]): [string, string] => [name, String(Number(value))])
    return { index: Number(ifindex), name: String(ifname), alias: String(ifalias ?? ''), options: new Map(options) }
  })
}

/** An address that is answered for. */
export interface Proxy {
  readonly device: string
  readonly ip: string
  readonly isOurs: boolean
}

export async function listProxies(signal?: AbortSignal): Promise<readonly Proxy[]> {
  const listed = await list('ip', ['-N', '-6', 'neighbour', 'show', 'proxy'], signal)
  return listed.flatMap(({ dst, dev, protocol }) => {
    const ip = parseAddress(dst)
    return ip === null ? [] : [{ device: String(dev), ip, isOurs: String(protocol) === PROTOCOL }]
  })
}

const FILTER = '/proc/sys/net/bridge/bridge-nf-call-iptables'
const BRIDGES_MAX = 256
const ROUTES_MAX = 4096
/** RTPROT_KERNEL (linux/rtnetlink.h). */
const KERNEL = '2'
