/** Servers whose names the proxy cannot look up. Like backends without endpoints: it changes by itself, and is no fault of a file. */
import type { Rejection } from '../cluster/rejection.ts'
import type { Service } from '../cluster/service.ts'
import type { Key } from '../core/delta.ts'
import { derive, type Read } from '../core/derive.ts'
import type { Graph } from '../core/graph.ts'
import type { Readable } from '../core/table.ts'
import { union } from '../core/union.ts'
import { annotationField } from './annotations/all.ts'
import type { Stream } from './listeners.ts'
import type { IngressOptions } from './options.ts'
import type { Plan } from './plan.ts'
import type { ParsedSettings } from './settings.ts'
import { backendsOf } from './unstaffed.ts'

interface Inputs {
  readonly settings: Readable<ParsedSettings>
  readonly plans: Readable<Plan>
  readonly streams: Readable<Stream>
  readonly services: Readable<Service>
  /** By name, what came of its last lookup, in the carrier's words: `nxdomain`. Without those that were found. */
  readonly failing: Readable<string>
}

/** A name that is looked up, and where it is said. */
interface Named {
  readonly object: string
  readonly field: string
  /** Whose name it is, where that is not the field's. */
  readonly service: string | null
  readonly name: string
  /** What becomes of requests. */
  readonly effect: string
}

/** Once for each name that something says, where it is said first. */
export function deriveUnresolved(graph: Graph, inputs: Inputs, told: IngressOptions): Readable<Rejection> {
  const { settings, plans, streams, services, failing } = inputs
  const of = <In>(name: string, driver: Readable<In>, named: (key: string, row: In, read: Read) => readonly Named[]) =>
    derive<Rejection, In>(graph, {
      name: `names of ${name} without addresses`,
      driver,
      inputs: [settings, services, failing],
      rows: (key, row, read) =>
        named(key, row, read).flatMap((each) => {
          const result = read.get(failing, each.name)
          return result === undefined ? [] : [complaintOf(each, result)]
        }),
    })
  return union('names without addresses', [
    of('ingresses', plans, (key, plan, read) => ofIngress(`Ingress ${key}`, plan, inputs, read)),
    of('streams', streams, (key, stream) => ofStream(key, stream, told)),
    of('the whole', settings, (_, parsed, read) => ofWhole(parsed, inputs, told, read)),
  ])
}

function complaintOf({ object, field, service, name, effect }: Named, result: string): [Key, Rejection] {
  const whose = service === null ? `names ${name}, which` : `names the Service ${service}, whose externalName ${name}`
  const problem = `${whose} cannot be looked up: ${result}; ${effect}`
  const remedy = remedyOf(result, service)
  return [`${object} ${field} ${service ?? name}`, { object, field, problem, remedy }]
}

function ofIngress(object: string, plan: Plan, inputs: Inputs, read: Read): readonly Named[] {
  const { ingress, annotations } = plan
  const { namespace } = ingress
  const spare = annotations.answering.defaultBackend
  const auth = annotations.access.external
  const { mirror } = annotations.proxying
  const backends = [...backendsOf(ingress)]
  if (spare !== null) backends.push([spare, annotationField('default-backend')])
  const named = backends.flatMap(([service, field]) =>
    ofService(`${namespace}/${service}`, { object, field, effect: REQUESTS }, inputs, read),
  )
  const outer = { object, service: null }
  // That of the ConfigMap is told there.
  if (auth !== null && auth !== read.get(inputs.settings, '')?.settings.globalAuth)
    named.push({ ...outer, field: annotationField('auth-url'), name: auth.host, effect: LEAVE })
  if (mirror !== null)
    named.push({ ...outer, field: annotationField('mirror-target'), name: mirror.host, effect: COPIES })
  return named
}

/** None, unless it is of type ExternalName. */
function ofService(
  service: string,
  where: Pick<Named, 'object' | 'field' | 'effect'>,
  { services }: Inputs,
  read: Read,
): Named[] {
  const name = read.get(services, service)?.externalName ?? null
  return name === null ? [] : [{ ...where, service, name }]
}

function ofStream(key: Key, { cluster }: Stream, told: IngressOptions): readonly Named[] {
  if (cluster?.cluster.resolve === undefined) return []
  const [protocol, port] = key.split(' ')
  const object = `ConfigMap ${protocol === 'tcp' ? told.tcpServices : told.udpServices}`
  return [{ object, field: `data[${port}]`, service: null, name: cluster.cluster.resolve.name, effect: STREAMS }]
}

function ofWhole({ settings }: ParsedSettings, inputs: Inputs, told: IngressOptions, read: Read): readonly Named[] {
  const named: Named[] = []
  if (settings.globalAuth !== null) {
    const where = { object: `ConfigMap ${told.configMap}`, field: 'data[global-auth-url]' }
    named.push({ ...where, service: null, name: settings.globalAuth.host, effect: LEAVE })
  }
  if (told.defaultBackend !== null) {
    const where = { object: `Service ${told.defaultBackend}`, field: 'spec.externalName', effect: REQUESTS }
    named.push(...ofService(told.defaultBackend, where, inputs, read))
  }
  return named
}

function remedyOf(result: string, service: string | null): string {
  switch (result) {
    case 'nxdomain':
    case 'nodata':
      return `correct ${service === null ? 'it' : 'spec.externalName'}, or give the name an A or AAAA record; it is looked up again and again`
    case 'servfail':
    case 'refused':
      return 'see the log of the DNS server that /etc/resolv.conf of the proxy names'
    default:
      return 'see that the servers in /etc/resolv.conf of the proxy can be reached from there'
  }
}

const REQUESTS = 'requests go to the addresses that it had before, or get 503'
const STREAMS = 'connections go to the addresses that it had before, or are closed'
const COPIES = 'no copies are sent'
const LEAVE = 'it is asked at the addresses that it had before, or requests get 500'
