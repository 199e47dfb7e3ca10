/** Where a raw object belongs: its resource, namespace and name. Kinds nobody knows are learnt. */
import { badRequest, type Failure } from './failure.ts'
import { excess, isObject, textOf, title, type ApiObject } from './object.ts'
import { apiVersionOf, splitApiVersion, type Resource, type Resources } from './resource.ts'

export type Located =
  { readonly resource: Resource; readonly namespace: string; readonly name: string } | { readonly failure: Failure }

/** `definitions`: CustomResourceDefinitions, which say whether a kind is in namespaces. */
export function locate(raw: unknown, resources: Resources, definitions: () => readonly ApiObject[]): Located {
  if (!isObject(raw)) return { failure: badRequest('an object was expected') }
  const { apiVersion, kind, metadata } = raw
  if (typeof apiVersion !== 'string' || typeof kind !== 'string' || !isObject(metadata)) {
    return { failure: badRequest(`${title(textOf(kind), undefined)} has no apiVersion, kind or metadata; add them`) }
  }
  const tooMuch = excess(raw)
  if (tooMuch !== null) return { failure: badRequest(`${title(kind, metadata)}: ${tooMuch}`) }
  const [group, version] = splitApiVersion(apiVersion)
  const known = resources.byKind(group, kind)
  const resource = known ?? resources.learn(apiVersion, kind, isNamespaced(group, kind, definitions()))
  if (resource === null) return { failure: badRequest(`${kind} is one kind more than this server can hold`) }
  if (resource.version !== version) {
    const served = apiVersionOf(resource)
    return { failure: badRequest(`${title(kind, metadata)}: ${apiVersion} is not served here; write ${served}`) }
  }
  const given = metadata['namespace']
  const namespace = !resource.namespaced ? '' : typeof given === 'string' && given !== '' ? given : 'default'
  return { resource, namespace, name: textOf(metadata['name'] ?? '') }
}

/** What the kind's definition says, else a guess: most kinds are. */
function isNamespaced(group: string, kind: string, definitions: readonly ApiObject[]): boolean {
  const definition = definitions.find(({ spec }) => spec?.group === group && spec.names?.kind === kind)
  return definition === undefined ? !kind.startsWith('Cluster') : definition['spec'].scope !== 'Cluster'
}
