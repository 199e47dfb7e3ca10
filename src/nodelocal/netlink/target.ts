import { parseAddress } from '../../cluster/address.ts'
import type { Delta, Drift, Refused, Target } from '../../core/delta.ts'
import { HeldRows } from '../../core/held.ts'
import { list, runBatch, type Listed } from '../../kernel/ip.ts'
import type { LocalAddress } from '../rows.ts'

/**
 * The addresses of the DNS server on this node, on a device of the name that NodeLocal DNSCache gives it; one that is
 * there is taken over. What it has besides goes.
 */
export class DeviceTarget implements Target<LocalAddress> {
  readonly name = 'node-local addresses'
  readonly #rows = new HeldRows<LocalAddress>()
  /** What the kernel would not take is no drift. */
  #refused = new Set<string>()

  async apply(delta: Delta<LocalAddress>, signal: AbortSignal): Promise<readonly Refused[]> {
    const before = new Set(this.#rows.keys())
    this.#rows.take(delta)
    const isSame = before.size === this.#rows.size && [...before].every((ip) => this.#rows.has(ip))
    if (isSame && delta.from !== 0) return []
    if (this.#rows.size === 0) await this.cleanup(signal)
    const refused = this.#rows.size === 0 ? [] : await this.#make(signal)
    this.#refused = new Set(refused.map(({ key }) => key))
    return refused
  }

  async audit(signal: AbortSignal): Promise<Drift> {
    if (this.#rows.size === 0) return { clean: true }
    const held = await find(signal)
    if (held === null) return { clean: false, detail: `device ${DEVICE} is gone` }
    const wanted = this.#wanted().filter((ip) => !this.#refused.has(ip))
    const missing = wanted.filter((ip) => !held.addresses.has(ip))
    const stale = [...held.addresses].filter((ip) => !this.#rows.has(ip))
    if (missing.length + stale.length === 0 && held.isUp) return { clean: true }
    const detail = `device ${DEVICE} is ${held.isUp ? 'up' : 'down'}, without ${missing.join(', ') || 'none'} of ours, with ${stale.join(', ') || 'none'} besides`
    return { clean: false, detail }
  }

  async cleanup(signal?: AbortSignal): Promise<void> {
    const held = await find(signal)
    if (held?.isOurs !== true) return
    const [failure] = (await runBatch('ip', [`link delete ${DEVICE}`], signal)).values()
    if (failure !== undefined && !/Cannot find/.test(failure)) throw new Error(`ip link delete ${DEVICE}: ${failure}`)
  }

  #wanted(): readonly string[] {
    return [...this.#rows.keys()].sort()
  }

  async #make(signal: AbortSignal): Promise<readonly Refused[]> {
    const held = await find(signal)
    if (held !== null && !KINDS.includes(held.kind))
      throw new Error(`${DEVICE} is a device of another kind (${held.kind}); remove it: ip link delete ${DEVICE}`)
    if (held === null) await add(signal)
    await make([`link set dev ${DEVICE} alias ${MARK} up`], signal)
    const wanted = this.#wanted()
    const stale = [...(held?.addresses ?? [])].filter((ip) => !this.#rows.has(ip))
    const commands = [...wanted.map(replaceLine), ...stale.map((ip) => `address delete ${rangeOf(ip)} dev ${DEVICE}`)]
    const failures = await runBatch('ip', commands, signal)
    return [...failures].flatMap(([at, reason]) => {
      const ip = wanted[at]
      return ip === undefined ? [] : [{ key: ip, reason, remedy: remedyOf(ip) }]
    })
  }
}

interface Held {
  readonly kind: string
  readonly isOurs: boolean
  readonly isUp: boolean
  /** Link-local ones of IPv6, which the kernel gives, apart. */
  readonly addresses: ReadonlySet<string>
}

/** null: there is no such device. */
async function find(signal?: AbortSignal): Promise<Held | null> {
  const all = await list('ip', ['-details', 'address', 'show'], signal)
  const raw = all.find(({ ifname }) => ifname === DEVICE)
  if (raw === undefined) return null
  const addresses = (raw['addr_info'] as readonly Listed[]).flatMap(({ local }) => parseAddress(local) ?? [])
  return {
    kind: (raw['linkinfo'] as { readonly info_kind?: string } | undefined)?.info_kind ?? String(raw['link_type']),
    isOurs: raw['ifalias'] === MARK,
    isUp: (raw['flags'] as readonly string[]).includes('UP'),
    addresses: new Set(addresses.filter((ip) => !ip.startsWith('fe80:'))),
  }
}

async function add(signal: AbortSignal): Promise<void> {
  const failed = await make([`link add ${DEVICE} type dummy`], signal).catch((error: Error) => error)
  if (failed && !/Unknown device type|not supported/.test(failed.message)) throw failed
  // A bridge that joins nothing is as good, where the kernel has no dummies.
  if (failed) await make([`link add ${DEVICE} type bridge`], signal)
  // No address of its own, which others might see as one more; a kernel without IPv6 gives none.
  await runBatch('ip', [`link set dev ${DEVICE} addrgenmode none`], signal)
}

async function make(commands: readonly string[], signal: AbortSignal): Promise<void> {
  for (const [at, reason] of await runBatch('ip', commands, signal))
    if (!/File exists/.test(reason)) throw new Error(`ip ${commands[at]}: ${reason}`)
}

/** Never the source of what this host sends elsewhere: of scope host, and deprecated (RFC 6724 5, rule 3). */
const replaceLine = (ip: string): string =>
  `address replace ${rangeOf(ip)} dev ${DEVICE} ${ip.includes(':') ? 'nodad preferred_lft 0' : 'scope host'}`

const rangeOf = (ip: string): string => `${ip}/${ip.includes(':') ? 128 : 32}`

const remedyOf = (ip: string): string =>
  ip.includes(':')
    ? 'let this host have IPv6 (net.ipv6.conf.all.disable_ipv6), or leave the address out of --node-local-dns'
    : 'leave the address out of --node-local-dns'

/** As NodeLocal DNSCache calls it. */
export const DEVICE = 'nodelocaldns'
const KINDS = ['dummy', 'bridge']
/** Alias of what we made, or took over. */
const MARK = 'fairlead'
