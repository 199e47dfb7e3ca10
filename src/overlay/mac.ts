import { createHash } from 'node:crypto'
import type { Family } from '../cluster/protocol.ts'

/** A unicast link address in lower case; null for anything else. */
export function parseMac(value: unknown): string | null {
  if (typeof value !== 'string' || !MAC.test(value)) return null
  const mac = value.toLowerCase()
  return isMulticast(mac) || mac === '00:00:00:00:00:00' ? null : mac
}

/**
 * The link address of a node that has written none: the same on every node that computes it, so that nobody must be asked.
 * Locally administered (IEEE 802, second bit of the first octet).
 */
export function macOf(node: string, family: Family): string {
  const octets = [...createHash('sha256').update(`vtep ${family} ${node}`).digest().subarray(0, 6)]
  octets[0] = (octets[0]! & 0xfc) | 0x02
  return octets.map((octet) => octet.toString(16).padStart(2, '0')).join(':')
}

const isMulticast = (mac: string): boolean => (Number.parseInt(mac.slice(0, 2), 16) & 1) === 1

const MAC = /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i
