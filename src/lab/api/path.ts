/** Where a request points: /api/v1/namespaces/shop/pods/web-0/status. */
import type { Resource, Resources } from './resource.ts'

export interface Place {
  readonly resource: Resource
  /** Undefined: all namespaces. '' for resources of the cluster. */
  readonly namespace: string | undefined
  readonly name: string | undefined
  readonly subresource: string | undefined
}

/** null: nothing is served there. */
export function parsePath(path: string, resources: Resources): Place | null {
  const steps = decode(path)
  if (steps === null) return null
  const [root, ...rest] = steps
  if (root === 'api') return place(resources, '', rest)
  if (root === 'apis') return place(resources, rest.shift() ?? '', rest)
  return null
}

function place(resources: Resources, group: string, steps: string[]): Place | null {
  const [version, ...rest] = steps
  if (version === undefined) return null
  // /namespaces/NAME and its subresources are the namespace itself; anything longer is in it
  const inNamespace = rest[0] === 'namespaces' && rest.length > 2 && !NAMESPACE_SUBRESOURCES.has(rest[2]!)
  const [plural, name, subresource, ...more] = inNamespace ? rest.slice(2) : rest
  if (plural === undefined || more.length > 0) return null
  const resource = resources.byPath(group, version, plural)
  if (resource === undefined || (inNamespace && !resource.namespaced)) return null
  if (resource.namespaced && !inNamespace && name !== undefined) return null
  const namespace = !resource.namespaced ? '' : inNamespace ? rest[1]! : undefined
  return { resource, namespace, name, subresource }
}

function decode(path: string): string[] | null {
  try {
    return path
      .split('/')
      .filter((step) => step !== '')
      .map(decodeURIComponent)
  } catch {
    return null // a lone % sign
  }
}

const NAMESPACE_SUBRESOURCES = new Set(['status', 'finalize'])
