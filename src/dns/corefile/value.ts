import ipaddr from 'ipaddr.js'
import { parseAddress, parseCidr } from '../../cluster/address.ts'
import type { Token } from './lexer.ts'
import { parseName, reverseZones } from './name.ts'
import { CLASSES, RCODES, TYPES } from './numbers.ts'
import { quote, type Problems } from './problem.ts'

/** Words to values. Each gives null when it has said what is wrong. */

/** Decimal, from `min` to `max`. `what`: `the TTL`. */
export function number(token: Token, what: string, min: number, max: number, problems: Problems): number | null {
  const value = /^[+-]?[0-9]{1,15}$/.test(token.text) ? Number(token.text) : NaN
  if (value >= min && value <= max) return value
  return problems.report(token, `${what} is ${quote(token.text)}`, `write a number from ${min} to ${max}`)
}

/** As Go writes them: `5s`, `1m30s`, `0.5h`, `250ms`; `0` needs no unit. Milliseconds, rounded up. */
export function duration(token: Token, what: string, minMs: number, maxMs: number, problems: Problems): number | null {
  const value = milliseconds(token.text)
  if (value !== null && value >= minMs && value <= maxMs) return value
  const remedy = `write a duration from ${shown(minMs)} to ${shown(maxMs)}, like 5s, 250ms or 1m30s`
  return problems.report(token, `${what} is ${quote(token.text)}`, remedy)
}

/** Null: none. Below zero is none, too. */
export function milliseconds(text: string): number | null {
  if (/^[+-]?0$/.test(text)) return 0
  if (text.length > 100 || !/^\+?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:ns|us|µs|μs|ms|s|m|h))+$/.test(text)) return null
  let sum = 0
  for (const [, amount, unit] of text.matchAll(/([0-9.]+)(ns|us|µs|μs|ms|s|m|h)/g))
    sum += Number(amount) * UNITS_MS[unit!]!
  return Math.ceil(Number(sum.toFixed(6)))
}

/** One of some words, in any case. */
export function oneOf<Word extends string>(
  token: Token,
  what: string,
  words: readonly Word[],
  problems: Problems,
): Word | null {
  const found = words.find((word) => word === token.text.toLowerCase())
  return found ?? problems.unknown(token, what, words)
}

/** A name, absolute and canonical. */
export function domain(token: Token, problems: Problems): string | null {
  const remedy = 'write labels of 1 to 63 octets with dots between them, 255 octets in all'
  return parseName(token.text) ?? problems.report(token, `${quote(token.text)} is no domain name`, remedy)
}

/**
 * Zones: a name, or the reverse zones of a network, `10.0.0.0/15`. What a server's key may have around it (`dns://`, `:53`)
 * is taken off, as CoreDNS does.
 */
export function zones(token: Token, problems: Problems): readonly string[] {
  const bare = token.text.replace(/^(?:dns|tls|https|quic|grpc):\/\//, '').replace(/:[0-9]+$/, '')
  if (bare.includes('/')) {
    const found = network({ ...token, text: bare }, problems)
    return found === null ? [] : networkZones(found)
  }
  const name = domain({ ...token, text: bare === '' ? '.' : bare }, problems)
  return name === null ? [] : [name]
}

/** The zones that are named, or else those of the server block. */
export const zonesOr = (
  tokens: readonly Token[],
  otherwise: readonly string[],
  problems: Problems,
): readonly string[] => (tokens.length === 0 ? otherwise : unique(tokens.flatMap((token) => zones(token, problems))))

export function networkZones(cidr: string): readonly string[] {
  const [address, bits] = cidr.split('/')
  return reverseZones(octetsOf(address!), Number(bits))
}

/** Of a canonical address. */
export const octetsOf = (address: string): readonly number[] => ipaddr.parse(address).toByteArray()

/** Canonical; an address alone is a network of its own. Bits of hosts are cleared. */
export function network(token: Token, problems: Problems): string | null {
  const alone = parseAddress(token.text)
  if (alone !== null) return `${alone}/${alone.includes(':') ? 128 : 32}`
  const cidr = parseCidr(token.text)?.cidr
  return cidr ?? problems.report(token, `${quote(token.text)} is no network`, 'write ADDRESS/BITS, like 10.0.0.0/8')
}

export function address(token: Token, what: string, problems: Problems): string | null {
  const found = parseAddress(token.text)
  return found ?? problems.report(token, `${what} is ${quote(token.text)}`, 'write an IP address')
}

export const type = (token: Token, problems: Problems): number | null =>
  numbered(token, TYPES, 'TYPE', 'record type', problems)
export const queryClass = (token: Token, problems: Problems): number | null =>
  numbered(token, CLASSES, 'CLASS', 'class', problems)

/** By name or number. */
export function rcode(token: Token, problems: Problems): number | null {
  const value = /^[0-9]{1,2}$/.test(token.text) ? Number(token.text) : undefined
  if (value !== undefined && value <= 23) return value
  return numbered(token, RCODES, '', 'rcode', problems)
}

function numbered(
  token: Token,
  known: ReadonlyMap<string, number>,
  prefix: string,
  what: string,
  problems: Problems,
): number | null {
  const upper = token.text.toUpperCase()
  const generic = prefix !== '' && upper.startsWith(prefix) ? upper.slice(prefix.length) : ''
  const value = known.get(upper) ?? (/^[0-9]{1,5}$/.test(generic) ? Number(generic) : 65_536)
  return value < 65_536
    ? value
    : problems.unknown({ ...token, text: token.text.toLowerCase() }, what, lowerNames(known))
}

/** `HOST:PORT`, as `:9153`, `localhost:9153` or `[::1]:9153`. No host is every address: null. */
export function hostPort(
  token: Token,
  problems: Problems,
): { readonly address: string | null; readonly port: number } | null {
  const match = /^(?:\[([^\]]*)\]|([^:[\]]*)):([0-9]{1,5})$/.exec(token.text)
  const host = match === null ? '' : (match[1] ?? match[2] ?? '')
  const found = host === 'localhost' ? '127.0.0.1' : parseAddress(host)
  const port = Number(match?.[3] ?? -1)
  if (match !== null && port > 0 && port < 65_536 && (host === '' || found !== null)) return { address: found, port }
  const remedy = 'write ADDRESS:PORT or :PORT, IPv6 addresses in brackets'
  return problems.report(token, `${quote(token.text)} is nowhere to listen on`, remedy)
}

export const unique = <T>(values: readonly T[]): readonly T[] => [...new Set(values)]

const lowerNames = (known: ReadonlyMap<string, number>): string[] => [...known.keys()].map((name) => name.toLowerCase())

function shown(ms: number): string {
  if (ms === 0) return '0'
  for (const [unit, size] of [
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1000],
  ] as const)
    if (ms >= size && ms % size === 0) return `${ms / size}${unit}`
  return `${ms}ms`
}

const UNITS_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
}
