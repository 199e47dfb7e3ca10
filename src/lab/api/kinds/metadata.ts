/** What all objects have in common. */
import type { ApiObject } from '../object.ts'
import type { Resource } from '../resource.ts'
import type { Problems } from './problems.ts'

export function checkMetadata(object: ApiObject, resource: Resource, problems: Problems): void {
  const { metadata } = object
  if (metadata.name === '') problems.add('metadata.name', 'is missing', 'give the object a name')
  else if (LABEL_NAMES.has(resource.plural)) problems.label('metadata.name', metadata.name)
  else if (resource.group === 'rbac.authorization.k8s.io') checkPathName(metadata.name, problems)
  else problems.subdomain('metadata.name', metadata.name)
  if (metadata.namespace !== undefined) problems.label('metadata.namespace', metadata.namespace)
  problems.labels('metadata.labels', metadata.labels)
  let size = 0
  for (const [key, value] of Object.entries(metadata.annotations ?? {})) {
    if (typeof value !== 'string') {
      problems.add(`metadata.annotations.${key}`, 'is not a string', 'put it in quotes')
    } else size += key.length + value.length
  }
  if (size > ANNOTATIONS_MAX_BYTES) {
    problems.add('metadata.annotations', `are ${size} bytes in all`, `keep them under ${ANNOTATIONS_MAX_BYTES}`)
  }
}

/** Names like `system:node` (path segment names). */
function checkPathName(name: unknown, problems: Problems): void {
  if (typeof name === 'string' && name.length <= 253 && !/[/%]/.test(name)) return
  problems.add('metadata.name', 'is not a path segment', 'leave out / and %')
}

const ANNOTATIONS_MAX_BYTES = 256 * 1024
const LABEL_NAMES = new Set(['namespaces', 'services'])
