/** All objects of a store: resource -> namespace ('' for those of the cluster) -> name. */
import type { ApiObject, Ref } from './object.ts'
import { Space } from './space.ts'

export class Objects {
  readonly #spaces = new Map<string, Map<string, Space>>()

  get({ resource, namespace, name }: Ref): ApiObject | undefined {
    return this.#spaces.get(resource)?.get(namespace)?.get(name)
  }

  /** Of one namespace, or of all when it is left out; sorted by namespace and name. */
  list(resource: string, namespace?: string): ApiObject[] {
    const spaces = this.#spaces.get(resource)
    if (spaces === undefined) return []
    if (namespace !== undefined) return spaces.get(namespace)?.list() ?? []
    return [...spaces.keys()].toSorted().flatMap((name) => spaces.get(name)!.list())
  }

  set({ resource, namespace, name }: Ref, object: ApiObject): void {
    const spaces = this.#spaces.getOrInsertComputed(resource, () => new Map<string, Space>())
    spaces.getOrInsertComputed(namespace, () => new Space()).set(name, object)
  }

  delete({ resource, namespace, name }: Ref): void {
    const spaces = this.#spaces.get(resource)
    const space = spaces?.get(namespace)
    space?.delete(name)
    if (space?.size === 0) spaces!.delete(namespace)
  }
}
