/** The words that the chains are written in: parts of rules that several of them need. */
import { FAMILY, MASQUERADE_BIT, TABLE } from './names.ts'

/** One rule at the end of a chain. */
export const rule = (chain: string, text: string): string => `add rule ${FAMILY} ${TABLE} ${chain} ${text}`
export const hex = (number: number): string => `0x${number.toString(16).padStart(8, '0')}`

export const WORDS = { 4: { addr: 'ip' }, 6: { addr: 'ip6' } } as const
/** What a packet asks for: the key of most maps. */
export const KEY = {
  4: 'ip daddr . meta l4proto . th dport',
  6: 'ip6 daddr . meta l4proto . th dport',
} as const
/**
 * The same and who asks, for a set of ranges. nft 1.0.6 swaps the bytes of `meta l4proto` there, although it is one: Linux
 * 6.12 of Debian refuses such a rule (Operation not supported). conntrack has the protocol in the order of the network.
 */
export const ASKER = {
  4: 'ip daddr . ct original protocol . th dport . ip saddr',
  6: 'ip6 daddr . ct original protocol . th dport . ip6 saddr',
} as const
export const MARK = `meta mark set meta mark | ${hex(MASQUERADE_BIT)}`

const hashed = (seed: number): string => `jhash ip6 saddr mod 4294967295 seed 0x${seed}`
/**
 * Who is remembered by session affinity: the pool (in the mark) and the client. nft 1.0.6 keeps 16 bytes of registers for a
 * key that a packet adds, and loads the data over what is longer: with an IPv6 address the identity became part of the key
 * and no client was ever found again. So 64 bits of hash stand for the address; two clients with the same share an endpoint.
 * (A map of the type of a hash would make its listing crash: `numgen` is of the same type.)
 */
export const CLIENT = {
  4: { type: 'meta mark . ip saddr', key: 'meta mark . ip saddr' },
  6: {
    type: 'meta mark . numgen random mod 1 . numgen random mod 1',
    key: `meta mark . ${hashed(1)} . ${hashed(2)}`,
  },
} as const
