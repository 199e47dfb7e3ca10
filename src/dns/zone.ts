import type { Key } from '../core/delta.ts'
import { addressRecord, below, inOrder, type Zones } from './names.ts'
import type { NameOptions } from './options.ts'
import { labelsOf, type Plan } from './plan.ts'
import { nameKey, type NameRow } from './rows.ts'

/** The cluster's own DNS, as NS records show it. */
export interface Server {
  /** Services with a name here, by key. Without any it is called ns.dns, as the SOA record says. */
  readonly services: readonly Pick<Plan, 'namespace' | 'name'>[]
  /** Of these and others, where it is asked. */
  readonly addresses: readonly string[]
}

/** What a zone has whatever the cluster does: apex, ns.dns, dns-version, svc and pod. The SOA record is the step's. */
export function* rowsOfZone(zone: string, { services, addresses }: Server, set: string, zones: Zones) {
  const row = (name: string, records: NameRow['records']): [Key, NameRow] => [
    nameKey(set, name),
    { set, name, records },
  ]
  const primary = zones.primary ?? zone
  const servers = services.map((service) => below(labelsOf(service), primary))
  if (servers.length === 0 && addresses.length > 0) servers.push(below(NAME_SERVER, primary))
  yield row(zone, inOrder(servers.map((target) => ({ type: 'NS', target }))))
  if (zones.reverse.includes(zone)) return
  if (addresses.length > 0) yield row(below(NAME_SERVER, zone), inOrder(addresses.map(addressRecord)))
  yield row(below('dns-version', zone), [{ type: 'TXT', texts: [VERSION], ttl: VERSION_TTL }])
  yield row(below('svc', zone), [])
  if (zones.own.includes(zone)) yield row(below('pod', zone), [])
}

/** A namespace exists before anything is in it; in `insecure` mode, whatever looks like a pod's address is in it. */
export function* rowsOfNamespace(
  namespace: string,
  { set, pods }: Pick<NameOptions, 'set' | 'pods'>,
  zones: Zones,
): Iterable<[Key, NameRow]> {
  const object = `Namespace ${namespace}`
  for (const zone of [...zones.own, ...zones.imported]) {
    const name = below(`${namespace}.svc`, zone)
    yield [nameKey(set, name), { set, name, records: [], object }]
  }
  if (pods === 'disabled') return
  for (const zone of zones.own) {
    const name = below(`${namespace}.pod`, zone)
    const row: NameRow = { set, name, records: [], object }
    yield [nameKey(set, name), pods === 'insecure' ? { ...row, dashed: true } : row]
  }
}

const NAME_SERVER = 'ns.dns'
const VERSION = '1.1.0'
/** Seconds, as the specification's example has it. */
const VERSION_TTL = 28_800
