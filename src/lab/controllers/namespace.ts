/** Namespaces: what a new one has, and that all in one goes before it does. */
import type { Change } from '../api/history.ts'
import { refOf, type Store } from '../api/store.ts'
import type { Controller } from './controller.ts'

export const namespaceController: Controller = {
  name: 'namespace',

  *touched({ resource, type, object }: Change, store: Store): Iterable<string> {
    if (resource.plural === 'namespaces') yield object.metadata.name
    const name = object.metadata.namespace
    if (type !== 'DELETED' || name === undefined) return
    if (resource.plural === 'serviceaccounts') yield name
    if (store.get('namespaces', '', name)?.metadata.deletionTimestamp !== undefined) yield name
  },

  reconcile(name: string, store: Store): void {
    const namespace = store.get('namespaces', '', name)
    if (namespace === undefined) return
    if (namespace.metadata.deletionTimestamp === undefined) {
      if (store.get('serviceaccounts', name, 'default') !== undefined) return
      store.create({ apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'default', namespace: name } })
      return
    }
    const ref = refOf('namespaces', namespace)
    store.modify(ref, (next) => void (next['status'].phase = 'Terminating'), 'status')
    for (const { plural, namespaced } of store.resources.all()) {
      if (!namespaced) continue
      for (const object of store.list(plural, name)) {
        if (object.metadata.deletionTimestamp === undefined) store.delete(refOf(plural, object))
      }
    }
    const isEmpty = store.resources
      .all()
      .every(({ plural, namespaced }) => !namespaced || store.list(plural, name).length === 0)
    if (isEmpty) store.modify(ref, (next) => void (next['spec'].finalizers = []))
  },
}
