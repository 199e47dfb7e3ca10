import type { EndpointList } from '../cluster/endpointlist.ts'
import type { Key } from '../core/delta.ts'
import { addressRecord, below, fits, inOrder, pointerName, type Zones } from './names.ts'
import { labelsOf, objectOf, type Plan } from './plan.ts'
import { publishedOf } from './published.ts'
import { nameKey, type NameRecord, type NameRow } from './rows.ts'

/** Endpoints of one slice, as those of one Service or ServiceImport. */
export interface Crew extends Pick<Plan, 'kind' | 'namespace' | 'name'> {
  /** Label of the cluster they are in, of a ServiceImport's. */
  readonly cluster: string
  /** They have names of their own, besides reverse names. */
  readonly named: boolean
  readonly endpoints: EndpointList
}

/** What one object adds to a name that several may share: a hostname in both families, a pod that two Services select. */
export interface Part {
  readonly record: NameRecord
  readonly object: string
}

/** What its endpoints are called below: `web.shop.svc.cluster.local.` */
export function basesOf(crew: Crew, zones: Zones): readonly string[] {
  if (!crew.named) return []
  if (crew.kind === 'Service') return zones.own.map((zone) => below(labelsOf(crew), zone))
  return zones.imported.map((zone) => below(`${crew.cluster}.${labelsOf(crew)}`, zone))
}

/** Names of endpoints, and their reverse names, by row key. */
export function* partsOf(crew: Crew, set: string, zones: Zones): Iterable<readonly [Key, Part]> {
  const object = objectOf(crew)
  const bases = basesOf(crew, zones)
  const primary = crew.kind === 'Service' && zones.primary !== null ? below(labelsOf(crew), zones.primary) : null
  for (const { address, label } of publishedOf(crew.endpoints)) {
    for (const base of bases) {
      const name = `${label}.${base}`
      if (fits(name)) yield [nameKey(set, name), { record: addressRecord(address), object }]
    }
    if (primary === null) continue
    const pointer = pointerName(address, zones)
    const target = `${label}.${primary}`
    if (pointer !== null && fits(target)) yield [nameKey(set, pointer), { record: { type: 'PTR', target }, object }]
  }
}

/** The row of a name that parts share. */
export function together(key: Key, parts: readonly Part[]): NameRow {
  const space = key.indexOf(' ')
  const objects = [...new Set(parts.map(({ object }) => object))]
  return {
    set: key.slice(0, space),
    name: key.slice(space + 1),
    records: inOrder(parts.map(({ record }) => record)).slice(0, RECORDS_MAX),
    object: objects.length > OBJECTS_MAX ? `${objects.slice(0, OBJECTS_MAX).join(', ')}, ...` : objects.join(', '),
  }
}

/** Of 27 octets at least as JSON: a line to the carrier has 1 MiB, so a row that is cut here is refused there, with its reason. */
const RECORDS_MAX = 40_000
const OBJECTS_MAX = 10
