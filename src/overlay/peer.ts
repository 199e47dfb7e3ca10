/** What the kernel must hold to reach one other site. */
import type { Family } from '../cluster/protocol.ts'
import type { Loss } from './claims.ts'
import { isOnLink, type Here } from './here.ts'
import type { OverlayOptions } from './options.ts'
import type { OverlayRow } from './rows.ts'
import type { Site, TunnelEnd } from './site.ts'

export interface Peer {
  readonly rows: readonly OverlayRow[]
  /** Families of pods there that no pair of ends carries. */
  readonly unreached: readonly Family[]
}

export function peerOf(site: Site, losses: readonly Loss[], here: readonly Here[], options: OverlayOptions): Peer {
  const lost = new Set(losses.map(({ what }) => what))
  const ends = site.ends.filter(({ address }) => !lost.has(address))
  const rows = new Map<string, OverlayRow>()
  const unreached = new Set<Family>()
  for (const { cidr, family, vtep } of site.networks) {
    if (lost.has(cidr)) continue
    const pair = pairOf(here, ends, family)
    if (pair === null) {
      if (ends.length > 0 && here.length > 0) unreached.add(family)
      continue
    }
    const [own, { address, mac }] = pair
    const isDirect = options.directRouting && own.family === family && isOnLink(own, address)
    const via = isDirect
      ? ({ via: address, device: own.interface, onlink: false } as const)
      : ({ via: vtep, device: own.device, onlink: true } as const)
    rows.set(`route ${cidr}`, { kind: 'route', to: cidr, ...via })
    if (isDirect) continue
    rows.set(`neighbour ${vtep}`, { kind: 'neighbour', device: own.device, ip: vtep, mac })
    rows.set(`fdb ${own.device} ${mac}`, { kind: 'fdb', device: own.device, mac, to: address })
  }
  return { rows: [...rows.values()], unreached: [...unreached] }
}

/** The end that carries the family here, if the other side has one like it; else any pair of one family. */
function pairOf(here: readonly Here[], ends: readonly TunnelEnd[], family: Family): readonly [Here, TunnelEnd] | null {
  const preferred = here.toSorted((a, b) => Number(b.carries.includes(family)) - Number(a.carries.includes(family)))
  for (const own of preferred) {
    const end = ends.find((each) => each.family === own.family)
    if (end) return [own, end]
  }
  return null
}
