import type { Key } from '../core/delta.ts'

/**
 * An address of the DNS server on this node: this host has it, and what the server answers from there is nobody's to track
 * or translate. Key: the address.
 */
export interface LocalAddress {
  /** Canonical IPv4 or IPv6 text. */
  readonly ip: string
  /** Queries for it stay here, untracked. Else they go where the Service of the address sends them. */
  readonly isServed: boolean
}

export const keyOf = ({ ip }: LocalAddress): Key => ip

/** UDP and TCP. */
export const DNS_PORT = 53
