/**
 * A target that carries no packet: it holds the rows and says what a kernel programmed from them does with one. The
 * oracle of every other target.
 */
import { contains, familyOf } from '../cluster/address.ts'
import type { Protocol } from '../cluster/protocol.ts'
import type { Delta, Drift, Key, Refused, Target } from '../core/delta.ts'
import { localPool } from './hash.ts'
import { addressKey, frontendKey, hairpinKey, slotKey } from './rows.ts'
import type { Frontend, Range, ServiceRow, Slot, Source } from './rows.ts'
import { MAX_EXACT, SPARSE_FALLBACK } from './slots.ts'

/** The first packet of a connection, as it comes to this node or leaves it. Addresses canonical. */
export interface Packet {
  readonly src: string
  readonly dst: string
  readonly protocol: Protocol
  readonly port: number
  /** Who sends it. Default: `local-pod` when a range of pods holds `src`, `node` when `src` is an address of this node. */
  readonly from?: Origin
}

export type Origin = 'local-pod' | 'node' | 'remote'

export type Route =
  | {
      readonly kind: 'dnat'
      /** Where it may go: `address:port`, `[address]:port`, sorted. One, when affinity decides. */
      readonly to: readonly string[]
      /** Does it leave with an address of this node as its source, wherever it goes? */
      readonly masquerade: boolean
      /** The one of `to` that is the sender itself: that way it is masqueraded in any case. null: none, or `masquerade`. */
      readonly hairpin: string | null
    }
  | { readonly kind: 'reject' }
  | { readonly kind: 'drop' }
  | { readonly kind: 'pass' }

export class Fake implements Target<ServiceRow> {
  readonly name = 'fake'
  /** Seconds; moves only when told to. Affinity is measured by it. */
  now = 0
  readonly #nodeAddresses: ReadonlySet<string>
  readonly #rows = new Map<Key, ServiceRow>()
  readonly #ranges = new Map<Key, Range>()
  readonly #sources = new Map<Key, Source>()
  /** By client and pool: id of the endpoint, and when it was last used. */
  readonly #affinity = new Map<string, { readonly id: number; readonly since: number }>()

  /** `nodeAddresses`: addresses of this node, canonical. Rows do not tell. */
  constructor(nodeAddresses: readonly string[] = []) {
    this.#nodeAddresses = new Set(nodeAddresses)
  }

  get rows(): ReadonlyMap<Key, ServiceRow> {
    return this.#rows
  }

  async apply(delta: Delta<ServiceRow>): Promise<readonly Refused[]> {
    const maps = [this.#rows, this.#ranges, this.#sources]
    if (delta.from === 0) for (const map of maps) map.clear()
    for (const key of delta.drop) for (const map of maps) map.delete(key)
    for (const [key, row] of delta.put) {
      this.#rows.set(key, row)
      if (row.kind === 'range') this.#ranges.set(key, row)
      if (row.kind === 'source') this.#sources.set(key, row)
    }
    return []
  }

  async audit(): Promise<Drift> {
    return { clean: true }
  }

  async cleanup(): Promise<void> {
    for (const map of [this.#rows, this.#ranges, this.#sources, this.#affinity]) map.clear()
  }

  /** What becomes of the first packet of a new connection. Changes nothing. */
  route(packet: Packet): Route {
    const frontend = this.#rows.get(frontendKey({ ...packet, ip: packet.dst }))
    if (frontend?.kind === 'frontend') return this.#decide(frontend, packet)
    if (this.#rows.has(addressKey(packet.dst))) return { kind: 'reject' }
    return this.#isIn('services', packet.dst) ? { kind: 'drop' } : { kind: 'pass' }
  }

  /** The same, and the connection is made: to `to[choice]` (modulo their number). Affinity remembers it. */
  connect(packet: Packet, choice = 0): Route {
    const route = this.route(packet)
    if (route.kind !== 'dnat') return route
    const to = route.to[choice % route.to.length]!
    const frontend = this.#rows.get(frontendKey({ ...packet, ip: packet.dst })) as Frontend
    const { set } = this.#policy(frontend, this.#origin(packet))
    const slot = this.#slots(frontend, set).find((each) => show(each) === to)!
    if (frontend.affinity > 0) {
      this.#affinity.set(affinityKey(packet.src, frontend, set), { id: slot.id, since: this.now })
    }
    return { ...route, to: [to], hairpin: route.hairpin === to ? to : null }
  }

  #decide(frontend: Frontend, packet: Packet): Route {
    if (frontend.filtered && !this.#isSource(frontend, packet.src)) return { kind: 'drop' }
    const { set, masquerade } = this.#policy(frontend, this.#origin(packet))
    const slots = this.#slots(frontend, set)
    if (slots.length === 0) return { kind: set === 'main' ? frontend.mainEmpty : frontend.localEmpty }
    const remembered = this.#affinity.get(affinityKey(packet.src, frontend, set))
    const isFresh = remembered !== undefined && this.now - remembered.since < frontend.affinity
    // An id that no slot has any more is a miss: the client is given another endpoint.
    const held = isFresh ? slots.filter(({ id }) => id === remembered.id) : []
    const possible = held.length > 0 ? held : slots
    const to = [...new Set(possible.map(show))].sort()
    const itself = possible.find(({ ip }) => ip === packet.src && this.#rows.has(hairpinKey(ip)))
    return { kind: 'dnat', to, masquerade, hairpin: masquerade || itself === undefined ? null : show(itself) }
  }

  #policy(frontend: Frontend, origin: Origin): { set: 'main' | 'local'; masquerade: boolean } {
    if (frontend.scope === 'cluster') {
      const family = familyOf(frontend.ip)
      // Without knowing which addresses are pods it is better to masquerade none: pods of this node talk to pods.
      const knowsPods = this.#rangesOf('pods').some((cidr) => familyOf(cidr) === family)
      return { set: 'main', masquerade: knowsPods && origin !== 'local-pod' }
    }
    if (frontend.local === null) return { set: 'main', masquerade: true }
    if (origin === 'local-pod') return { set: 'main', masquerade: false }
    return origin === 'node' ? { set: 'main', masquerade: true } : { set: 'local', masquerade: false }
  }

  /** Slots that the kernel can draw: a row in a place beyond the frontend's number of slots is never used. */
  #slots(frontend: Frontend, set: 'main' | 'local'): readonly Slot[] {
    const places = set === 'main' ? frontend.slots : (frontend.local ?? 0)
    const slots: Slot[] = []
    for (let place = 0; place < places; place++) {
      const row = this.#rows.get(slotKey(frontend, set, place))
      if (row?.kind === 'slot') slots.push(row)
      else if (places <= MAX_EXACT) throw new Error(`no row ${slotKey(frontend, set, place)}`)
    }
    if (places <= MAX_EXACT) return slots
    const fallback = this.#rows.get(slotKey(frontend, set, SPARSE_FALLBACK))
    if (fallback?.kind !== 'slot') throw new Error(`no row ${slotKey(frontend, set, SPARSE_FALLBACK)}`)
    return [...slots, fallback]
  }

  #origin({ src, from }: Packet): Origin {
    if (from !== undefined) return from
    if (this.#isIn('pods', src)) return 'local-pod'
    return this.#nodeAddresses.has(src) ? 'node' : 'remote'
  }

  #isSource({ ip, protocol, port }: Frontend, src: string): boolean {
    for (const { at, cidr } of this.#sources.values()) {
      if (at.ip === ip && at.protocol === protocol && at.port === port && contains(cidr, src)) return true
    }
    return false
  }

  #isIn(set: Range['set'], ip: string): boolean {
    return this.#rangesOf(set).some((cidr) => contains(cidr, ip))
  }

  #rangesOf(set: Range['set']): readonly string[] {
    return [...this.#ranges.values()].flatMap((range) => (range.set === set ? [range.cidr] : []))
  }
}

const affinityKey = (client: string, { pool }: Frontend, set: 'main' | 'local'): string =>
  `${client} ${set === 'main' ? pool : localPool(pool)}`

const show = ({ ip, port }: Slot): string => (ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`)
