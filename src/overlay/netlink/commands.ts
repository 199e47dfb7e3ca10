/** Rows as words for `ip` and `bridge`. What is put replaces what is there. */
import { familyOf } from '../../cluster/address.ts'
import type { Family } from '../../cluster/protocol.ts'
import { PROTOCOL, type IpTool } from '../../kernel/ip.ts'
import type { Device, OverlayRow } from '../rows.ts'
import type { Link } from './listing.ts'

export type Entry = Exclude<OverlayRow, Device>

/** Which tool takes it, and when: as flannel, a route comes last and goes first, so that no packet is routed to nowhere. */
export const TOOLS: Readonly<Record<Entry['kind'], IpTool>> = {
  address: 'ip',
  neighbour: 'ip',
  fdb: 'bridge',
  route: 'ip',
}
export const PUT_ORDER: readonly Entry['kind'][] = ['address', 'neighbour', 'fdb', 'route']

export function putCommand(row: Entry): string {
  switch (row.kind) {
    case 'address':
      return `address replace ${range(row.ip)} dev ${row.device}${row.ip.includes(':') ? ' nodad' : ''}`
    case 'neighbour':
      return `neighbour replace ${row.ip} lladdr ${row.mac} dev ${row.device} nud permanent`
    case 'fdb':
      return `fdb replace ${row.mac} dev ${row.device} dst ${row.to} self permanent`
    case 'route':
      return `route replace ${row.to} via ${row.via} dev ${row.device}${row.onlink ? ' onlink' : ''} proto ${PROTOCOL}`
    default:
      return row satisfies never
  }
}

export function dropCommand(row: Entry): string {
  switch (row.kind) {
    case 'address':
      return `address delete ${range(row.ip)} dev ${row.device}`
    case 'neighbour':
      return `neighbour delete ${row.ip} dev ${row.device}`
    case 'fdb':
      return `fdb delete ${row.mac} dev ${row.device} self`
    case 'route':
      return `route delete ${row.to} dev ${row.device}`
    default:
      return row satisfies never
  }
}

/** Makes the device what the row says, from what is there (undefined: nothing). [] when it is that already. */
export function deviceCommands(row: Device, link: Link | undefined, mark: string): readonly string[] {
  const { name, vni, port, local, parent, mtu, mac } = row
  const up = [`link set dev ${name} up`]
  const isRemade = link !== undefined && (link.vni !== vni || link.port !== port || !sameFamily(link.local, local))
  if (link === undefined || isRemade) {
    const type = `type vxlan id ${vni} local ${local} dev ${parent} dstport ${port} nolearning${UNCHECKED[row.family]}`
    const add = [`link add ${name} mtu ${mtu} address ${mac} ${type}`, `link set dev ${name} alias ${mark}`, ...up]
    return isRemade ? [`link delete dev ${name}`, ...add] : add
  }
  const commands: string[] = []
  if (link.local !== local || link.parent !== parent)
    commands.push(`link set dev ${name} type vxlan local ${local} dev ${parent}`)
  if (link.learning) commands.push(`link set dev ${name} type vxlan nolearning`)
  if (link.mtu !== mtu) commands.push(`link set dev ${name} mtu ${mtu}`)
  if (link.mac !== mac) commands.push(`link set dev ${name} address ${mac}`)
  if (link.alias !== mark) commands.push(`link set dev ${name} alias ${mark}`)
  return link.isUp ? commands : [...commands, ...up]
}

/**
 * No UDP checksum over IPv4, as RFC 7348 wants it and flannel has it. Whoever translates a packet on its way out (masquerade
 * --random-fully) would make it a wrong one, on Linux 6.18 too: inet_proto_csum_replace4() takes what the interface is to
 * compute, which is the inner one, for this one. Over IPv6 there must be one (RFC 6935 has peers agree otherwise).
 */
const UNCHECKED: Readonly<Record<Family, string>> = { 4: ' noudpcsum', 6: '' }

const range = (ip: string): string => `${ip}/${familyOf(ip) === 4 ? 32 : 128}`
const sameFamily = (a: string, b: string): boolean => a !== '' && familyOf(a) === familyOf(b)
