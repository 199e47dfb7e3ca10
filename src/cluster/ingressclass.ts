import { parseMetadata } from './metadata.ts'
import { record } from './raw.ts'
import type { Parsed } from './rejection.ts'

/** networking.k8s.io/v1 IngressClass, reduced to what derivations read. */
export interface IngressClass {
  readonly name: string
  /** spec.controller: `k8s.io/ingress-nginx`. */
  readonly controller: string
  /** Of Ingresses that name no class. */
  readonly isDefault: boolean
}

/** Of a networking.k8s.io/v1 IngressClass as JSON. Never throws. */
export function parseIngressClass(raw: unknown): Parsed<IngressClass> {
  const meta = parseMetadata(raw, 'IngressClass', false)
  if ('rejected' in meta) return meta.rejected
  const { report, name } = meta
  const spec = record(meta.raw['spec'], 'spec', report)
  const annotations = record(meta.metadata['annotations'], 'metadata.annotations', report)
  const controller = spec['controller']
  if (typeof controller !== 'string' || controller === '') {
    report.reject('spec.controller', 'is missing: no controller serves the class', 'write the name of a controller')
    return report.parsed<IngressClass>(null)
  }
  return report.parsed<IngressClass>({ name, controller, isDefault: annotations[ANNOTATION_DEFAULT] === 'true' })
}

const ANNOTATION_DEFAULT = 'ingressclass.kubernetes.io/is-default-class'
