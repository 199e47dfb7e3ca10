import type { InputTable } from '../core/table.ts'
import { list } from './ip.ts'

/** An address of an interface of this host, and what that interface is like. Key: the address. */
export interface InterfaceAddress {
  readonly ip: string
  readonly interface: string
  readonly prefixLength: number
  readonly mtu: number
}

/** The part of what `fairlead-carrier monitor --link --address` says that this needs. */
export interface InterfaceEvent {
  readonly event: string
  readonly op?: 'new' | 'delete'
  readonly index?: number
  readonly address?: string
  readonly mtu?: number
}

/**
 * Keeps a table equal to the addresses of all interfaces that are up, by listing them again when an event says something
 * new. An address that several interfaces have (the gateway of each pod) counts for the first of them.
 */
export class Interfaces {
  readonly #table: InputTable<InterfaceAddress>
  readonly #signal: AbortSignal
  readonly #onProblem: (problem: string) => void
  /** As last listed. */
  #known = new Map<number, Known>()
  #isDue = false
  #isListing = false

  constructor(
    table: InputTable<InterfaceAddress>,
    { signal, onProblem }: { readonly signal: AbortSignal; readonly onProblem: (problem: string) => void },
  ) {
    this.#table = table
    this.#signal = signal
    this.#onProblem = onProblem
  }

  hear(event: InterfaceEvent): void {
    if (!this.#isNews(event)) return
    this.#isDue = true
    if (!this.#isListing) void this.#follow()
  }

  #isNews({ event, op, index, address, mtu }: InterfaceEvent): boolean {
    if (event === 'ready' || event === 'overrun') return true
    const known = index === undefined ? undefined : this.#known.get(index)
    if (event === 'link') return known !== undefined && (op === 'delete' || known.mtu !== mtu || !known.isUp)
    if (event !== 'address' || address === undefined) return false
    // What another interface has already is no news: each pod's end brings the same gateway.
    return op === 'delete' ? (known?.addresses.has(address) ?? false) : !this.#table.has(address)
  }

  async #follow(): Promise<void> {
    this.#isListing = true
    while (this.#isDue && !this.#signal.aborted) {
      this.#isDue = false
      try {
        await this.#list()
      } catch (error) {
        if (this.#signal.aborted) break
        this.#onProblem((error as Error).message)
        this.#isDue = true
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS).unref())
      }
    }
    this.#isListing = false
  }

  async #list(): Promise<void> {
    const listed = (await list('ip', ['address', 'show'], this.#signal)) as unknown as readonly ListedInterface[]
    const rows = new Map<string, InterfaceAddress>()
    const known = new Map<number, Known>()
    for (const { ifindex, ifname, mtu, flags, addr_info: all } of listed) {
      const addresses = new Set<string>()
      for (const { local: ip, prefixlen: prefixLength } of all) {
        if (ip === undefined || rows.has(ip) || rows.size >= ADDRESSES_MAX) continue
        rows.set(ip, { ip, interface: ifname, prefixLength, mtu })
        addresses.add(ip)
      }
      if (addresses.size > 0) known.set(ifindex, { mtu, isUp: flags.includes('UP'), addresses })
    }
    this.#known = known
    this.#table.replace(rows)
    this.#table.markSynced()
  }
}

interface Known {
  readonly mtu: number
  readonly isUp: boolean
  readonly addresses: ReadonlySet<string>
}

interface ListedInterface {
  readonly ifindex: number
  readonly ifname: string
  readonly mtu: number
  readonly flags: readonly string[]
  readonly addr_info: readonly { readonly local?: string; readonly prefixlen: number }[]
}

const ADDRESSES_MAX = 4096
const RETRY_MS = 500
