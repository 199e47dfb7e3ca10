/** What the API server knows of the kinds that run here: the defaults it fills in and what it refuses. */
import { invalid, type Failure } from '../failure.ts'
import { isObject, type ApiObject } from '../object.ts'
import type { Resource } from '../resource.ts'
import type { Admission } from '../store.ts'
import { checkEndpointSlice, defaultEndpointSlice } from './endpointslice.ts'
import { checkMetadata } from './metadata.ts'
import { checkPod, defaultPod } from './pod.ts'
import { byDefault, Problems } from './problems.ts'
import { checkService, defaultService } from './service.ts'
import { conform, METADATA, SHAPES, type Shape } from './shape.ts'
import { checkWorkload, defaultWorkload } from './workload.ts'

interface KindRules {
  readonly fill?: (object: ApiObject, previous: ApiObject | null) => void
  readonly check?: (object: ApiObject, previous: ApiObject | null, problems: Problems) => void
}

export const kindAdmission: Admission = {
  admit(next: ApiObject, previous: ApiObject | null, resource: Resource): Failure | null {
    const problems = new Problems()
    conform(next.metadata, METADATA, 'metadata', problems)
    const shape = SHAPES[resource.plural]
    if (isObject(shape)) {
      for (const [field, inner] of Object.entries(shape)) {
        if (next[field] === null) delete next[field]
        if (next[field] !== undefined) conform(next[field], inner as Shape, field, problems)
      }
    }
    if (problems.found.length === 0) {
      const rules = KINDS[resource.plural]
      rules?.fill?.(next, previous)
      checkMetadata(next, resource, problems)
      rules?.check?.(next, previous, problems)
    }
    return problems.found.length === 0 ? null : invalid(next.kind, next.metadata, problems.found)
  },
}

function defaultNamespace(namespace: ApiObject): void {
  namespace.metadata.labels = { ...namespace.metadata.labels, 'kubernetes.io/metadata.name': namespace.metadata.name }
  byDefault(namespace, 'spec', { finalizers: ['kubernetes'] })
  byDefault(namespace['spec'], 'finalizers', ['kubernetes'])
  byDefault(namespace, 'status', { phase: 'Active' })
}

const WORKLOAD: KindRules = { fill: defaultWorkload, check: checkWorkload }
const KINDS: Readonly<Record<string, KindRules>> = {
  pods: { fill: defaultPod, check: checkPod },
  services: { fill: defaultService, check: checkService },
  endpointslices: { fill: defaultEndpointSlice, check: checkEndpointSlice },
  deployments: WORKLOAD,
  replicasets: WORKLOAD,
  statefulsets: WORKLOAD,
  daemonsets: WORKLOAD,
  jobs: WORKLOAD,
  namespaces: { fill: defaultNamespace },
}
