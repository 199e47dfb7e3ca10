/**
 * Makes the store hold what files say, as `kubectl apply` does: what a file no longer says is taken back, what others
 * set (replicas by `scale`, addresses by the cluster) stays.
 */
import { badRequest, type Failure } from './failure.ts'
import { isKeyed, itemKey } from './list-keys.ts'
import { draft, isObject, textOf, title, type ApiObject, type Fields, type Ref } from './object.ts'
import { refKey } from './owned.ts'
import { refOf, type Outcome, type Store } from './store.ts'

export interface ApplyOptions {
  /** Whose objects these are (e.g. `files`): all of them. Objects applied for it earlier that are not among them are deleted. */
  readonly owner?: string
  /** For objects that name none. Default `default`. */
  readonly namespace?: string
  /** Deletes and makes anew what cannot change in place (a bare Pod, a Job). Default: when there is an owner, whose files are followed. */
  readonly replace?: boolean
}

export interface Applied {
  /** For people: `Deployment shop/web`. */
  readonly object: string
  /** Where it is; null when it was rejected before that was known. */
  readonly ref: Ref | null
  readonly action: 'created' | 'configured' | 'replaced' | 'unchanged' | 'deleted' | 'rejected'
  /** Why it was rejected; else ''. */
  readonly message: string
}

/** Each object on its own: one that is rejected stops no other. Lists (`kind: List`) are opened. */
export function applyObjects(store: Store, raws: readonly unknown[], options: ApplyOptions = {}): Applied[] {
  const results: Applied[] = []
  const seen = new Set<string>()
  for (const raw of inOrder(raws.flatMap(open))) {
    const placed = placeIn(store, raw, options.namespace ?? 'default')
    if ('failure' in placed) {
      results.push(rejected(raw, null, placed.failure))
      continue
    }
    const { ref, object } = placed
    const key = refKey(ref)
    if (seen.has(key))
      results.push(rejected(raw, ref, badRequest('it is there twice: the first one counts; remove one')))
    else results.push(applyOne(store, ref, object, options))
    seen.add(key)
  }
  if (options.owner !== undefined) results.push(...prune(store, options.owner, seen))
  return results
}

/** What the live object becomes when the file said `last` before and says `next` now. */
export function threeWay(last: Fields, live: Fields, next: Fields): Fields {
  return mergeFields(textOf(next['kind']), last, live, next)
}

function applyOne(
  store: Store,
  ref: Ref,
  object: Fields,
  { owner, replace = owner !== undefined }: ApplyOptions,
): Applied {
  const next = noted(object, owner)
  const live = store.get(ref.resource, ref.namespace, ref.name)
  const done = (outcome: Outcome, action: Applied['action']): Applied =>
    outcome.ok
      ? { object: title(object['kind'], object['metadata']), ref, action, message: '' }
      : rejected(object, ref, outcome.failure)
  if (live === undefined) return done(store.create(next), 'created')
  const outcome = configure(store, live, next)
  if (outcome.ok) return done(outcome, outcome.object === live ? 'unchanged' : 'configured')
  const isFixed = outcome.failure.problems?.every((problem) => problem.fixed) === true
  if (!replace || !isFixed) return done(outcome, 'rejected')
  store.delete(ref, { graceSeconds: 0 })
  const made = store.create(next)
  if (!made.ok) store.create(live) // nothing better than what there was
  return done(made, 'replaced')
}

/** With what is needed to know later what was said, and for whom. Status is not people's to say, but of objects like Nodes. */
function noted(object: Fields, owner: string | undefined): Fields {
  const annotations = { ...object['metadata'].annotations, ...(owner !== undefined && { [OWNER]: owner }) }
  const wanted: Fields = { ...object, metadata: { ...object['metadata'], annotations } }
  delete wanted['status']
  const metadata = { ...wanted['metadata'], annotations: { ...annotations, [LAST]: JSON.stringify(wanted) } }
  return { ...object, metadata }
}

function configure(store: Store, live: ApiObject, next: Fields): Outcome {
  if (live.metadata.deletionTimestamp !== undefined) {
    return { ok: false, failure: badRequest('it is being deleted: apply it again when it is gone') }
  }
  const { status: _, ...wanted } = next
  const { resourceVersion: _stale, uid: _other, ...metadata } = next['metadata'] // of the file: no word about what is stored
  return store.update(threeWay(lastApplied(live), live, { ...wanted, metadata }))
}

function prune(store: Store, owner: string, keep: ReadonlySet<string>): Applied[] {
  const results: Applied[] = []
  for (const { plural } of store.resources.all()) {
    for (const object of store.list(plural)) {
      const isTheirs = object.metadata.annotations?.[OWNER] === owner && object.metadata.annotations[LAST] !== undefined
      const ref = refOf(plural, object)
      if (!isTheirs || keep.has(refKey(ref)) || object.metadata.deletionTimestamp !== undefined) continue
      const outcome = store.delete(ref)
      if (!outcome.ok) results.push(rejected(object, ref, outcome.failure))
      else results.push({ object: title(object.kind, object.metadata), ref, action: 'deleted', message: '' })
    }
  }
  return results
}

function mergeFields(kind: string, last: Fields, live: Fields, next: Fields): Fields {
  const merged: Fields = { ...live }
  for (const field of Object.keys(last)) if (isGone(next[field])) delete merged[field]
  for (const [field, value] of Object.entries(next)) {
    if (isGone(value)) delete merged[field]
    else merged[field] = mergeValue(kind, field, last[field], live[field], value)
  }
  return merged
}

function mergeValue(kind: string, field: string, last: unknown, live: unknown, next: unknown): unknown {
  if (isObject(next) && isObject(live)) return mergeFields(kind, isObject(last) ? last : {}, live, next)
  if (!Array.isArray(next) || !Array.isArray(live)) return next
  if (!isKeyed(kind, field, next) || !isKeyed(kind, field, live)) return next
  const byKey = (list: unknown): Map<string | null, Fields> =>
    new Map((Array.isArray(list) ? list : []).map((item: Fields) => [itemKey(kind, field, item), item]))
  const [were, are] = [byKey(last), byKey(live)]
  const said = byKey(next)
  const merged = [...said].map(([key, item]) => mergeFields(kind, were.get(key) ?? {}, are.get(key) ?? {}, item))
  const others = [...are].filter(([key]) => !said.has(key) && !were.has(key)).map(([, item]) => item)
  return [...merged, ...others]
}

/** In YAML `field:` with nothing behind it is null: said to be absent. */
function isGone(value: unknown): boolean {
  return value === undefined || value === null
}

function lastApplied(live: ApiObject): Fields {
  try {
    const last: unknown = JSON.parse(live.metadata.annotations?.[LAST] ?? '{}')
    return isObject(last) ? last : {}
  } catch {
    return {} // somebody else's annotation: nothing is taken back
  }
}

function placeIn(store: Store, raw: unknown, namespace: string): { ref: Ref; object: Fields } | { failure: Failure } {
  const first = store.locate(raw)
  if ('failure' in first) return first
  const object: Fields = draft(raw as Fields)
  const { resource, name } = first
  if (name === '') return { failure: badRequest('metadata.name is missing; give the object a name') }
  if (resource.namespaced) object['metadata'].namespace ||= namespace
  else delete object['metadata'].namespace
  return { ref: { resource: resource.plural, namespace: object['metadata'].namespace ?? '', name }, object }
}

/** Namespaces before what is in them; the rest in the order of the files. */
function inOrder(raws: readonly unknown[]): unknown[] {
  const isNamespace = (raw: unknown): boolean => isObject(raw) && raw['kind'] === 'Namespace'
  return [...raws.filter(isNamespace), ...raws.filter((raw) => !isNamespace(raw))]
}

function open(raw: unknown): unknown[] {
  if (raw === null || raw === undefined) return [] // an empty document
  const isList = isObject(raw) && textOf(raw['kind']).endsWith('List') && Array.isArray(raw['items'])
  return isList ? (raw['items'] as unknown[]).filter((item) => item !== null) : [raw]
}

function rejected(raw: unknown, ref: Ref | null, { message }: Failure): Applied {
  const fields = isObject(raw) ? raw : {}
  const name = title(textOf(fields['kind'] ?? 'object'), isObject(fields['metadata']) ? fields['metadata'] : undefined)
  return { object: name, ref, action: 'rejected', message }
}

const LAST = 'kubectl.kubernetes.io/last-applied-configuration'
const OWNER = 'fairlead.dev/applied-for'
