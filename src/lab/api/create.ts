/** A store as a new cluster has it: with the rules of the API, the ranges of Services and the first namespaces. */
import { ingressClassAdmission } from './ingress-class.ts'
import { kindAdmission } from './kinds/kinds.ts'
import { ServiceAddresses, type ServiceRanges } from './service-address.ts'
import { Store, type StoreOptions } from './store.ts'

export interface ClusterOptions extends Omit<StoreOptions, 'admissions'> {
  readonly ranges?: Partial<ServiceRanges>
}

export function createStore(options: ClusterOptions = {}): Store {
  const ranges = { clusterCIDRs: CLUSTER_CIDRS, nodePorts: NODE_PORTS, ...options.ranges }
  const addresses = new ServiceAddresses(ranges)
  const store = new Store({ ...options, admissions: [kindAdmission, ingressClassAdmission, addresses] })
  store.onChange((change) => addresses.note(change))
  for (const name of ['default', 'kube-system', 'kube-public', 'kube-node-lease']) {
    store.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
  }
  store.create({
    apiVersion: 'networking.k8s.io/v1',
    kind: 'ServiceCIDR',
    metadata: { name: 'kubernetes' },
    spec: { cidrs: ranges.clusterCIDRs },
  })
  return store
}

export const CLUSTER_CIDRS: readonly string[] = ['10.96.0.0/16', 'fd00:10:96::/112']
export const NODE_PORTS = { first: 30_000, last: 32_767 } as const
