/** What a client asks first: which groups, versions and resources there are. */
import type { Fields } from './object.ts'
import { apiVersionOf, type Resource, type Resources } from './resource.ts'

/** null: the path is not one of discovery. */
export function discover(path: string, resources: Resources): Fields | null {
  if (path === '/version')
    return { major: '1', minor: '35', gitVersion: 'v1.35.0+fairlead-lab', platform: process.platform }
  if (path === '/api') return { kind: 'APIVersions', versions: ['v1'] }
  if (path === '/apis') return { kind: 'APIGroupList', apiVersion: 'v1', groups: groups(resources) }
  const served = [...resources.all()].filter((resource) => pathOf(resource) === path)
  if (served.length > 0) return resourceList(served)
  const group = groups(resources).find(({ name }) => path === `/apis/${name}`)
  return group === undefined ? null : { kind: 'APIGroup', apiVersion: 'v1', ...group }
}

function pathOf(resource: Resource): string {
  return resource.group === '' ? `/api/${resource.version}` : `/apis/${apiVersionOf(resource)}`
}

function groups(resources: Resources): { name: string; versions: Fields[]; preferredVersion: Fields }[] {
  const versions = new Map<string, Set<string>>()
  for (const resource of resources.all()) {
    if (resource.group !== '') versions.getOrInsertComputed(resource.group, () => new Set()).add(resource.version)
  }
  return [...versions].map(([name, found]) => {
    const listed = [...found].map((version) => ({ groupVersion: `${name}/${version}`, version }))
    return { name, versions: listed, preferredVersion: listed[0]! }
  })
}

function resourceList(served: readonly Resource[]): Fields {
  const entry = (r: Resource, subresource = ''): Fields => ({
    name: subresource === '' ? r.plural : `${r.plural}/${subresource}`,
    singularName: r.kind.toLowerCase(),
    namespaced: r.namespaced,
    kind: subresource === 'scale' ? 'Scale' : r.kind,
    ...(subresource === 'scale' && { group: 'autoscaling', version: 'v1' }),
    verbs: subresource === '' ? VERBS : ['get', 'patch', 'update'],
    ...(subresource === '' && r.shortNames.length > 0 && { shortNames: r.shortNames }),
  })
  const resources = served.flatMap((r) => [
    entry(r),
    ...(r.status ? [entry(r, 'status')] : []),
    ...(r.scale ? [entry(r, 'scale')] : []),
  ])
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: apiVersionOf(served[0]!), resources }
}

const VERBS = ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch']
