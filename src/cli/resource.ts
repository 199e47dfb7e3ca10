/** What people call things (`po`, `deploy`, `Service`, `ingresses.networking.k8s.io`), found by asking the API, as kubectl does. */
import type { Api } from './lab-client.ts'
import { Failure } from './failure.ts'

export interface Resource {
  /** '' is the core group. */
  readonly group: string
  readonly version: string
  /** Plural: `pods`. */
  readonly name: string
  readonly kind: string
  readonly namespaced: boolean
}

/** Throws a Failure when the cluster has no such resource. */
export async function findResource(api: Api, word: string): Promise<Resource> {
  const [name, ...rest] = word.split('.')
  const group = rest.length > 0 ? rest.join('.') : null
  // Most of what is asked for lies in the core group: one request then.
  const core = group === null ? pick(await listResources(api, 'v1'), name!) : undefined
  if (core) return core
  const { groups } = await api.must<{ groups: { name: string; preferredVersion: { groupVersion: string } }[] }>({
    path: '/apis',
  })
  const wanted = groups.filter((entry) => group === null || entry.name === group)
  const lists = await Promise.all(wanted.map((entry) => listResources(api, entry.preferredVersion.groupVersion)))
  const found = lists.map((list) => pick(list, name!)).find((resource) => resource !== undefined)
  if (!found)
    throw new Failure(`the cluster has no resource "${word}"; pods, services, nodes and endpointslices are some it has`)
  return found
}

/** By what an object says of itself; null when the cluster does not know the kind (yet). */
export async function resourceOf(api: Api, apiVersion: string, kind: string): Promise<Resource | null> {
  return (await listResources(api, apiVersion)).find((resource) => resource.kind === kind) ?? null
}

/** Path of a collection or, with a name, of one object. `namespace` null: all, or none. */
export function pathOf(resource: Resource, namespace: string | null, name?: string, subresource?: string): string {
  const base = resource.group === '' ? `/api/${resource.version}` : `/apis/${resource.group}/${resource.version}`
  const inside = namespace !== null && resource.namespaced ? `/namespaces/${encodeURIComponent(namespace)}` : ''
  const object = name === undefined ? '' : `/${encodeURIComponent(name)}`
  return `${base}${inside}/${resource.name}${object}${subresource === undefined ? '' : `/${subresource}`}`
}

/** As kubectl prints them: `pod/web-0`, `deployment.apps/web`. */
export function titleOf(resource: Resource, name: string): string {
  return `${resource.kind.toLowerCase()}${resource.group === '' ? '' : `.${resource.group}`}/${name}`
}

type Listed = Resource & { readonly singularName: string; readonly shortNames: readonly string[] }

async function listResources(api: Api, groupVersion: string): Promise<readonly Listed[]> {
  const known = lists.get(api)?.get(groupVersion)
  if (known) return known
  const reply = await api.ask({ path: groupVersion.includes('/') ? `/apis/${groupVersion}` : `/api/${groupVersion}` })
  if (reply.code === 404) return []
  const { resources = [] } = reply.body as {
    resources?: (Partial<Listed> & { name: string; kind: string; namespaced: boolean })[]
  }
  const [first, second] = groupVersion.split('/')
  const [group, version] = second === undefined ? ['', first!] : [first!, second]
  const made = resources
    .filter(({ name }) => !name.includes('/')) // subresources
    .map(({ name, kind, namespaced, singularName = '', shortNames = [] }) => ({
      ...{ group, version, name, kind, namespaced, singularName, shortNames },
    }))
  if (!lists.has(api)) lists.set(api, new Map())
  lists.get(api)!.set(groupVersion, made)
  return made
}

function pick(list: readonly Listed[], word: string): Resource | undefined {
  const lower = word.toLowerCase()
  return list.find(
    ({ name, kind, singularName, shortNames }) =>
      name === lower || singularName === lower || kind.toLowerCase() === lower || shortNames.includes(lower),
  )
}

/** An apply of 50 objects asks for each group once. */
const lists = new WeakMap<Api, Map<string, readonly Listed[]>>()
