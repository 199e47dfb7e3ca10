/** Who is owned by whom, by uid, so that what an owner leaves behind is found without looking at everything. */
import type { ApiObject, Ref } from './object.ts'

export class Owned {
  /** uid of an owner -> what names it among its ownerReferences. */
  readonly #dependents = new Map<string, Map<string, Ref>>()
  readonly #uids = new Set<string>()

  has(uid: string): boolean {
    return this.#uids.has(uid)
  }

  by(uid: string): Ref[] {
    return this.#dependents.get(uid)?.values().toArray() ?? []
  }

  add(ref: Ref, { metadata }: ApiObject): void {
    this.#uids.add(metadata.uid)
    for (const { uid } of metadata.ownerReferences ?? []) {
      this.#dependents.getOrInsertComputed(uid, () => new Map()).set(refKey(ref), ref)
    }
  }

  remove(ref: Ref, { metadata }: ApiObject): void {
    this.#uids.delete(metadata.uid)
    for (const { uid } of metadata.ownerReferences ?? []) {
      const refs = this.#dependents.get(uid)
      refs?.delete(refKey(ref))
      if (refs?.size === 0) this.#dependents.delete(uid)
    }
  }
}

export function refKey(ref: Ref): string {
  return `${ref.resource}/${ref.namespace}/${ref.name}`
}
