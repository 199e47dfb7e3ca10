/** ControllerRevisions: the templates a StatefulSet or DaemonSet had, so that a pod can come back as it was. */
import { draft, type ApiObject, type Fields } from '../api/object.ts'
import { refOf, type Store } from '../api/store.ts'
import { hashOf } from '../api/suffix.ts'
import { ownerReference } from './pods.ts'

export const REVISION_LABEL = 'controller-revision-hash'

/** The name of the revision of the template as it is now; stored when new. */
export function revisionOf(store: Store, owner: ApiObject): string {
  const { metadata, spec } = owner
  const name = `${metadata.name}-${hashOf(spec.template)}`
  if (store.get('controllerrevisions', metadata.namespace ?? '', name) === undefined) {
    store.create({
      apiVersion: 'apps/v1',
      kind: 'ControllerRevision',
      metadata: { name, namespace: metadata.namespace, ownerReferences: [ownerReference(owner)] },
      revision: revisionsOf(store, owner).length + 1,
      data: { spec: { template: spec.template } },
    })
  }
  return name
}

/** The template of a revision; today's when it is not known any more. */
export function templateOf(store: Store, owner: ApiObject, revision: string): Fields {
  const found = store.get('controllerrevisions', owner.metadata.namespace ?? '', revision)
  return draft(found?.['data']?.spec?.template ?? owner['spec'].template)
}

/** Keeps revisionHistoryLimit of those that no pod has. */
export function forgetRevisions(store: Store, owner: ApiObject, used: readonly string[]): void {
  const old = revisionsOf(store, owner).filter(({ metadata }) => !used.includes(metadata.name))
  const byNumber = old.toSorted((a, b) => a['revision'] - b['revision'])
  const tooMany = Math.max(0, old.length - (owner['spec'].revisionHistoryLimit ?? 10))
  for (const revision of byNumber.slice(0, tooMany)) store.delete(refOf('controllerrevisions', revision))
}

function revisionsOf(store: Store, owner: ApiObject): ApiObject[] {
  return store.ownedBy(owner.metadata.uid).filter(({ kind }) => kind === 'ControllerRevision')
}
