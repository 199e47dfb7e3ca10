/** Backends without an endpoint to send to. What becomes of pods changes by itself, so this is no fault that `fairlead lint` could find. */
import type { Rejection } from '../cluster/rejection.ts'
import type { Service } from '../cluster/service.ts'
import { derive } from '../core/derive.ts'
import type { Graph } from '../core/graph.ts'
import type { Readable } from '../core/table.ts'
import type { Plan, Served } from './plan.ts'

interface Inputs {
  readonly plans: Readable<Plan>
  readonly services: Readable<Service>
  readonly staffed: Readable<true>
}

/** Once for each Service that an Ingress names: where it names it first. */
export const deriveUnstaffed = (graph: Graph, { plans, services, staffed }: Inputs): Readable<Rejection> =>
  derive<Rejection, Plan>(graph, {
    name: 'backends without endpoints',
    driver: plans,
    inputs: [services, staffed],
    rows: (key, { ingress, annotations }, read) => {
      const { namespace } = ingress
      const spare = annotations.answering.defaultBackend
      const isStaffed = (service: string): boolean => read.get(staffed, `${namespace}/${service}`) !== undefined
      if (spare !== null && isStaffed(spare)) return [] // that one answers
      return [...backendsOf(ingress)].flatMap(([service, field]) => {
        // One that is not there is told where routes are made.
        if (isStaffed(service) || read.get(services, `${namespace}/${service}`) === undefined) return []
        const problem = `names the Service ${namespace}/${service}, which has no endpoint that is ready; requests get 503`
        const remedy = `see why: kubectl describe service ${service} -n ${namespace}; its selector may fit no pod, or none is ready`
        return [[`${key} ${service}`, { object: `Ingress ${key}`, field, problem, remedy }] as const]
      })
    },
  })

/** Services that an Ingress names, each with the field where it does so first. */
export function backendsOf({ rules, defaultBackend }: Served): ReadonlyMap<string, string> {
  const named = new Map<string, string>()
  for (const { backend, field } of rules.flatMap(({ paths }) => paths))
    if (backend !== null && !named.has(backend.service)) named.set(backend.service, `${field}.backend`)
  if (defaultBackend !== null && !named.has(defaultBackend.service))
    named.set(defaultBackend.service, 'spec.defaultBackend')
  return named
}
