import { familyOf } from '../cluster/address.ts'
import { isLabel } from '../cluster/metadata.ts'
import type { Port } from '../cluster/protocol.ts'
import type { Key } from '../core/delta.ts'
import { addressRecord, below, fits, pointerName, type Zones } from './names.ts'
import { labelsOf, objectOf, type Plan } from './plan.ts'
import { publishedOf } from './published.ts'
import { nameKey, type NameRecord, type NameRow, type Srv } from './rows.ts'

/**
 * The rows of a Service: its name, its named ports, and the reverse names of its own addresses. (Kubernetes DNS
 * specification 1.1.0, 2.3 to 2.5; SRV at the bare name answers all ports, as CoreDNS does.)
 */
export function* rowsOf(plan: Plan, set: string, zones: Zones): Iterable<readonly [Key, NameRow]> {
  const object = objectOf(plan)
  for (const zone of plan.kind === 'Service' ? zones.own : zones.imported) {
    const base = below(labelsOf(plan), zone)
    for (const [name, records] of namesOf(plan, base)) {
      if (fits(name)) yield [nameKey(set, name), { set, name, records, object }]
    }
  }
  if (plan.kind !== 'Service' || zones.primary === null) return
  const target = below(labelsOf(plan), zones.primary)
  if (!fits(target)) return
  for (const ip of plan.addresses ?? []) {
    const name = pointerName(ip, zones)
    if (name !== null) yield [nameKey(set, name), { set, name, records: [{ type: 'PTR', target }], object }]
  }
}

/** True where a port has a name that can stand in one: `_http`. */
export const isNamed = (port: Pick<Port, 'name'>): boolean => port.name.length < LABEL_MAX && isLabel(port.name)

export const srvName = ({ name, protocol }: Pick<Port, 'name' | 'protocol'>, base: string): string =>
  `_${name}._${protocol}.${base}`

/** How many SRV records the name of a plan would have, if they are more than it answers, and how many those are. */
export function srvsLeftOut(plan: Plan, base: string): { readonly all: number; readonly answered: number } | null {
  const endpoints = plan.slices.reduce((sum, { endpoints, ports }) => sum + endpoints.count * ports.length, 0)
  const most = Math.max(endpoints, plan.ports.length)
  if (most * (SRV_OCTETS + LABEL_MAX + 1 + LABEL_MAX + 1 + base.length) <= SRV_OCTETS_MAX) return null
  const { ports } = plan.addresses === null ? ofEndpoints(plan, base) : ofItself(plan, plan.addresses, base)
  const answers = [...ports.values()].flatMap((port) => port.answers)
  const all = new Set(answers.map(({ port, target }) => `${port} ${target}`)).size
  const answered = srvs(answers).length
  return answered === all ? null : { all, answered }
}

/** Where a port answers: SRV records before they have a weight. */
interface Answer {
  readonly port: number
  readonly target: string
}

function* namesOf(plan: Plan, base: string): Iterable<readonly [name: string, records: readonly NameRecord[]]> {
  if (plan.alias !== null) {
    yield [base, [{ type: 'CNAME', target: `${plan.alias}.` }]]
    return
  }
  const { addresses, ports } = plan.addresses === null ? ofEndpoints(plan, base) : ofItself(plan, plan.addresses, base)
  const all = srvs([...ports.values()].flatMap(({ answers }) => answers))
  yield [base, [...addressRecords(addresses, 4), ...addressRecords(addresses, 6), ...all]]
  for (const { port, answers } of ports.values()) {
    // Alone, they are the same ones.
    if (isNamed(port)) yield [srvName(port, base), ports.size === 1 ? all : srvs(answers)]
  }
}

/** By name and protocol, as SRV asks for them. */
type Ports = Map<string, { readonly port: Port; readonly answers: Answer[] }>

function ofItself({ ports: given }: Plan, addresses: readonly string[], base: string) {
  const ports: Ports = new Map()
  // Once for each address: CoreDNS counts them into the weight, and merges what is the same after that.
  for (const port of given) for (const _ of addresses) answersOf(ports, port).push({ port: port.port, target: base })
  return { addresses, ports }
}

function ofEndpoints({ slices, kind }: Plan, base: string) {
  const addresses = new Set<string>()
  const ports: Ports = new Map()
  for (const slice of slices) {
    const published = publishedOf(slice.endpoints)
    for (const { address } of published) addresses.add(address)
    if (kind === 'ServiceImport' && slice.cluster === '') continue
    const below = kind === 'Service' ? base : `${slice.cluster}.${base}`
    const targets = published.map(({ label }) => `${label}.${below}`).filter(fits)
    if (targets.length === 0) continue
    for (const port of slice.ports) {
      const answers = answersOf(ports, port)
      for (const target of targets) answers.push({ port: port.port, target })
    }
  }
  return { addresses: [...addresses], ports }
}

function answersOf(ports: Ports, port: Port): Answer[] {
  const key = `${port.protocol} ${port.name}`
  let found = ports.get(key)
  if (found === undefined) ports.set(key, (found = { port, answers: [] }))
  return found.answers
}

function addressRecords(addresses: readonly string[], family: 4 | 6): readonly NameRecord[] {
  const found = addresses.filter((ip) => familyOf(ip) === family).sort()
  return found.slice(0, ADDRESSES_MAX[family]).map(addressRecord)
}

/** All as likely: priority 0, a weight of 100 together, but 1 at least. As CoreDNS: by how many answers there are before the same ones are merged. */
function srvs(answers: readonly Answer[]): readonly Srv[] {
  const weight = Math.max(1, Math.floor(100 / answers.length))
  const sorted = [...answers].sort(
    (a, b) => a.port - b.port || (a.target < b.target ? -1 : a.target > b.target ? 1 : 0),
  )
  const found: Srv[] = []
  let octets = 0
  for (const [i, { port, target }] of sorted.entries()) {
    const before = sorted[i - 1]
    if (before?.port === port && before.target === target) continue
    octets += SRV_OCTETS + target.length
    if (octets > SRV_OCTETS_MAX) break
    found.push({ type: 'SRV', priority: 0, weight, port, target })
  }
  return found
}

const LABEL_MAX = 63
/**
 * More than the 64 KiB of a DNS message can ever hold (4,095 A, 2,340 AAAA, about 1,000 SRV), and as JSON together less
 * than a line to the carrier may have (1 MiB).
 */
export const ADDRESSES_MAX = { 4: 5800, 6: 5000 } as const
const SRV_OCTETS_MAX = 400_000
/** `{"type":"SRV","priority":0,"weight":100,"port":65535,"target":""},` */
const SRV_OCTETS = 70
