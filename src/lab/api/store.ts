/**
 * The objects of the lab's cluster: what etcd and the storage layer of an API server are to a real one. One revision
 * counter, optimistic concurrency, finalizers, graceful deletion of pods, and a bounded history for watches.
 *
 * Everything is synchronous and single-threaded; every write is whole or not at all. Objects that come out are frozen.
 */
import { randomUUID } from 'node:crypto'
import { graceOf, isHeld, type DeleteOptions } from './ending.ts'
import { alreadyExists, conflict, forbidden, notFound, type Failure } from './failure.ts'
import { History, type Change } from './history.ts'
import { draft, freeze, same, textOf, timestamp, type ApiObject, type Fields, type Ref } from './object.ts'
import { Objects } from './objects.ts'
import { locate, type Located } from './locate.ts'
import { Owned } from './owned.ts'
import { apiVersionOf, Resources, resourceTitle, type Resource } from './resource.ts'
import { Suffixes } from './suffix.ts'

export type Outcome =
  { readonly ok: true; readonly object: ApiObject } | { readonly ok: false; readonly failure: Failure }

/** Which part of an object a write is about: the other part is kept as it is. */
export type Part = 'object' | 'status'

/** Defaults and checks before a write, e.g. of Services. Changes `next` in place. */
export interface Admission {
  admit(next: ApiObject, previous: ApiObject | null, resource: Resource, store: Store): Failure | null
}

export interface StoreOptions {
  readonly admissions?: readonly Admission[]
  readonly nowMs?: () => number
  readonly historySize?: number
  readonly seed?: number
}

export class Store {
  readonly resources = new Resources()
  readonly nowMs: () => number
  readonly #admissions: readonly Admission[]
  readonly #history: History
  readonly #suffixes: Suffixes
  readonly #objects = new Objects()
  readonly #owned = new Owned()
  readonly #listeners = new Set<(change: Change) => void>()
  #revision = 0
  #notifying = false

  constructor(options: StoreOptions = {}) {
    this.nowMs = options.nowMs ?? Date.now
    this.#admissions = options.admissions ?? []
    this.#history = new History(options.historySize ?? HISTORY_SIZE)
    this.#suffixes = new Suffixes(options.seed)
  }

  /** The last commit's number. */
  get revision(): number {
    return this.#revision
  }

  get(resource: string, namespace: string, name: string): ApiObject | undefined {
    return this.#objects.get({ resource, namespace, name })
  }

  /** Of one namespace, or of all when it is left out; sorted by namespace and name. */
  list(resource: string, namespace?: string): ApiObject[] {
    return this.#objects.list(resource, namespace)
  }

  /** What names the object with this uid among its ownerReferences. */
  ownedBy(uid: string): ApiObject[] {
    return this.#owned.by(uid).flatMap((ref) => this.get(ref.resource, ref.namespace, ref.name) ?? [])
  }

  hasUid(uid: string): boolean {
    return this.#owned.has(uid)
  }

  /** Calls back within every commit: mark what is dirty, never write from there. Returns what ends it. */
  onChange(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Changes after `revision`; null: too far back, list again. */
  since(revision: number): Change[] | null {
    return this.#history.since(revision)
  }

  /** Forgets history, as etcd's compaction does: every older watch must list again. */
  compact(): void {
    this.#history.compact()
  }

  /** A namespace that does not exist yet is made. */
  create(raw: unknown): Outcome {
    const located = this.locate(raw)
    if ('failure' in located) return fail(located.failure)
    const { resource, namespace } = located
    const next = draft(raw) as ApiObject
    const name = this.#nameFor(next.metadata, resource, namespace)
    const was = this.get(resource.plural, namespace, name)
    if (was !== undefined) return fail(alreadyExists(`${resourceTitle(resource)} "${name}"`))
    next.apiVersion = apiVersionOf(resource)
    next.metadata = {
      ...next.metadata,
      name,
      ...(resource.namespaced && { namespace }),
      uid: randomUUID(),
      creationTimestamp: timestamp(this.nowMs()),
      ...('spec' in next && { generation: 1 }),
    }
    for (const field of SYSTEM_FIELDS) delete (next.metadata as unknown as Fields)[field]
    if (resource.status && resource.plural !== 'nodes') delete next['status'] // a node tells its addresses with its creation
    return this.#write(resource, next, null)
  }

  /** Replaces. With a resourceVersion or uid in it, only if that is still so (409). */
  update(raw: unknown, part: Part = 'object'): Outcome {
    const located = this.locate(raw)
    if ('failure' in located) return fail(located.failure)
    const { resource, namespace, name } = located
    const what = `${resourceTitle(resource)} "${name}"`
    const previous = this.get(resource.plural, namespace, name)
    if (previous === undefined) return fail(notFound(what))
    const { resourceVersion, uid } = (raw as ApiObject).metadata
    if (resourceVersion && resourceVersion !== previous.metadata.resourceVersion) return fail(conflict(what, STALE))
    if (uid && uid !== previous.metadata.uid) return fail(conflict(what, 'it is another object of the same name'))
    return this.#replace(resource, draft(raw as ApiObject), previous, part)
  }

  /** Reads, changes a draft, writes. What a controller or kubelet uses: there is no race within one process. */
  modify(ref: Ref, change: (next: ApiObject) => void, part: Part = 'object'): Outcome {
    const resource = this.resources.get(ref.resource)
    const previous = this.get(ref.resource, ref.namespace, ref.name)
    if (resource === undefined || previous === undefined) return fail(notFound(`${ref.resource} "${ref.name}"`))
    const next = draft(previous)
    change(next)
    return this.#replace(resource, draft(next), previous, part) // again: what was put in may be somebody's, or undefined
  }

  /** Removes, or only marks with deletionTimestamp: a running pod within its grace period, an object with finalizers. */
  delete(ref: Ref, options: DeleteOptions = {}): Outcome {
    const resource = this.resources.get(ref.resource)
    const previous = this.get(ref.resource, ref.namespace, ref.name)
    const what = `${resource ? resourceTitle(resource) : ref.resource} "${ref.name}"`
    if (resource === undefined || previous === undefined) return fail(notFound(what))
    if (options.uid !== undefined && options.uid !== previous.metadata.uid) {
      return fail(conflict(what, 'it is another object of the same name'))
    }
    const graceSeconds = graceOf(previous, options.graceSeconds)
    const next = draft(previous)
    const holder = HOLDERS[options.propagation ?? 'Background']
    if (holder !== undefined) next.metadata.finalizers = [...new Set([...(next.metadata.finalizers ?? []), holder])]
    if (graceSeconds === 0 && !isHeld(next)) {
      this.#commit('DELETED', resource, next, previous)
      return { ok: true, object: next }
    }
    const leftSeconds = previous.metadata.deletionGracePeriodSeconds ?? Infinity
    if (graceSeconds >= leftSeconds && same(next, previous)) return { ok: true, object: previous }
    next.metadata.deletionTimestamp = timestamp(this.nowMs() + graceSeconds * 1000)
    next.metadata.deletionGracePeriodSeconds = graceSeconds
    if (next.metadata.generation !== undefined) next.metadata.generation++
    return this.#commit('MODIFIED', resource, next, previous)
  }

  /** Where an object belongs, learning its kind when it is new here. */
  locate(raw: unknown): Located {
    return locate(raw, this.resources, () => this.list('customresourcedefinitions'))
  }

  /** `sent` becomes ours. */
  #replace(resource: Resource, sent: ApiObject, previous: ApiObject, part: Part): Outcome {
    const next: ApiObject =
      part === 'object' ? sent : draft({ ...previous, metadata: sent.metadata, status: sent['status'] })
    if (part === 'object' && resource.status) restore(next, draft({ status: previous['status'] }), 'status')
    next.apiVersion = previous.apiVersion
    const meta = next.metadata as unknown as Fields
    for (const field of KEPT_FIELDS) restore(meta, previous.metadata as unknown as Fields, field)
    meta['name'] = previous.metadata.name
    delete meta['managedFields']
    if (meta['deletionTimestamp'] !== undefined && next.metadata.finalizers !== undefined) {
      const known = previous.metadata.finalizers ?? []
      next.metadata.finalizers = next.metadata.finalizers.filter((finalizer) => known.includes(finalizer))
    }
    return this.#write(resource, next, previous)
  }

  #write(resource: Resource, next: ApiObject, previous: ApiObject | null): Outcome {
    for (const admission of this.#admissions) {
      const failure = admission.admit(next, previous, resource, this)
      if (failure !== null) return fail(failure)
    }
    if (previous === null) {
      const refused = resource.namespaced ? this.#needNamespace(next.metadata.namespace!) : null
      return refused === null ? this.#commit('ADDED', resource, next, null) : fail(refused)
    }
    next.metadata.resourceVersion = previous.metadata.resourceVersion
    if (same(next, previous)) return { ok: true, object: previous } // no news: no revision
    if ('spec' in next && !same(next['spec'], previous['spec'])) {
      next.metadata.generation = (previous.metadata.generation ?? 0) + 1
    }
    const isLeaving = next.metadata.deletionTimestamp !== undefined && !next.metadata.deletionGracePeriodSeconds
    return this.#commit(isLeaving && !isHeld(next) ? 'DELETED' : 'MODIFIED', resource, next, previous)
  }

  #commit(type: Change['type'], resource: Resource, next: ApiObject, previous: ApiObject | null): Outcome {
    if (this.#notifying) throw new Error('a listener wrote to the store: mark what is dirty and write later')
    next.metadata.resourceVersion = String(++this.#revision)
    freeze(next)
    const ref = { resource: resource.plural, namespace: next.metadata.namespace ?? '', name: next.metadata.name }
    if (previous !== null) this.#owned.remove(ref, previous)
    if (type === 'DELETED') this.#objects.delete(ref)
    else {
      this.#objects.set(ref, next)
      this.#owned.add(ref, next)
    }
    const change: Change = { revision: this.#revision, type, resource, object: next, previous }
    this.#history.add(change)
    this.#tell(change)
    return { ok: true, object: next }
  }

  /** A listener that throws is a bug; the others hear of the change all the same. */
  #tell(change: Change): void {
    const bugs: unknown[] = []
    this.#notifying = true
    for (const listener of this.#listeners) {
      try {
        listener(change)
      } catch (bug) {
        bugs.push(bug)
      }
    }
    this.#notifying = false
    if (bugs.length > 0) throw bugs[0]
  }

  #nameFor(metadata: ApiObject['metadata'], resource: Resource, namespace: string): string {
    if (metadata.name || !metadata.generateName) return textOf(metadata.name ?? '')
    // 27^5 names: a second try is rare, a tenth is a bug elsewhere
    for (let tries = 0; tries < 100; tries++) {
      const name = `${textOf(metadata.generateName).slice(0, NAME_STEM_MAX)}${this.#suffixes.next()}`
      if (this.get(resource.plural, namespace, name) === undefined) return name
    }
    throw new Error(`no free name for ${metadata.generateName}`)
  }

  #needNamespace(name: string): Failure | null {
    const found = this.get('namespaces', '', name)
    if (found?.metadata.deletionTimestamp !== undefined) {
      return forbidden(`namespace ${name} is being deleted: nothing new can be made in it; wait until it is gone`)
    }
    if (found !== undefined) return null
    const made = this.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
    return made.ok ? null : made.failure
  }
}

export function refOf(resource: string, object: ApiObject): Ref {
  return { resource, namespace: object.metadata.namespace ?? '', name: object.metadata.name }
}

function fail(failure: Failure): Outcome {
  return { ok: false, failure }
}

function restore(next: Fields, previous: Fields, field: string): void {
  if (previous[field] !== undefined) next[field] = previous[field]
  else if (next[field] !== undefined) delete next[field]
}

const HISTORY_SIZE = 5_000
const NAME_STEM_MAX = 248
const STALE = 'the object has been modified; please apply your changes to the latest version and try again'
const HOLDERS = { Background: undefined, Foreground: 'foregroundDeletion', Orphan: 'orphan' } as const
/** Set by us alone. */
const SYSTEM_FIELDS = [
  'resourceVersion',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'managedFields',
  'selfLink',
] as const
const KEPT_FIELDS = [
  'namespace',
  'uid',
  'generation',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
] as const
