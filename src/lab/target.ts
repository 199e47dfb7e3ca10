/** What a person may point at: POD | NAMESPACE/POD | deploy/NAME | node/NAME | outside. */
import type { ApiObject } from './api/object.ts'
import type { Store } from './api/store.ts'

export type Target =
  | { readonly kind: 'pod'; readonly pod: ApiObject }
  | { readonly kind: 'node'; readonly name: string }
  | { readonly kind: 'outside' }
  | { readonly kind: 'unknown'; readonly reason: string }

/** Objects with pods of their own (deploy/web, sts/db, ds/agent, job/x, svc/web) stand for their first pod that is ready. */
export function targetOf(store: Store, words: string, nodes: readonly string[], namespace = 'default'): Target {
  if (words === 'outside') return { kind: 'outside' }
  const [first, second, third] = words.split('/') as [string, string | undefined, string | undefined]
  if (second === undefined) return podNamed(store, namespace, first)
  if (third !== undefined)
    return unknown(`${words} has a slash too many; write NAMESPACE/POD, or deploy/NAME with -n NAMESPACE`)
  if (first === 'node' || first === 'nodes' || first === 'no') {
    if (nodes.includes(second)) return { kind: 'node', name: second }
    return unknown(`there is no node ${second}; there are: ${nodes.join(', ')}`)
  }
  const resource = RESOURCES[first]
  if (resource === 'pods') return podNamed(store, namespace, second)
  if (resource === undefined) return podNamed(store, first, second)
  const owner = store.get(resource, namespace, second)
  if (owner === undefined)
    return unknown(`there is no ${first}/${second} in namespace ${namespace}${near(store, resource)}`)
  const pods = podsOf(store, owner)
  const chosen = pods.find(isReady) ?? pods.find(isRunning)
  return chosen
    ? { kind: 'pod', pod: chosen }
    : unknown(`${first}/${second} has no pod that runs; see: fairlead get pods`)
}

export function isReady(pod: ApiObject): boolean {
  const conditions = (pod['status']?.conditions ?? []) as { type: string; status: string }[]
  return conditions.some(({ type, status }) => type === 'Ready' && status === 'True')
}

function isRunning(pod: ApiObject): boolean {
  return pod['status']?.phase === 'Running'
}

function podNamed(store: Store, namespace: string, name: string): Target {
  const pod = store.get('pods', namespace, name)
  if (pod !== undefined) return { kind: 'pod', pod }
  const hint = store.get('deployments', namespace, name) ? `; there is deploy/${name}` : near(store, 'pods')
  return unknown(`there is no pod ${name} in namespace ${namespace}${hint}`)
}

function podsOf(store: Store, owner: ApiObject): ApiObject[] {
  if (owner.kind === 'Service') {
    const selector = Object.entries((owner['spec']?.selector ?? {}) as Record<string, string>)
    if (selector.length === 0) return []
    return store
      .list('pods', owner.metadata.namespace)
      .filter(({ metadata }) => selector.every(([key, value]) => metadata.labels?.[key] === value))
  }
  return store.ownedBy(owner.metadata.uid).flatMap((child) => (child.kind === 'Pod' ? [child] : podsOf(store, child)))
}

function near(store: Store, resource: string): string {
  const some = store.list(resource).slice(0, 5)
  if (some.length === 0) return ''
  return `; there are: ${some.map(({ metadata }) => `${metadata.namespace}/${metadata.name}`).join(', ')}${some.length === 5 ? ', ...' : ''}`
}

function unknown(reason: string): Target {
  return { kind: 'unknown', reason }
}

const RESOURCES: Readonly<Record<string, string>> = {
  pod: 'pods',
  pods: 'pods',
  po: 'pods',
  deploy: 'deployments',
  deployment: 'deployments',
  deployments: 'deployments',
  rs: 'replicasets',
  replicaset: 'replicasets',
  sts: 'statefulsets',
  statefulset: 'statefulsets',
  ds: 'daemonsets',
  daemonset: 'daemonsets',
  job: 'jobs',
  jobs: 'jobs',
  svc: 'services',
  service: 'services',
  services: 'services',
}
