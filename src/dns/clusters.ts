/** Which `kubernetes` of a Corefile read the same objects of the same cluster. */
import { selectorText, type Selector } from '../cluster/selector.ts'
import type { KubernetesApi, KubernetesSet } from './corefile/configuration.ts'
import type { NameOptions } from './options.ts'

export interface ClusterSets {
  /** For people; '': all of the cluster that the process is told of. Two never have the same. */
  readonly title: string
  readonly api: KubernetesApi | null
  readonly labels: Selector | null
  readonly instances: readonly NameOptions[]
}

/** At least one: without any `kubernetes`, the process' own with no instance. */
export function clustersOf(sets: readonly KubernetesSet[]): readonly ClusterSets[] {
  const groups = Map.groupBy(sets, ({ api, labels }) => JSON.stringify([api, labels]))
  if (groups.size === 0) return [{ title: '', api: null, labels: null, instances: [] }]
  return [...groups.values()].map((group) => {
    const { api, labels } = group[0]!
    return {
      title: titleOf(api, labels),
      api,
      labels,
      instances: group.map(({ set, options }) => ({ set, ...options })),
    }
  })
}

/** As CoreDNS: of Namespaces and ServiceImports it takes all. */
export const selectorsOf = (labels: Selector | null): Readonly<Record<string, Selector>> =>
  labels === null ? {} : { Service: labels, EndpointSlice: labels, Pod: labels }

function titleOf(api: KubernetesApi | null, labels: Selector | null): string {
  const way = api === null ? [] : 'endpoint' in api ? endpointTitle(api) : kubeconfigTitle(api)
  return [...way, ...(labels === null ? [] : [`labels ${selectorText(labels)}`])].join(' ')
}

const endpointTitle = ({ endpoint, tls }: Extract<KubernetesApi, { endpoint: string }>): readonly string[] => [
  `endpoint ${endpoint}`,
  ...(tls === null ? [] : [`tls ${tls.certificate} ${tls.key} ${tls.ca}`]),
]

const kubeconfigTitle = ({
  kubeconfig,
  context,
}: Extract<KubernetesApi, { kubeconfig: string }>): readonly string[] => [
  `kubeconfig ${kubeconfig}`,
  ...(context === null ? [] : [context]),
]
