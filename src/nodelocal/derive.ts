import { parseAddress } from '../cluster/address.ts'
import type { Key } from '../core/delta.ts'
import { DNS_PORT, keyOf, type LocalAddress } from './rows.ts'

/** `serving`: where the server of this node answers, as it says: `169.254.20.10:53`, `[::]:53`. Pure. */
export function localAddresses(addresses: readonly string[], serving: readonly string[]): [Key, LocalAddress][] {
  const served = new Set(serving.flatMap((place) => ipOf(place) ?? []))
  return addresses.map((ip): [Key, LocalAddress] => {
    const isServed = served.has(ip) || served.has(ip.includes(':') ? '::' : '0.0.0.0')
    const row = { ip, isServed }
    return [keyOf(row), row]
  })
}

/** null: nobody's place for queries. */
function ipOf(place: string): string | null {
  const at = place.lastIndexOf(':')
  if (place.slice(at + 1) !== String(DNS_PORT)) return null
  return parseAddress(place.slice(0, at).replace(/^\[(.*)\]$/, '$1'))
}
