import { familyOf } from '../cluster/address.ts'
import type { NameOptions } from './options.ts'
import type { Address, NameRecord } from './rows.ts'

/** How the zones of one `kubernetes` are used. */
export interface Zones {
  /** Names of this cluster. */
  readonly own: readonly string[]
  /** Names of other clusters' Services. */
  readonly imported: readonly string[]
  readonly reverse: readonly string[]
  /** Where PTR and NS records point; null: there is no zone of names. */
  readonly primary: string | null
}

export function zonesOf({ zones, multicluster }: Pick<NameOptions, 'zones' | 'multicluster'>): Zones {
  const reverse = zones.filter((zone) => REVERSE.some((root) => isWithin(zone, root)))
  const imported = zones.filter((zone) => multicluster.includes(zone))
  const own = zones.filter((zone) => !reverse.includes(zone) && !imported.includes(zone))
  return { own, imported, reverse, primary: own[0] ?? null }
}

/** `below('web.shop.svc', 'cluster.local.')`. */
export const below = (labels: string, zone: string): string => (zone === '.' ? `${labels}.` : `${labels}.${zone}`)

/** True for the zone itself, too. */
export const isWithin = (name: string, zone: string): boolean =>
  zone === '.' || name === zone || name.endsWith(`.${zone}`)

/** RFC 1035: 255 octets with the length of each label and the root's; as text with a final dot one less. */
export const fits = (name: string): boolean => name.length <= NAME_MAX

/** A label that stands for an address: 10-240-0-1, fd00--1. One at either end would be no host name: 0--1, fd00--0. */
export function dashed(ip: string): string {
  if (familyOf(ip) === 4) return ip.replaceAll('.', '-')
  const label = ip.replaceAll(SEPARATORS, '-')
  return `${label.startsWith('-') ? '0' : ''}${label}${label.endsWith('-') ? '0' : ''}`
}

/** `1.0.96.10.in-addr.arpa.` (RFC 1035), by nibbles under ip6.arpa. (RFC 3596). Of a canonical address. */
export function reverseName(ip: string): string {
  if (familyOf(ip) === 4) {
    const [a, b, c, d] = ip.split('.')
    return `${d}.${c}.${b}.${a}.${REVERSE[0]}`
  }
  const [head, tail] = ip.split('::')
  const first = groups(head!)
  const last = tail === undefined ? [] : groups(tail)
  const zeros = Array.from({ length: 8 - first.length - last.length }, () => '0000')
  const digits = [...first, ...zeros, ...last].join('')
  let name = ''
  for (let i = digits.length - 1; i >= 0; i--) name += `${digits[i]}.`
  return name + REVERSE[1]
}

/** Where `ip` has a PTR record; null: in none of the zones. */
export function pointerName(ip: string, { reverse }: Zones): string | null {
  if (reverse.length === 0) return null
  const name = reverseName(ip)
  return reverse.some((zone) => isWithin(name, zone)) ? name : null
}

export const addressRecord = (ip: string): Address => ({ type: familyOf(ip) === 4 ? 'A' : 'AAAA', ip })

/** Each once, by type, then by address or target: the same whatever order they came in. Not for TXT. */
export function inOrder(records: readonly NameRecord[]): readonly NameRecord[] {
  if (records.length < 2) return records
  const texts = new Map(records.map((record) => [textOf(record), record]))
  return [...texts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, record]) => record)
}

function textOf(record: NameRecord): string {
  if ('ip' in record) return `${record.type} ${record.ip}`
  if ('texts' in record) return `${record.type} ${record.texts.join(' ')}`
  if (record.type === 'SRV') return `${record.type} ${record.port} ${record.target}`
  return `${record.type} ${record.target}`
}

const groups = (text: string): string[] => (text === '' ? [] : text.split(':').map((group) => group.padStart(4, '0')))

const REVERSE = ['in-addr.arpa.', 'ip6.arpa.'] as const
const SEPARATORS = /[.:]/g
const NAME_MAX = 254
