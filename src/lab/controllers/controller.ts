/** What drives the cluster towards what its objects ask for. Level-triggered: a change only names keys to look at again. */
import type { Change } from '../api/history.ts'
import type { ApiObject, Ref } from '../api/object.ts'
import type { Store } from '../api/store.ts'

export interface Controller {
  readonly name: string
  /** Keys that a change makes worth another look. Reads only. */
  touched(change: Change, store: Store): Iterable<string>
  /** Makes it so. Returns in how many ms to look again though nothing changes; nothing: only after a change. */
  reconcile(key: string, store: Store): number | undefined | void
}

/** `shop/web`. Names and namespaces have no slash. */
export function refAt(resource: string, key: string): Ref {
  const slash = key.indexOf('/')
  return { resource, namespace: key.slice(0, Math.max(0, slash)), name: key.slice(slash + 1) }
}

export function objectAt(store: Store, resource: string, key: string): ApiObject | undefined {
  const { namespace, name } = refAt(resource, key)
  return store.get(resource, namespace, name)
}
