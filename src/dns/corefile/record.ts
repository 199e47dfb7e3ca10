import { parseAddress } from '../../cluster/address.ts'
import type { NameRecord, NameRow } from '../rows.ts'
import { parseName } from './name.ts'
import { milliseconds } from './value.ts'

/** Records of master files and hosts files, as native/wire/src/names.rs has them: more types than a cluster has. */
export type FileRecord = NameRecord | ((Mx | Soa | Other) & { readonly ttl?: number })
export type FileRow = Omit<NameRow, 'records'> & { readonly records: readonly FileRecord[] }

export interface Mx {
  readonly type: 'MX'
  readonly preference: number
  readonly target: string
}

/** Times in seconds. */
export interface Soa {
  readonly type: 'SOA'
  readonly mname: string
  readonly rname: string
  readonly serial: number
  readonly refresh: number
  readonly retry: number
  readonly expire: number
  readonly minimum: number
}

/** RFC 3597: the data of any other type in hexadecimal. */
export interface Other {
  readonly type: 'OTHER'
  readonly code: number
  readonly data: string
}

/** What one field of the data must be. */
export type Field = 'ipv4' | 'ipv6' | 'name' | 'u8' | 'u16' | 'u32' | 'time' | 'text'

/** The fields of the types whose data is read; the last one of TXT may be there several times. */
export const FIELDS: ReadonlyMap<string, readonly Field[]> = new Map<string, readonly Field[]>([
  ['A', ['ipv4']],
  ['AAAA', ['ipv6']],
  ['CNAME', ['name']],
  ['NS', ['name']],
  ['PTR', ['name']],
  ['MX', ['u16', 'name']],
  ['SRV', ['u16', 'u16', 'u16', 'name']],
  ['TXT', ['text']],
  ['CAA', ['u8', 'text', 'text']],
  ['SOA', ['name', 'name', 'u32', 'time', 'time', 'time', 'time']],
])

/** A field in its one form, or null. Times become seconds; names absolute, below `origin`. */
export function readField(field: Field, text: string, origin: string): string | null {
  switch (field) {
    case 'ipv4':
    case 'ipv6': {
      const address = parseAddress(text)
      return address !== null && address.includes(':') === (field === 'ipv6') ? address : null
    }
    case 'name':
      return parseName(text, origin)
    case 'time': {
      const seconds = readTtl(text)
      return seconds === null ? null : String(seconds)
    }
    case 'text':
      return Buffer.byteLength(text) <= TEXT_MAX ? text : null
    case 'u8':
    case 'u16':
    case 'u32':
      return /^[0-9]{1,10}$/.test(text) && Number(text) < 2 ** Number(field.slice(1)) ? String(Number(text)) : null
    default:
      return field satisfies never
  }
}

/** Of a type of FIELDS, from fields in their one form. */
export function record(type: string, fields: readonly string[]): FileRecord {
  const [first = '', second = '', third = '', fourth = ''] = fields
  switch (type) {
    case 'A':
    case 'AAAA':
      return { type, ip: first }
    case 'CNAME':
    case 'NS':
    case 'PTR':
      return { type, target: first }
    case 'MX':
      return { type, preference: Number(first), target: second }
    case 'SRV':
      return { type, priority: Number(first), weight: Number(second), port: Number(third), target: fourth }
    case 'TXT':
      return { type, texts: fields }
    case 'SOA': {
      const [serial, refresh, retry, expire, minimum] = fields.slice(2).map(Number) as [
        number,
        number,
        number,
        number,
        number,
      ]
      return { type, mname: first, rname: second, serial, refresh, retry, expire, minimum }
    }
    case 'CAA': {
      const data = [Buffer.from([Number(first), Buffer.byteLength(second)]), Buffer.from(second), Buffer.from(third)]
      return { type: 'OTHER', code: 257, data: Buffer.concat(data).toString('hex') }
    }
    default:
      throw new Error(`no record of type ${type} is read`)
  }
}

/** `3600`, `1h30m`, `1d`, `2w` (BIND's units): seconds. */
export function readTtl(text: string): number | null {
  if (/^[0-9]{1,10}$/.test(text)) return Number(text) <= TTL_MAX ? Number(text) : null
  const match = /^(?:([0-9]{1,6})w)?(?:([0-9]{1,6})d)?((?:[0-9]{1,6}[hms])*)$/i.exec(text)
  if (match === null || text === '') return null
  const [, weeks = '0', days = '0', rest] = match
  const restMs = rest === '' ? 0 : milliseconds(rest!.toLowerCase())
  const seconds = Number(weeks) * 604_800 + Number(days) * 86_400 + (restMs ?? 0) / 1000
  return seconds <= TTL_MAX ? seconds : null
}

const TEXT_MAX = 255
const TTL_MAX = 2_147_483_647
