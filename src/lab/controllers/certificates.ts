/** Certificates for the names at and below `localhost` that Ingresses have `tls` for, in the Secrets they name. */
import type { Change } from '../api/history.ts'
import type { ApiObject, Fields } from '../api/object.ts'
import type { Store } from '../api/store.ts'
import { isLocal, type Authority } from '../authority.ts'
import { objectAt, refAt, type Controller } from './controller.ts'

/** A Secret that somebody else made is left as it is. */
export function certificateController(authority: Authority): Controller {
  return {
    name: 'certificates',

    *touched({ resource, object, previous }: Change): Iterable<string> {
      if (resource.plural === 'secrets') yield `${object.metadata.namespace}/${object.metadata.name}`
      if (resource.plural !== 'ingresses') return
      for (const { secretName } of [...tlsOf(object), ...(previous === null ? [] : tlsOf(previous))])
        if (secretName) yield `${object.metadata.namespace}/${secretName}`
    },

    reconcile(key: string, store: Store): void {
      const secret = objectAt(store, 'secrets', key)
      const had = secret?.metadata.annotations?.[NAMES]
      if (secret !== undefined && had === undefined) return
      const ref = refAt('secrets', key)
      const names = namesOf(store, ref.namespace, ref.name)
      if (names.join(',') === (had ?? '')) return
      if (names.length === 0) return void store.delete(ref)
      const { chain, key: privateKey } = authority.issue(names)
      const annotations = { ...secret?.metadata.annotations, [NAMES]: names.join(',') }
      const data = { 'tls.crt': base64(chain + authority.certificate), 'tls.key': base64(privateKey) }
      if (secret === undefined) {
        const metadata = { name: ref.name, namespace: ref.namespace, annotations }
        store.create({ apiVersion: 'v1', kind: 'Secret', type: 'kubernetes.io/tls', metadata, data })
      } else
        store.modify(ref, (next) => {
          next.metadata.annotations = annotations
          next['data'] = data
        })
    },
  }
}

/** That the Secret is to be for, sorted; none when a name of them is not of this machine. */
function namesOf(store: Store, namespace: string, secret: string): string[] {
  const hosts = store
    .list('ingresses', namespace)
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .flatMap(tlsOf)
    .filter(({ secretName }) => secretName === secret)
    .flatMap((tls): string[] => tls['hosts'] ?? [])
  return hosts.every(isLocal) ? [...new Set(hosts)].sort() : []
}

const tlsOf = (ingress: ApiObject): Fields[] => ingress['spec']?.tls ?? []
const base64 = (text: string): string => Buffer.from(text).toString('base64')

/** The names a certificate of ours is for. */
const NAMES = 'fairlead.io/lab-certificate'
