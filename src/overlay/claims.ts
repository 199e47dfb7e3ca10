/** Who has what when several want it: pod ranges that overlap, an address or a link address that two nodes say is theirs. */
import { overlap, spanOf, type Span } from '../cluster/address.ts'
import type { Key } from '../core/delta.ts'
import { ADDRESSES_FIELD, NETWORKS_FIELD, type Site } from './site.ts'

/** Something a site wanted and does not get. */
export interface Loss {
  /** A pod range, or the underlay address of an end. */
  readonly what: string
  readonly field: string
  readonly problem: string
  readonly remedy: string
}

/** A range that is nobody's pods'. */
export interface Reserved {
  readonly cidr: string
  /** For people: `the service range 10.96.0.0/12`. */
  readonly what: string
}

/** By key of the site, of those that lost something. Older sites come first, then by key: the same whatever the order. */
export function lossesOf(
  sites: readonly (readonly [Key, Site])[],
  reserved: readonly Reserved[],
): ReadonlyMap<Key, readonly Loss[]> {
  const losses = new Map<Key, Loss[]>()
  const lose = (key: Key, loss: Loss): void => void (losses.get(key)?.push(loss) ?? losses.set(key, [loss]))
  const sorted = sites.toSorted(([a, x], [b, y]) => x.created - y.created || (a < b ? -1 : 1))
  const taken = contestEnds(sorted, lose)
  const addresses = [...taken].map(([ip, key]) => ({ cidr: ip, what: `the underlay address ${ip} of ${key}` }))
  contestNetworks(sorted, [...reserved, ...addresses], lose)
  return losses
}

type Lose = (key: Key, loss: Loss) => void

/** Returns the underlay addresses, and for people whose they are. */
function contestEnds(sorted: readonly (readonly [Key, Site])[], lose: Lose): ReadonlyMap<string, string> {
  const addresses = new Map<string, string>()
  const macs = new Map<string, string>()
  for (const [key, { object, ends }] of sorted) {
    for (const { address, mac, family } of ends) {
      const owner = addresses.get(address)
      const holder = macs.get(`${family} ${mac}`)
      if (owner !== undefined) {
        const problem = `has ${address}, which is the older ${owner}'s: its pods are not reached there`
        const remedy = 'give each node an address of its own; a Node that no machine is behind any more: delete it'
        lose(key, { what: address, field: ADDRESSES_FIELD, problem, remedy })
      } else if (holder !== undefined) {
        const field = 'metadata.annotations[flannel.alpha.coreos.com/backend-data]'
        const problem = `has VtepMAC ${mac}, which is the older ${holder}'s: its pods are not reached at ${address}`
        const remedy = 'a copied machine: delete its VXLAN device and this annotation, and restart its agent'
        lose(key, { what: address, field, problem, remedy })
      } else {
        addresses.set(address, object)
        macs.set(`${family} ${mac}`, object)
      }
    }
  }
  return addresses
}

interface Want extends Span {
  readonly cidr: string
  /** Place among the sites, oldest first; -1: reserved. */
  readonly rank: number
  readonly what: string
}

function contestNetworks(sorted: readonly (readonly [Key, Site])[], reserved: readonly Reserved[], lose: Lose): void {
  const wants: Want[] = reserved.map(({ cidr, what }) => ({ cidr, rank: -1, what, ...spanOf(cidr) }))
  sorted.forEach(([, { object, networks }], rank) => {
    for (const { cidr, span } of networks) wants.push({ cidr, rank, what: `${cidr} of the older ${object}`, ...span })
  })
  wants.sort((a, b) =>
    a.first < b.first ? -1 : a.first > b.first ? 1 : a.last > b.last ? -1 : a.last < b.last ? 1 : 0,
  )
  for (const group of groups(wants)) {
    if (group.length === 1) continue
    const kept: Want[] = group.filter(({ rank }) => rank === -1)
    for (const want of group.filter(({ rank }) => rank !== -1).sort((a, b) => a.rank - b.rank)) {
      const rival = kept.find((other) => overlap(other, want))
      if (rival === undefined) kept.push(want)
      else {
        const problem = `has ${want.cidr}, which overlaps ${rival.what}: pods there are not reached`
        const remedy =
          'delete the Node and let it join again with a range of its own, or correct the ranges of the cluster'
        lose(sorted[want.rank]![0], { what: want.cidr, field: NETWORKS_FIELD, problem, remedy })
      }
    }
  }
}

/** Ranges nest or are disjoint: what overlaps at all overlaps the widest of its group, which comes first. */
function* groups(sorted: readonly Want[]): Iterable<readonly Want[]> {
  let group: Want[] = []
  for (const want of sorted) {
    if (group.length > 0 && want.first > group[0]!.last) {
      yield group
      group = []
    }
    group.push(want)
  }
  if (group.length > 0) yield group
}
