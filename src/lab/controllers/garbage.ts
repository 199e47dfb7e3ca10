/** What is owned goes with its owner (k8s.io/kubernetes/pkg/controller/garbagecollector). Keys are uids of owners. */
import type { Change } from '../api/history.ts'
import type { ApiObject } from '../api/object.ts'
import { refOf, type Store } from '../api/store.ts'
import type { Controller } from './controller.ts'

export const garbageController: Controller = {
  name: 'garbage',

  *touched({ type, object }: Change, store: Store): Iterable<string> {
    if (type === 'DELETED' || object.metadata.finalizers?.some((held) => held === FOREGROUND || held === ORPHAN)) {
      yield object.metadata.uid
    }
    for (const { uid } of object.metadata.ownerReferences ?? []) {
      // Made for an owner that is gone already, or gone itself: an owner that waits for it may go on.
      if (!store.hasUid(uid) || type === 'DELETED') yield uid
    }
  },

  reconcile(uid: string, store: Store): void {
    const dependents = store.ownedBy(uid)
    const owner = store.hasUid(uid) ? find(store, uid, dependents) : null
    if (owner === undefined) return
    if (owner === null) {
      for (const object of dependents) releaseOrDelete(store, object, uid)
      return
    }
    const finalizers = owner.metadata.finalizers ?? []
    if (finalizers.includes(ORPHAN)) {
      for (const object of dependents) dropOwner(store, object, uid)
      release(store, owner, ORPHAN)
    } else if (finalizers.includes(FOREGROUND) && owner.metadata.deletionTimestamp !== undefined) {
      for (const object of dependents) {
        if (object.metadata.deletionTimestamp === undefined) remove(store, object, 'Foreground')
      }
      const blocks = (object: ApiObject): boolean =>
        object.metadata.ownerReferences!.some(
          (reference) => reference.uid === uid && reference.blockOwnerDeletion === true,
        )
      if (!store.ownedBy(uid).some(blocks)) release(store, owner, FOREGROUND)
    }
  },
}

/** An object with another owner that lives stays, without the one that is gone. */
function releaseOrDelete(store: Store, object: ApiObject, uid: string): void {
  const isHeld = object.metadata.ownerReferences!.some((owner) => owner.uid !== uid && store.hasUid(owner.uid))
  if (isHeld) dropOwner(store, object, uid)
  else if (object.metadata.deletionTimestamp === undefined) remove(store, object)
}

function dropOwner(store: Store, object: ApiObject, uid: string): void {
  store.modify(refOf(pluralOf(store, object), object), (next) => {
    next.metadata.ownerReferences = next.metadata.ownerReferences!.filter((owner) => owner.uid !== uid)
  })
}

function release(store: Store, owner: ApiObject, finalizer: string): void {
  store.modify(refOf(pluralOf(store, owner), owner), (next) => {
    next.metadata.finalizers = next.metadata.finalizers!.filter((held) => held !== finalizer)
  })
}

function remove(store: Store, object: ApiObject, propagation?: 'Foreground'): void {
  const hasDependents = store.ownedBy(object.metadata.uid).length > 0
  const options = propagation !== undefined && hasDependents ? { propagation } : {}
  store.delete(refOf(pluralOf(store, object), object), { ...options, uid: object.metadata.uid })
}

function find(store: Store, uid: string, dependents: readonly ApiObject[]): ApiObject | undefined {
  const reference = dependents[0]?.metadata.ownerReferences!.find((owner) => owner.uid === uid)
  for (const { plural, kind } of store.resources.all()) {
    if (reference !== undefined && reference.kind !== kind) continue
    const found = store.list(plural).find((object) => object.metadata.uid === uid)
    if (found !== undefined) return found
  }
  return undefined
}

function pluralOf(store: Store, object: ApiObject): string {
  const located = store.locate(object)
  if ('failure' in located) throw new Error(located.failure.message)
  return located.resource.plural
}

const FOREGROUND = 'foregroundDeletion'
const ORPHAN = 'orphan'
