import ipaddr from 'ipaddr.js'
import { isIPv4, isIPv6 } from 'node:net'
import type { Family } from './protocol.ts'

/**
 * IP addresses and ranges from outside, to one canonical text each (IPv6: RFC 5952), so that text equality is address
 * equality. What is legal but a trap is refused: leading zeros, `127.1`, zones, IPv4 in IPv6 clothes.
 */
export function parseAddress(value: unknown): string | null {
  if (typeof value !== 'string' || value.length > ADDRESS_MAX) return null
  // ipaddr.js alone takes `127.1`, `0x7f.1` and `010.0.0.1`; net.isIP does not. What isIPv4 takes is canonical already.
  if (isIPv4(value)) return value
  if (!isIPv6(value) || value.includes('%')) return null
  const address = ipaddr.IPv6.parse(value)
  return address.isIPv4MappedAddress() ? null : address.toRFC5952String()
}

/** Of a canonical address or CIDR. */
export const familyOf = (canonical: string): Family => (canonical.includes(':') ? 6 : 4)

/** Why a canonical address can be no endpoint, service or node: the special kind it is of; null for ordinary ones. */
export function specialKind(address: string): string | null {
  if (familyOf(address) === 4) {
    const dot = address.indexOf('.')
    const first = Number(address.slice(0, dot))
    // The common case first: 100,000 endpoints pass here at start.
    if (first > 0 && first < 224 && first !== 127 && first !== 169) return null
    if (first === 127) return 'loopback'
    if (first === 169) return address.startsWith('169.254.') ? 'link-local' : null
    if (first >= 224 && first < 240) return 'multicast'
    if (address === '0.0.0.0') return 'unspecified'
    return address === '255.255.255.255' ? 'broadcast' : null
  }
  if (address === '::') return 'unspecified'
  if (address === '::1') return 'loopback'
  if (/^fe[89ab]/.test(address) && address.indexOf(':') === 4) return 'link-local'
  return address.startsWith('ff') && address.indexOf(':') === 4 ? 'multicast' : null
}

/** `cidr`: canonical, host bits cleared; `exact`: whether they were clear. White space around is ignored. */
export function parseCidr(value: unknown): { readonly cidr: string; readonly exact: boolean } | null {
  if (typeof value !== 'string' || value.length > CIDR_MAX) return null
  const match = /^([^/]+)\/(0|[1-9][0-9]{0,2})$/.exec(value.trim())
  if (match === null) return null
  const address = parseAddress(match[1])
  if (address === null) return null
  const family = familyOf(address)
  const bits = Number(match[2])
  if (bits > (family === 4 ? 32 : 128)) return null
  const parser = family === 4 ? ipaddr.IPv4 : ipaddr.IPv6
  const network = parser.networkAddressFromCIDR(`${address}/${bits}`)
  const text = network instanceof ipaddr.IPv6 ? network.toRFC5952String() : network.toString()
  return { cidr: `${text}/${bits}`, exact: text === address }
}

/** True when every address of `inner` is in `outer`. Both canonical. */
export function contains(outer: string, inner: string): boolean {
  const [outerAddress, outerBits] = split(outer)
  const [innerAddress, innerBits] = split(inner)
  if (outerAddress.kind() !== innerAddress.kind() || outerBits > innerBits) return false
  return innerAddress.match(outerAddress, outerBits)
}

/** First and last address of a range (or of one address, then both), as texts that compare in numeric order within a family. */
export interface Span {
  readonly first: string
  readonly last: string
}

/** Of a canonical address or CIDR. By its text alone: asked for each range of a cluster whenever one changes. */
export function spanOf(canonical: string): Span {
  const slash = canonical.indexOf('/')
  const hex = hexOf(slash === -1 ? canonical : canonical.slice(0, slash))
  const family = hex.length === 8 ? '4' : '6'
  const bits = slash === -1 ? hex.length * 4 : Number(canonical.slice(slash + 1))
  const whole = bits >> 2
  if (whole === hex.length) return { first: family + hex, last: family + hex }
  const head = family + hex.slice(0, whole)
  const digit = Number.parseInt(hex[whole]!, 16)
  const host = 0xf >> (bits & 3)
  const rest = hex.length - whole - 1
  const text = (value: number, filler: string): string => head + value.toString(16) + filler.repeat(rest)
  return { first: text(digit & ~host, '0'), last: text(digit | host, 'f') }
}

/** The bytes of a canonical address: 8 or 32 digits. */
function hexOf(address: string): string {
  const octets = (text: string): string => text.split('.').reduce((hex, part) => hex + hexByte(part), '')
  if (!address.includes(':')) return octets(address)
  if (address.includes('.')) return Buffer.from(ipaddr.parse(address).toByteArray()).toString('hex')
  const [head = '', tail] = address.split('::')
  const groups = (text: string): string => text.split(':').reduce((hex, group) => hex + group.padStart(4, '0'), '')
  const [left, right] = [head === '' ? '' : groups(head), tail ? groups(tail) : '']
  return left + '0'.repeat(32 - left.length - right.length) + right
}

const hexByte = (text: string): string => Number(text).toString(16).padStart(2, '0')

/** Two ranges of one family overlap when one holds the other. */
export const overlap = (a: Span, b: Span): boolean => a.first <= b.last && b.first <= a.last

/** Ranges without those that others of the list cover, IPv4 first, in numeric order. `covered`: [left out, by which]. */
export function mergeCidrs(cidrs: readonly string[]): {
  readonly merged: readonly string[]
  readonly covered: readonly (readonly [string, string])[]
} {
  const sortable = cidrs.map((cidr) => ({ cidr, order: orderOf(cidr) }))
  sortable.sort((a, b) => (a.order < b.order ? -1 : a.order > b.order ? 1 : 0))
  const merged: string[] = []
  const covered: [string, string][] = []
  // Two ranges nest or are disjoint, and in this order what covers a range is the last one kept.
  for (const { cidr } of sortable) {
    const last = merged.at(-1)
    if (last !== undefined && contains(last, cidr)) covered.push([cidr, last])
    else merged.push(cidr)
  }
  return { merged, covered }
}

function split(cidr: string): [ipaddr.IPv4 | ipaddr.IPv6, number] {
  const slash = cidr.indexOf('/')
  if (slash === -1) return [ipaddr.parse(cidr), familyOf(cidr) === 4 ? 32 : 128]
  return [ipaddr.parse(cidr.slice(0, slash)), Number(cidr.slice(slash + 1))]
}

/** Family, network bytes, prefix length as sortable hex: a covering range comes before what it covers. */
function orderOf(cidr: string): string {
  const [address, bits] = split(cidr)
  return `${address.kind()}${Buffer.from(address.toByteArray()).toString('hex')}${bits.toString(16).padStart(2, '0')}`
}

const ADDRESS_MAX = 45
const CIDR_MAX = 100
