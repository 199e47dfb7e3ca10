import { contains, mergeCidrs } from '../cluster/address.ts'
import type { Key } from '../core/delta.ts'
import { derive, type Derived } from '../core/derive.ts'
import type { Graph } from '../core/graph.ts'
import { InputTable, type Readable } from '../core/table.ts'
import type { ServiceOptions } from './options.ts'
import { rangeKey, type Range, type ServiceRow } from './rows.ts'

/**
 * Tables of range rows: from configuration, from this node, from the cluster's ServiceCIDRs. No service range lies within
 * another one (ServiceCIDR objects may overlap; sets of intervals in a kernel may not).
 */
export function deriveRanges(
  graph: Graph,
  here: Readable<readonly string[]>,
  serviceCIDRs: Readable<{ readonly cidrs: readonly string[] }>,
  options: ServiceOptions,
): readonly Readable<ServiceRow>[] {
  const fixed = mergeCidrs(options.serviceCIDRs).merged
  const configured = new InputTable<ServiceRow>('service ranges configured')
  for (const cidr of fixed) configured.put(...range('services', cidr))
  for (const cidr of options.localPodCIDRs ?? []) configured.put(...range('pods', cidr))
  configured.markSynced()

  const pods = derive<ServiceRow, readonly string[]>(graph, {
    name: 'service ranges of pods',
    driver: here,
    inputs: [],
    rows: (key, cidrs) =>
      key === 'pods' && options.localPodCIDRs === null ? cidrs.map((cidr) => range('pods', cidr)) : [],
  })

  const known: Derived<string> = derive<string, { readonly cidrs: readonly string[] }>(graph, {
    name: 'service ranges known',
    driver: serviceCIDRs,
    inputs: [],
    rows: (_, { cidrs }) => cidrs.map((cidr): [Key, string] => [cidr, cidr]),
    indexes: { all: () => [''] },
  })
  const services = derive<ServiceRow, string>(graph, {
    name: 'service ranges',
    driver: known,
    inputs: [known],
    rows: (_, cidr, read) => {
      const others = read.keysBy(known, 'all', '').filter((other) => other !== cidr)
      const isCovered = [...fixed, ...others].some((other) => contains(other, cidr))
      return isCovered ? [] : [range('services', cidr)]
    },
  })
  return [graph.input(configured), pods, services]
}

const range = (set: Range['set'], cidr: string): [Key, ServiceRow] => [
  rangeKey(set, cidr),
  { kind: 'range', set, cidr },
]
