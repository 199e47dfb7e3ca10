/** Where a person opens what Ingresses serve: URLs on this machine, for the page. Pure. */
import type { ApiObject, Fields } from './api/object.ts'
import type { Store } from './api/store.ts'
import { isLocal } from './authority.ts'
import { INGRESS } from './ingress.ts'
import type { Published } from './publish.ts'

/** Lines for people; none when the ingress is not published. `authority`: path of its certificate. */
export function waysOf(store: Store, published: readonly Published[], authority: string): string[] {
  const ports = new Map(published.filter(isIngress).map(({ target, listen }) => [target!.split(':')[1], listen]))
  const [http, https] = [ports.get('80'), ports.get('443')]
  if (http === undefined) return []
  const ingresses = store.list('ingresses').filter((ingress) => isServed(store, ingress))
  if (ingresses.length === 0) {
    const example = store.get('services', 'default', 'frontend') ? 'manifests/example-boutique.yaml' : EXAMPLE
    return [`  http://${http}  Ingresses, of which there are none yet; try: bin/fairlead apply -f ${example}`]
  }
  const all = ingresses.flatMap((ingress) => hostsOf(ingress).map((host) => ({ ingress, host })))
  const lines = all.slice(0, SHOWN_MAX).map(({ ingress, host }) => {
    const secure = https !== undefined && isLocal(host) && isSecure(ingress, host) ? at('https', host, https) : null
    return `  ${[isLocal(host) ? at('http', host, http) : byHand(host, http), secure].filter(Boolean).join('  ')}  Ingress ${nameOf(ingress)}`
  })
  if (all.length > SHOWN_MAX) lines.push(`  ... and ${all.length - SHOWN_MAX} more: bin/fairlead get ingress -A`)
  if (lines.some((line) => line.includes('https://')))
    lines.push(`  Certificates of names below localhost are by ${authority}: curl --cacert, or let a browser trust it`)
  return lines
}

/** Whether this is the way to the ingress. */
export const isIngress = ({ target }: Published): boolean =>
  target?.startsWith(`${INGRESS.namespace}/${INGRESS.name}:`) === true

function isServed(store: Store, ingress: ApiObject): boolean {
  const controller = store.get('ingressclasses', '', ingress['spec']?.ingressClassName ?? '')?.['spec']?.controller
  return CONTROLLERS.includes(controller)
}

/** Names without a wildcard; of an Ingress without any, this machine's. */
function hostsOf(ingress: ApiObject): string[] {
  const rules = (ingress['spec']?.rules ?? []) as Fields[]
  const hosts = rules.map(({ host }) => String(host ?? 'localhost')).filter((host) => !host.startsWith('*'))
  return [...new Set(rules.length === 0 ? ['localhost'] : hosts)]
}

function isSecure(ingress: ApiObject, host: string): boolean {
  return ((ingress['spec']?.tls ?? []) as Fields[]).some(({ hosts }) => hosts?.includes(host))
}

/** `listen`: `127.0.0.1:8080`. */
const at = (scheme: string, host: string, listen: string): string =>
  `${scheme}://${host}:${listen.slice(listen.lastIndexOf(':') + 1)}`

/** No resolver knows the name. */
const byHand = (host: string, listen: string): string => `curl --connect-to ${host}:80:${listen} http://${host}`

function nameOf({ metadata: { namespace, name } }: ApiObject): string {
  return namespace === 'default' ? name : `${namespace}/${name}`
}

const CONTROLLERS: readonly unknown[] = ['fairlead.io/ingress', 'k8s.io/ingress-nginx']
const EXAMPLE = 'src/lab/example/shop.yaml'
const SHOWN_MAX = 10
