/** The lab's own control plane. */
import type { Manifests } from '../cluster/manifest.ts'
import { Store } from './api/store.ts'

export function newStore(): Store {
  return new Store()
}

export function startControllers(_store: Store): void {}

/** `summary` and `rejections` are for people. */
export function apply(store: Store, manifests: Manifests): { summary: string; rejections: string[] } {
  const rejections: string[] = []
  for (const { object } of manifests.objects) {
    const outcome = store.create(object)
    if (!outcome.ok) rejections.push(outcome.failure.message)
  }
  return { summary: `${manifests.objects.length} objects`, rejections }
}
