/** The /scale subresource: how many, without the rest of the object (autoscaling/v1 Scale). */
import { isObject, type ApiObject, type Fields } from './object.ts'
import { labelSelector } from './selector.ts'

export function scaleOf(object: ApiObject): Fields {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: { replicas: object['spec'].replicas },
    status: { replicas: object['status']?.replicas ?? 0, selector: selectorText(object) },
  }
}

/** The object with the replicas of a Scale; null when the Scale has no whole number of them. */
export function scaled(object: ApiObject, scale: unknown): ApiObject | null {
  const spec: unknown = isObject(scale) ? scale['spec'] : undefined
  const replicas: unknown = isObject(spec) ? (spec['replicas'] ?? 0) : undefined
  if (!Number.isInteger(replicas) || (replicas as number) < 0) return null
  const resourceVersion =
    isObject(scale) && isObject(scale['metadata']) ? scale['metadata']['resourceVersion'] : undefined
  const metadata = { ...object.metadata, resourceVersion: String(resourceVersion ?? '') }
  return { ...object, metadata, spec: { ...object['spec'], replicas } }
}

function selectorText(object: ApiObject): string {
  const requirements = labelSelector(object['spec'].selector) ?? []
  return requirements.map(({ key, operator, values }) => text(key, operator, values)).join(',')
}

function text(key: string, operator: string, values: readonly string[]): string {
  if (operator === 'Exists') return key
  if (operator === 'DoesNotExist') return `!${key}`
  if (operator === 'In' && values.length === 1) return `${key}=${values[0]}`
  return `${key} ${operator.toLowerCase()} (${values.join(',')})`
}
