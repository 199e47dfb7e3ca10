/**
 * Which endpoint stands in which slot. A function of the set of endpoints only, never of the order in which they came.
 *
 * Up to MAX_EXACT endpoints: exactly N slots, by rank of the endpoint's hash; the kernel's pick is uniform.
 * Above: a sparse set of M places, M a power of two >= 1.5 N. Each endpoint's home is the top bits of its hash; who finds
 * his home taken goes to the next free place, in order of hash. That makes the layout of linear probing canonical (Amble
 * and Knuth, "Ordered hash tables", 1974), so that one endpoint more or less moves only the few behind it instead of
 * everybody. Empty places have no row: the kernel draws again, and after some misses takes slot SPARSE_FALLBACK.
 */
import { hash32 } from './hash.ts'
import type { Members } from './members.ts'

/** Lists of one length: slot `slots[i]` holds the endpoint `ips[i]`, `ports[i]`, known to affinity as `ids[i]`. */
export interface Layout extends Members {
  readonly slots: readonly number[]
  /** 1..2^20-1, unique here; top bits of the hash of address and port, unless another endpoint of the set has the same. */
  readonly ids: readonly number[]
}

/** At most ENDPOINTS_MAX members are laid out: those with the smallest hashes. */
export function layOut({ ips, ports }: Members): Layout {
  if (ips.length === 0) return NOTHING
  const hashes = ips.map((ip, i) => hash32(ip, ports[i]!))
  const members = rank(hashes, ips, ports)
  const ids = identify(members, hashes)
  const isExact = members.length <= MAX_EXACT
  const slots = isExact ? members.map((_, i) => i) : scatter(members, hashes)
  if (!isExact) {
    slots.push(SPARSE_FALLBACK)
    members.push(members[0]!)
    ids.push(ids[0]!)
  }
  return { slots, ids, ips: members.map((member) => ips[member]!), ports: members.map((member) => ports[member]!) }
}

/** How many slots the kernel draws from, for this many endpoints: Frontend.slots. */
export function placesFor(count: number): number {
  if (count <= MAX_EXACT) return count
  let places = 256
  while (places < Math.min(count, ENDPOINTS_MAX) * 1.5) places *= 2
  return places
}

/** Numbers of the members by hash, then address, then port. */
function rank(hashes: readonly number[], ips: readonly string[], ports: readonly number[]): number[] {
  // One float holds hash and number (32 + 20 bits), so that the native numeric sort does the work.
  const keys = new Float64Array(hashes.length)
  for (let i = 0; i < hashes.length; i++) keys[i] = hashes[i]! * NUMBERS + i
  keys.sort()
  const order: number[] = []
  let tied = false
  for (const key of keys) {
    const member = key - Math.floor(key / NUMBERS) * NUMBERS // `%` of large floats is slow
    tied ||= order.length > 0 && hashes[member] === hashes[order.at(-1)!]
    order.push(member)
  }
  if (tied) {
    order.sort(
      (a, b) => hashes[a]! - hashes[b]! || (ips[a]! < ips[b]! ? -1 : ips[a]! > ips[b]! ? 1 : ports[a]! - ports[b]!),
    )
  }
  return order.length > ENDPOINTS_MAX ? order.slice(0, ENDPOINTS_MAX) : order
}

function identify(members: readonly number[], hashes: readonly number[]): number[] {
  const ids: number[] = []
  let last = 0
  for (const member of members) {
    last = Math.max(hashes[member]! >>> ID_SHIFT, last + 1)
    ids.push(last)
  }
  if (last <= ID_MAX) return ids
  // The last numbers did not suffice for the members that share them: the lowest free numbers are theirs.
  const taken = new Set(ids)
  let free = 1
  return ids.map((id) => {
    if (id <= ID_MAX) return id
    while (taken.has(free)) free++
    taken.add(free)
    return free
  })
}

/** The place of each member, in the order given (that of the hash). */
function scatter(members: readonly number[], hashes: readonly number[]): number[] {
  const places = placesFor(members.length)
  const end = Math.min(places, SPARSE_FALLBACK) // place 65535 is kept for the fallback
  const shift = 32 - Math.log2(places)
  const taken = new Uint8Array(places)
  let next = 0
  let firstFree = 0
  return members.map((member) => {
    // Homes ascend, so all between a taken home and `next` is taken.
    let place = Math.max(hashes[member]! >>> shift, next)
    next = place + 1
    if (place >= end) {
      // Past the end: on from the start.
      while (taken[firstFree] === 1) firstFree++
      place = firstFree
    }
    taken[place] = 1
    return place
  })
}

/** Up to here every slot is filled; above, the set is sparse. */
export const MAX_EXACT = 128
/** In a sparse set: the slot that always holds an endpoint, for when the draws found only empty places. */
export const SPARSE_FALLBACK = 65535
/** Endpoints of one ServicePort in one family that are served; the set then has 65,536 places at most. */
export const ENDPOINTS_MAX = 32_768
const ID_MAX = 2 ** 20 - 1
const ID_SHIFT = 12
const NUMBERS = 2 ** 20
const NOTHING: Layout = { slots: [], ids: [], ips: [], ports: [] }
