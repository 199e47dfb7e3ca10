/** A range of addresses to allocate from, by offset. */
import ipaddr from 'ipaddr.js'
import { familyOf } from '../../cluster/address.ts'
import type { Family } from '../../cluster/protocol.ts'

export class IpRange {
  readonly cidr: string
  readonly family: Family
  /** How many addresses it has (at most 2^31 are used). */
  readonly size: number
  readonly #base: bigint

  /** `cidr`: canonical, e.g. 10.96.0.0/16. */
  constructor(cidr: string) {
    const [address, bits] = ipaddr.parseCIDR(cidr)
    this.cidr = cidr
    this.family = familyOf(cidr)
    this.size = 2 ** Math.min(31, (this.family === 4 ? 32 : 128) - bits)
    this.#base = toNumber(address)
  }

  at(offset: number): string {
    const value = this.#base + BigInt(offset)
    const bytes = Array.from({ length: this.family === 4 ? 4 : 16 }, (_, i, length = this.family === 4 ? 4 : 16) =>
      Number((value >> BigInt(8 * (length - 1 - i))) & 255n),
    )
    const address = ipaddr.fromByteArray(bytes)
    return address instanceof ipaddr.IPv6 ? address.toRFC5952String() : address.toString()
  }

  /** `address`: canonical. */
  has(address: string): boolean {
    if (familyOf(address) !== this.family) return false
    const offset = toNumber(ipaddr.parse(address)) - this.#base
    return offset >= 0n && offset < BigInt(this.size)
  }
}

function toNumber(address: ipaddr.IPv4 | ipaddr.IPv6): bigint {
  return BigInt(`0x${Buffer.from(address.toByteArray()).toString('hex')}`)
}
