import type { Node } from '../cluster/node.ts'
import { derive, type Derived } from '../core/derive.ts'
import type { Graph } from '../core/graph.ts'
import { InputTable, type Readable } from '../core/table.ts'
import type { EgressOptions } from './options.ts'
import { aggregate } from './ranges.ts'
import { keyOf, type EgressRow } from './rows.ts'

export interface EgressInputs {
  readonly nodes: Readable<Node>
}

/** Decides whose packets get the node's address, and on the way to where they do not. Nothing while this node has no range. */
export function deriveEgress(graph: Graph, { nodes }: EgressInputs, options: EgressOptions): Derived<EgressRow> {
  const ranges = derive<PodRange, Node>(graph, {
    name: 'pod ranges',
    driver: nodes,
    inputs: [],
    indexes: { all: () => [''], here: ({ here }) => (here ? [''] : []) },
    rows: (key, { podCIDRs }) => podCIDRs.map((cidr) => [`${key} ${cidr}`, { cidr, here: key === options.node }]),
  })
  return derive<EgressRow, null>(graph, {
    name: 'egress rows',
    driver: once(graph),
    inputs: [ranges],
    // As a whole: ranges that overlap have no key in common by which to find each other.
    rows: (_, __, read) => {
      const listed = (index: string): string[] => read.by(ranges, index, '').map(([, { cidr }]) => cidr)
      const here = options.localPodCIDRs ?? listed('here')
      if (here.length === 0) return []
      const kept = [...MULTICAST, ...options.nonMasqueradeCIDRs, ...here, ...listed('all')]
      const rows: EgressRow[] = [
        ...aggregate(here).map((cidr) => ({ kind: 'source', cidr }) as const),
        ...aggregate(kept).map((cidr) => ({ kind: 'kept', cidr }) as const),
      ]
      return rows.map((row) => [keyOf(row), row])
    },
  })
}

/** A range that pods of some node have. */
interface PodRange {
  readonly cidr: string
  readonly here: boolean
}

/** A driver for what is computed as a whole. */
function once(graph: Graph): Readable<null> {
  const table = new InputTable<null>('once')
  table.put('', null)
  table.markSynced()
  return graph.input(table)
}

/** What several receive has no one to translate the answer for. */
const MULTICAST = ['224.0.0.0/4', 'ff00::/8']
