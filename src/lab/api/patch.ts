/** The patches the API takes: merge (RFC 7386), strategic merge (lists that are maps in disguise), JSON (RFC 6902). */
import { badRequest, type Failure } from './failure.ts'
import { draft, isObject, same, type ApiObject, type Fields } from './object.ts'
import { isSet, itemKey } from './list-keys.ts'

export type Patched = { readonly object: ApiObject } | { readonly failure: Failure }

/** The object with the patch applied, or why not. `type` is the request's content type. */
export function patched(object: ApiObject, patch: unknown, type: string): Patched {
  const next = draft(object)
  if (type.startsWith('application/json-patch+json')) return jsonPatched(next, patch)
  if (!isObject(patch)) return { failure: badRequest('a patch must be a JSON object') }
  if (type.startsWith('application/merge-patch+json')) return { object: merge(next, patch) as ApiObject }
  if (STRATEGIC.some((known) => type.startsWith(known))) {
    return { object: strategic(object.kind, next, patch) as ApiObject }
  }
  const message = `${type} is not a patch this server takes; use application/merge-patch+json`
  return { failure: { code: 415, reason: 'UnsupportedMediaType', message } }
}

function merge(target: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch
  const next: Fields = isObject(target) ? target : {}
  for (const [field, value] of Object.entries(patch)) {
    if (value === null) delete next[field]
    else next[field] = merge(next[field], value)
  }
  return next
}

/** Directives: $patch: replace | delete, $deleteFromPrimitiveList; the order directives are of no use here. */
function strategic(kind: string, target: unknown, patch: Fields): unknown {
  if (patch['$patch'] === 'replace') return without(patch, '$patch')
  const next: Fields = isObject(target) ? target : {}
  for (const [field, value] of Object.entries(patch)) {
    if (field.startsWith('$deleteFromPrimitiveList/')) {
      const list = field.slice(field.indexOf('/') + 1)
      if (Array.isArray(next[list])) next[list] = next[list].filter((item: unknown) => !value.includes(item))
    } else if (field === '$retainKeys') {
      for (const key of Object.keys(next)) if (!value.includes(key)) delete next[key]
    } else if (field.startsWith('$')) {
      continue
    } else if (value === null || (isObject(value) && value['$patch'] === 'delete')) {
      delete next[field]
    } else if (Array.isArray(value)) {
      next[field] = strategicList(kind, field, Array.isArray(next[field]) ? next[field] : [], value)
    } else {
      next[field] = isObject(value) ? strategic(kind, next[field], value) : value
    }
  }
  return next
}

function strategicList(kind: string, field: string, target: unknown[], patch: unknown[]): unknown[] {
  const replaces = patch.some((item) => isObject(item) && item['$patch'] === 'replace')
  const items = patch.filter((item) => !isObject(item) || item['$patch'] !== 'replace')
  if (replaces) return items
  if (isSet(field)) return [...new Set([...target, ...items])]
  if (items.some((item) => itemKey(kind, field, item) === null)) return items
  const byKey = new Map(target.map((item) => [itemKey(kind, field, item), item]))
  for (const item of items as Fields[]) {
    const key = itemKey(kind, field, item)
    if (item['$patch'] === 'delete') byKey.delete(key)
    else byKey.set(key, strategic(kind, byKey.get(key), item))
  }
  return [...byKey.values()]
}

function jsonPatched(next: ApiObject, patch: unknown): Patched {
  if (!Array.isArray(patch)) return { failure: badRequest('a JSON patch must be a list of operations') }
  const root: Fields = { '': next }
  for (const [index, operation] of patch.entries()) {
    const problem = isObject(operation) ? operate(root, operation) : 'is not an object'
    if (problem !== null) return { failure: badRequest(`operation ${index} of the JSON patch ${problem}`) }
  }
  return { object: root[''] as ApiObject }
}

function operate(root: Fields, { op, path, from, value }: Fields): string | null {
  const to = pointer(root, path)
  if (to === null) return `has a path that is not there: ${path}`
  const moved = op === 'move' || op === 'copy' ? pointer(root, from) : null
  if ((op === 'move' || op === 'copy') && (moved === null || !moved.has())) return `has no such source: ${from}`
  if (['remove', 'replace', 'test'].includes(op) && !to.has()) return `has a path that is not there: ${path}`
  if (op === 'test') return same(to.get(), value) ? null : `tests ${path}, which has another value`
  if (op === 'remove') to.remove()
  else if (op === 'replace') to.set(value)
  else if (op === 'add') to.add(value)
  else if (op === 'copy') to.add(draft(moved!.get()))
  else if (op === 'move') {
    const what = moved!.get()
    moved!.remove()
    to.add(what)
  } else return `is none of add, remove, replace, move, copy, test: ${op}`
  return null
}

/** A place in a document (RFC 6901); null when its parent is not there. */
function pointer(root: Fields, path: unknown) {
  if (typeof path !== 'string' || (path !== '' && !path.startsWith('/'))) return null
  const steps = path.split('/').map((step) => step.replaceAll('~1', '/').replaceAll('~0', '~'))
  const last = steps.pop()!
  let parent: Fields = root
  for (const step of steps) {
    const inner: unknown = Object.hasOwn(parent, step) ? parent[step] : undefined
    if (typeof inner !== 'object' || inner === null) return null
    parent = inner
  }
  if (!Array.isArray(parent)) {
    return {
      has: () => Object.hasOwn(parent, last),
      get: (): unknown => parent[last],
      set: (value: unknown) => void (parent[last] = value),
      add: (value: unknown) => void (parent[last] = value),
      remove: () => void delete parent[last],
    }
  }
  const list = parent
  const at = last === '-' ? list.length : Number(last)
  if (!Number.isInteger(at) || at < 0 || at > list.length) return null
  return {
    has: () => at < list.length,
    get: (): unknown => list[at],
    set: (value: unknown) => void (list[at] = value),
    add: (value: unknown) => void list.splice(at, 0, value),
    remove: () => void list.splice(at, 1),
  }
}

function without(object: Fields, field: string): Fields {
  const { [field]: _, ...rest } = object
  return rest
}

/** Server-side apply (YAML is a superset of JSON) is taken as a merge: there are no field managers here. */
const STRATEGIC = ['application/strategic-merge-patch+json', 'application/apply-patch+yaml']
