/** What is to be done so that the kernel holds the rows: against a listing, or against what was held before. */
import type { Delta, Key, Refused } from '../../core/delta.ts'
import { same } from '../../core/same.ts'
import { keyOf, type Device, type OverlayRow } from '../rows.ts'
import { deviceCommands, type Entry } from './commands.ts'
import { isMarked, MARK, type Link, type Listing } from './listing.ts'

export interface Differences {
  readonly devices: readonly { readonly row: Device; readonly commands: readonly string[] }[]
  /** Devices that are ours and in no row. */
  readonly strays: readonly string[]
  readonly put: readonly Entry[]
  readonly drop: readonly Entry[]
  /** What is there instead of what is put. */
  readonly was: ReadonlyMap<Key, Entry>
  /** Devices that are somebody else's. What rows say of them is in no other list. */
  readonly refused: readonly Refused[]
  /** Nothing of it is there, nor anything under the names of devices. */
  readonly isBare: boolean
}

export function differences(rows: ReadonlyMap<Key, OverlayRow>, listing: Listing): Differences {
  const devices: { row: Device; commands: readonly string[] }[] = []
  const refused: Refused[] = []
  const foreign = new Set<string>()
  for (const row of rows.values()) {
    if (row.kind !== 'device') continue
    const link = listing.links.get(row.name)
    if (link === undefined || isOurs(link, row)) {
      const commands = deviceCommands(row, link, MARK)
      if (commands.length > 0) devices.push({ row, commands })
    } else {
      refused.push(notOurs(row, link))
      foreign.add(row.name)
    }
  }
  const put: Entry[] = []
  const was = new Map<Key, Entry>()
  for (const [key, row] of rows) {
    if (row.kind === 'device' || foreign.has(row.device)) continue
    const held = listing.rows.get(key)
    if (same(held, row) && !listing.unnumbered.has(key)) continue
    put.push(row)
    if (held !== undefined) was.set(key, held)
  }
  const gone = [...listing.rows].flatMap(([key, row]) => (rows.has(key) || foreign.has(row.device) ? [] : [row]))
  const strays = [...listing.links.values()].filter((link) => isMarked(link) && !rows.has(`device ${link.name}`))
  const drop = [...gone, ...moved(put, was)]
  const isBare = listing.links.size + listing.rows.size === 0
  return { devices, strays: strays.map(({ name }) => name), put, drop, was, refused, isBare }
}

/** Of a delta without devices and addresses. */
export function changes(delta: Delta<OverlayRow>): Differences {
  const put = entries(delta.put.values())
  const gone = entries([...delta.drop].flatMap((key) => delta.was.get(key) ?? []))
  const was = new Map(entries(delta.was.values()).map((row) => [keyOf(row), row]))
  return { devices: [], strays: [], put, drop: [...gone, ...moved(put, was)], was, refused: [], isBare: false }
}

const entries = (rows: Iterable<OverlayRow>): Entry[] => [...rows].filter((row) => row.kind !== 'device')

/**
 * What is wanted otherwise is replaced, in place. But no IPv6 route is taken whose gateway is found behind another device
 * (ip6_route_check_nh_onlink in net/ipv6/route.c): then the old one goes first.
 */
const moved = (put: readonly Entry[], was: ReadonlyMap<Key, Entry>): Entry[] =>
  put.flatMap((row) => {
    const before = was.get(keyOf(row))
    const isMoved = row.kind === 'route' && before !== undefined && before.device !== row.device
    return isMoved && row.to.includes(':') ? [before] : []
  })

/** What a device carries goes with it, and with its last address: a change of these is a matter of all rows. */
export const isOfAll = ({ from, put, drop }: Delta<OverlayRow>): boolean =>
  from === 0 || [...put.keys(), ...drop].some((key) => /^(device|address) /.test(key))

/** Ours by our note, whatever it is set to; without it, flannel's or one made by hand, if it can be used as it is. */
const isOurs = (link: Link, { vni, port }: Device): boolean =>
  isMarked(link) || (link.kind === 'vxlan' && link.vni === vni && link.port === port)

function notOurs({ name, vni, port }: Device, link: Link): Refused {
  const what =
    link.kind === 'vxlan' ? `a VXLAN device with VNI ${link.vni}, port ${link.port}` : `a ${link.kind} device`
  return {
    key: `device ${name}`,
    reason: `${name} is there, ${what} and not one with VNI ${vni}, port ${port}: pods elsewhere are not reached`,
    remedy: `if nobody needs it: ip link delete ${name}; else choose another --overlay-device, or its VNI and port`,
  }
}
