/** The admission plugin DefaultIngressClass: a new Ingress without a class gets the default one, as on a real API server. */
import type { Failure } from './failure.ts'
import { isObject, type ApiObject } from './object.ts'
import type { Resource } from './resource.ts'
import type { Admission, Store } from './store.ts'

export const ingressClassAdmission: Admission = {
  admit(next: ApiObject, previous: ApiObject | null, { plural }: Resource, store: Store): Failure | null {
    const spec: unknown = next['spec']
    if (plural !== 'ingresses' || previous !== null || !isObject(spec)) return null
    if (spec['ingressClassName'] !== undefined || next.metadata.annotations?.[OLD] !== undefined) return null
    // Of several the newest counts, then the first by name (plugin/pkg/admission/network/defaultingressclass).
    const [first] = store
      .list('ingressclasses')
      .filter(({ metadata }) => metadata.annotations?.[DEFAULT] === 'true')
      .toSorted(({ metadata: a }, { metadata: b }) => Date.parse(b.creationTimestamp) - Date.parse(a.creationTimestamp))
    if (first !== undefined) spec['ingressClassName'] = first.metadata.name
    return null
  },
}

const DEFAULT = 'ingressclass.kubernetes.io/is-default-class'
const OLD = 'kubernetes.io/ingress.class'
