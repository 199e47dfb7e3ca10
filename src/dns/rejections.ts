import { isLabel } from '../cluster/metadata.ts'
import { show, type Rejection } from '../cluster/rejection.ts'
import { below, fits, type Zones } from './names.ts'
import { labelsOf, objectOf, type Plan } from './plan.ts'
import { basesOf, type Crew } from './endpoints.ts'
import { hasReady, publishedOf } from './published.ts'
import { ADDRESSES_MAX, isNamed, srvName, srvsLeftOut } from './service.ts'

/** Of a Service or ServiceImport whose name can be none in DNS. */
export function* rejectionsOfName(of: Pick<Plan, 'kind' | 'namespace' | 'name'>): Iterable<Rejection> {
  const name: unknown = of.name
  if (isLabel(name)) return
  const problem = `is ${show(name)}, not a DNS label; no names are answered for it`
  yield { object: objectOf(of), field: 'metadata.name', problem, remedy: 'use at most 63 characters, without dots' }
}

/** Of one that has names: which of them cannot be. */
export function* rejectionsOf(plan: Plan, zones: Zones): Iterable<Rejection> {
  const object = objectOf(plan)
  const own = plan.kind === 'Service' ? zones.own : zones.imported
  for (const zone of own) {
    const base = below(labelsOf(plan), zone)
    const long = longest(plan, base)
    if (fits(long)) continue
    const problem = `makes ${long.slice(0, 80)}..., a name of over 255 octets, which DNS does not have; left out`
    yield { object, field: 'metadata.name', problem, remedy: 'use a shorter name, namespace or zone' }
  }
  for (const port of plan.addresses === null ? portsOf(plan) : plan.ports) {
    if (port.name === '' || isNamed(port)) continue
    const problem = `is "${port.name}", which cannot stand in a DNS name; it has no SRV record of its own`
    yield { object, field: 'spec.ports', problem, remedy: "use at most 15 lower-case letters, digits and '-'" }
  }
  yield* rejectionsOfCrowd(plan, object)
  // Zones differ in length only: the longest has the fewest.
  const bases = own.map((zone) => below(labelsOf(plan), zone)).sort((a, b) => b.length - a.length)
  const left = bases[0] === undefined ? null : srvsLeftOut(plan, bases[0])
  if (left === null) return
  const problem = `has ${left.all} SRV records, one for each port of each endpoint; its name answers ${left.answered}`
  yield { object, field: '', problem, remedy: 'split it: no DNS answer holds more than 64 KiB' }
}

/** A DNS message holds 64 KiB. */
function* rejectionsOfCrowd({ slices }: Plan, object: string): Iterable<Rejection> {
  for (const family of [4, 6] as const) {
    const ours = slices.filter((slice) => slice.family === family)
    const most = ours.reduce((sum, { endpoints }) => sum + endpoints.count, 0)
    if (most <= ADDRESSES_MAX[family]) continue
    const count = new Set(ours.flatMap(({ endpoints }) => publishedOf(endpoints).map(({ address }) => address))).size
    if (count <= ADDRESSES_MAX[family]) continue
    const problem = `has ${count} endpoints with IPv${family} addresses; its name answers ${ADDRESSES_MAX[family]}`
    yield { object, field: '', problem, remedy: 'split it: no DNS answer holds more than 64 KiB' }
  }
}

/** Of endpoints whose names would be too long. */
export function* rejectionsOfCrew(crew: Crew, zones: Zones): Iterable<Rejection> {
  for (const base of basesOf(crew, zones)) {
    if (fits(`${'x'.repeat(LABEL_MAX)}.${base}`)) continue
    const long = publishedOf(crew.endpoints).filter(({ label }) => !fits(`${label}.${base}`))
    if (long.length === 0) continue
    const problem = `makes ${long.length} names of over 255 octets, as ${long[0]!.label}.${base.slice(0, 80)}...; left out`
    yield { object: objectOf(crew), field: 'endpoints', problem, remedy: 'use shorter hostnames, names or zones' }
  }
}

function portsOf({ slices }: Plan) {
  const ports = slices.filter(({ endpoints }) => hasReady(endpoints)).flatMap((slice) => slice.ports)
  return [...new Map(ports.map((port) => [port.name, port])).values()]
}

/** The longest of its names, but for those of endpoints. */
function longest(plan: Plan, base: string): string {
  const ports = plan.addresses === null ? portsOf(plan) : plan.ports
  return ports.filter(isNamed).reduce((long, port) => {
    const name = srvName(port, base)
    return name.length > long.length ? name : long
  }, base)
}

const LABEL_MAX = 63
