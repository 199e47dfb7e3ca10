import type { Family } from '../../cluster/protocol.ts'
import { localPool } from '../hash.ts'
import { SPARSE_FALLBACK } from '../slots.ts'
import type { Frontend, FrontendAddress, Range, ServiceRow } from '../rows.ts'
import {
  chainName,
  mapName,
  pickName,
  type Generation,
  type MapName,
  type Pick,
  type Scope,
  type SlotMap,
} from './names.ts'

/** One element of one map or set, as nft writes it in numeric listings. */
export interface Element {
  readonly map: string
  readonly key: string
  /** '' for a member of a set. */
  readonly data: string
}

/** The elements that a row is in the kernel. Range rows are rules, not elements: none. */
export function elements(row: ServiceRow, generation: Generation): readonly Element[] {
  switch (row.kind) {
    case 'frontend':
      return frontendElements(row, generation)
    case 'slot': {
      const family = familyOf(row.at.ip)
      const of = (name: SlotMap): string => mapName(row.set === 'local' ? `local_${name}` : name, family, generation)
      const at = key(row.at)
      const endpoint = `${row.ip} . ${row.port}`
      const slot = {
        map: of(`slots_${row.at.protocol}`),
        key: `${row.at.ip} . ${row.at.port} . ${row.slot}`,
        data: endpoint,
      }
      if (row.id === 0) return [slot]
      const id = identity(row.id)
      // The place that ends a sparse draw holds an endpoint that has a place of its own, which brings the identity.
      const pick = { map: of('picks'), key: `${at} . ${row.slot}`, data: id }
      if (row.slot === SPARSE_FALLBACK) return [slot, pick]
      return [slot, pick, { map: of('ids'), key: `${at} . ${id}`, data: endpoint }]
    }
    case 'source': {
      const family = familyOf(row.at.ip)
      return [{ map: mapName('sources', family, generation), key: `${key(row.at)} . ${host(row.cidr)}`, data: '' }]
    }
    case 'address':
      return [{ map: mapName('addresses', familyOf(row.ip), generation), key: row.ip, data: '' }]
    case 'hairpin':
      return [{ map: mapName('hairpins', familyOf(row.ip), generation), key: `${row.ip} . ${row.ip}`, data: '' }]
    case 'range':
      return []
    default:
      throw row satisfies never
  }
}

/** The chains that the elements of a row go to. */
export function picks(row: ServiceRow): readonly Pick[] {
  if (row.kind !== 'frontend') return []
  const family = familyOf(row.ip)
  const of = (scope: Scope, slots: number): readonly Pick[] =>
    slots === 0 ? [] : [{ scope, family, protocol: row.protocol, slots, affinity: row.affinity }]
  return row.local === null ? of(row.scope, row.slots) : [...of('split', row.slots), ...of('local', row.local)]
}

export const familyOf = (address: string): Family => (address.includes(':') ? 6 : 4)
export const rangeFamily = (row: Range): Family => familyOf(row.cidr)

function frontendElements(row: Frontend, generation: Generation): readonly Element[] {
  const family = familyOf(row.ip)
  const at = key(row)
  const to = (scope: Scope, slots: number, empty: 'reject' | 'drop'): string => {
    if (slots === 0) return empty === 'drop' ? 'drop' : 'goto refuse'
    return `goto ${pickName({ scope, family, protocol: row.protocol, slots, affinity: row.affinity }, generation)}`
  }
  const element = (map: MapName, data: string): Element => ({ map: mapName(map, family, generation), key: at, data })
  const all: Element[] = []
  const kind =
    row.local === null ? to(row.scope, row.slots, row.mainEmpty) : `goto ${chainName('split', family, generation)}`
  if (row.filtered) {
    all.push(element('frontends', `goto ${chainName('filter', family, generation)}`), element('kinds', kind))
  } else {
    all.push(element('frontends', kind))
  }
  if (row.local !== null) {
    all.push(element('mains', to('split', row.slots, row.mainEmpty)))
    all.push(element('locals', to('local', row.local, row.localEmpty)))
  }
  if (row.affinity > 0) {
    all.push(element('pools', hex(row.pool)))
    if (row.local !== null) all.push(element('local_pools', hex(localPool(row.pool))))
  }
  return all
}

const key = (at: FrontendAddress): string => `${at.ip} . ${PROTOCOL_NUMBER[at.protocol]} . ${at.port}`
/** nft lists a range of one address without its length. */
const host = (cidr: string): string => cidr.replace(/^([^:]+)\/32$|^(.*:.*)\/128$/, '$1$2')
const hex = (number: number): string => `0x${number.toString(16).padStart(8, '0')}`

/** 20 bits of identity as a packet priority, in tc's notation: see affinityRules in chains.ts. */
const identity = (id: number): string =>
  `fa${(id >>> 12).toString(16).padStart(2, '0')}:${((id & 0xfff) << 4).toString(16)}`

const PROTOCOL_NUMBER = { tcp: 6, udp: 17, sctp: 132 } as const
