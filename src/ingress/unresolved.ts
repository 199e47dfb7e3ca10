/** Backends whose names the proxy cannot look up. Like those without endpoints: it changes by itself, and is no fault of a file. */
import type { Rejection } from '../cluster/rejection.ts'
import type { Service } from '../cluster/service.ts'
import { derive } from '../core/derive.ts'
import type { Graph } from '../core/graph.ts'
import type { Readable } from '../core/table.ts'
import type { Plan } from './plan.ts'
import { backendsOf } from './unstaffed.ts'

interface Inputs {
  readonly plans: Readable<Plan>
  readonly services: Readable<Service>
  /** By name, what came of its last lookup, in the carrier's words: `nxdomain`. Without those that were found. */
  readonly failing: Readable<string>
}

/** Once for each Service of type ExternalName that an Ingress names: where it names it first. */
export const deriveUnresolved = (graph: Graph, { plans, services, failing }: Inputs): Readable<Rejection> =>
  derive<Rejection, Plan>(graph, {
    name: 'backends without addresses',
    driver: plans,
    inputs: [services, failing],
    rows: (key, { ingress }, read) =>
      [...backendsOf(ingress)].flatMap(([backend, field]) => {
        const service = `${ingress.namespace}/${backend}`
        const name = read.get(services, service)?.externalName ?? null
        const result = name === null ? undefined : read.get(failing, name)
        if (result === undefined) return []
        const problem =
          `names the Service ${service}, whose externalName ${name} cannot be looked up: ${result}; ` +
          'requests go to the addresses that it had before, or get 503'
        return [[`${key} ${backend} name`, { object: `Ingress ${key}`, field, problem, remedy: remedyOf(result) }]]
      }),
  })

function remedyOf(result: string): string {
  switch (result) {
    case 'nxdomain':
    case 'nodata':
      return 'correct spec.externalName, or give the name an A or AAAA record; it is looked up again and again'
    case 'servfail':
    case 'refused':
      return 'see the log of the DNS server that /etc/resolv.conf of the proxy names'
    default:
      return 'see that the servers in /etc/resolv.conf of the proxy can be reached from there'
  }
}
