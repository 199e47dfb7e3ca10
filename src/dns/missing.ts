import type { Namespace } from '../cluster/namespace.ts'
import type { Service } from '../cluster/service.ts'
import type { Readable } from '../core/table.ts'
import { nearest } from './corefile/problem.ts'
import { isWithin } from './names.ts'

export interface Cluster {
  readonly services: Readable<Service>
  readonly namespaces: Readable<Namespace>
}

/**
 * Why a name of the cluster does not exist, in a sentence, with what was probably meant. `name` and `zones` are absolute and
 * lower case. null: it lies in none of these zones, or nothing can be said. Looks at every Service: for people, not for packets.
 */
export function whyMissing(name: string, zones: readonly string[], { services, namespaces }: Cluster): string | null {
  const zone = zones.find((each) => isWithin(name, each))
  if (zone === undefined || name === zone) return null
  const labels = name.slice(0, name.length - zone.length - (zone === '.' ? 0 : 1)).split('.')
  const [kind, namespace, service, ...below] = labels.reverse()
  if (kind === 'pod') return namespaceProblem(namespace, namespaces) ?? 'no pod has such a name'
  if (kind !== 'svc') return `names of Services end in .svc.${zone}: NAME.NAMESPACE.svc.${zone}`
  const problem = namespaceProblem(namespace, namespaces)
  if (problem !== null || namespace === undefined || service === undefined) return problem
  const held = services.get(`${namespace}/${service}`)
  if (held === undefined) return `no Service ${service} in namespace ${namespace}${meant(service, namespace, services)}`
  if (below.length > 0) return `Service ${namespace}/${service} has no port or ready endpoint of that name`
  if (held.headless) return `Service ${namespace}/${service} is headless, and has no ready endpoint`
  return `Service ${namespace}/${service} has no ready endpoint, and is hidden then, or has no name that fits`
}

function namespaceProblem(namespace: string | undefined, namespaces: Readable<Namespace>): string | null {
  if (namespace === undefined || namespaces.get(namespace) !== undefined) return null
  const close = nearest(
    namespace,
    [...namespaces.entries()].map(([, { name }]) => name),
  )
  return `no namespace ${namespace}${close === null ? '' : `; did you mean ${close}?`}`
}

function meant(name: string, namespace: string, services: Readable<Service>): string {
  const all = [...services.entries()].map(([, service]) => service)
  const close = nearest(
    name,
    all.filter((service) => service.namespace === namespace).map((service) => service.name),
  )
  if (close !== null) return `; did you mean ${close}?`
  const elsewhere = all.filter((service) => service.name === name).map((service) => service.namespace)
  if (elsewhere.length === 0) return ''
  const shown = elsewhere.sort().slice(0, SHOWN_MAX).join(', ')
  return `; there is one in ${shown}${elsewhere.length > SHOWN_MAX ? ` and ${elsewhere.length - SHOWN_MAX} more` : ''}`
}

const SHOWN_MAX = 3
