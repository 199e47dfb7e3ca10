import type { Delta, Key } from '../../core/delta.ts'
import { deviceKey, routeKey, type OverlayRow } from '../rows.ts'
import { GROUP, type Link } from './listing.ts'

/** What `fairlead-carrier monitor --link --address --route --neighbour` says. */
export type KernelEvent =
  | {
      readonly event: 'link'
      readonly op: Op
      readonly index: number
      readonly name: string
      readonly up: boolean
      readonly mtu: number
      readonly address?: string
    }
  | {
      readonly event: 'address'
      readonly op: Op
      readonly index: number
      readonly address: string
      readonly prefixLength: number
    }
  | {
      readonly event: 'route'
      readonly op: Op
      readonly destination: string
      readonly prefixLength: number
      readonly gateway?: string
      readonly index?: number
      readonly table: number
    }
  | {
      readonly event: 'neighbour'
      readonly op: Op
      readonly family: 'ipv4' | 'ipv6' | 'bridge'
      readonly index: number
      readonly address?: string
      readonly linkAddress?: string
      readonly state: number
    }
  | { readonly event: 'ready' }
  | { readonly event: 'overrun' }

type Op = 'new' | 'delete'

/** Tells events that say what the rows say from those that do not. What we do ourselves is the former. */
export class Awaited {
  readonly #rows: ReadonlyMap<Key, OverlayRow>
  /** Of our devices, by index. */
  readonly #names = new Map<number, string>()
  /** Interfaces that rows of ours lead out of; some of them may not any more. */
  readonly #carriers = new Set<string>()

  /** `rows`: as they shall be, at any time. */
  constructor(rows: ReadonlyMap<Key, OverlayRow>) {
    this.#rows = rows
  }

  expect({ put }: Pick<Delta<OverlayRow>, 'put'>): void {
    for (const row of put.values()) {
      if (row.kind === 'device') this.#carriers.add(row.parent)
      else if (row.kind === 'route' && !row.onlink) this.#carriers.add(row.device)
    }
  }

  know(links: Iterable<Link>): void {
    this.#names.clear()
    for (const { index, name } of links) this.#names.set(index, name)
  }

  /** May say yes too often, as when what was deleted is back already. */
  concerns(event: KernelEvent): boolean {
    switch (event.event) {
      case 'ready':
      case 'overrun':
        return true
      case 'link':
        return this.#link(event)
      case 'address': {
        const device = this.#names.get(event.index)
        return device !== undefined && event.op === 'delete' && this.#rows.has(`address ${device} ${event.address}`)
      }
      case 'route':
        return this.#route(event)
      case 'neighbour':
        return this.#neighbour(event)
      default:
        return event satisfies never
    }
  }

  #link({ op, index, name, up, mtu, address }: KernelEvent & { event: 'link' }): boolean {
    const row = this.#rows.get(deviceKey(name))
    if (row?.kind !== 'device') {
      // An interface of ours that got another name; one that carries us, without which the kernel lets routes go.
      return this.#names.has(index) || this.#carriers.has(name)
    }
    if (op === 'new') this.#names.set(index, name)
    return op === 'delete' || !up || mtu !== row.mtu || address !== row.mac || this.#names.get(index) !== name
  }

  #route({ op, destination, prefixLength, gateway, index, table }: KernelEvent & { event: 'route' }): boolean {
    if (table !== MAIN) return false
    const row = this.#rows.get(routeKey(`${destination}/${prefixLength}`))
    if (row?.kind !== 'route') {
      // The kernel's own come without a gateway.
      return op === 'new' && gateway !== undefined && index !== undefined && this.#names.has(index)
    }
    if (op === 'new') return gateway !== row.via
    const device = index === undefined ? undefined : this.#names.get(index)
    return device === undefined || device === row.device
  }

  #neighbour({ op, family, index, address, linkAddress, state }: KernelEvent & { event: 'neighbour' }): boolean {
    const device = this.#names.get(index)
    if (device === undefined) return false
    const isBridge = family === 'bridge'
    const row = this.#rows.get(isBridge ? `fdb ${device} ${linkAddress}` : `neighbour ${device} ${address}`)
    if (row === undefined) return op === 'new' && (isBridge || (state & PERMANENT) !== 0) && !GROUP.test(address ?? '')
    if (op === 'delete') return true
    if (row.kind === 'fdb') return address !== row.to
    return row.kind === 'neighbour' && (linkAddress !== row.mac || (state & PERMANENT) === 0)
  }
}

/** RT_TABLE_MAIN, NUD_PERMANENT (linux/rtnetlink.h, linux/neighbour.h). */
const MAIN = 254
const PERMANENT = 0x80
