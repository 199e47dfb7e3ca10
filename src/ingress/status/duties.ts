/** Status of Ingresses: where they can be reached. Rows are what is to be written; written, they are gone. */
import type { Ingress } from '../../cluster/ingress.ts'
import { derive } from '../../core/derive.ts'
import type { Graph } from '../../core/graph.ts'
import type { Readable } from '../../core/table.ts'
import type { Plan } from '../plan.ts'

/** What one Ingress' status shall say: addresses and host names; empty: nothing. */
export interface Duty {
  readonly namespace: string
  readonly name: string
  readonly addresses: readonly string[]
}

/**
 * `post`: one row of the key '' while it is ours to write (the leader's, and not on trial): where the ingress is. Of
 * Ingresses that are not served, the status goes that says they are here.
 */
export const deriveDuties = (
  graph: Graph,
  ingresses: Readable<Ingress>,
  plans: Readable<Plan>,
  post: Readable<readonly string[]>,
): Readable<Duty> =>
  derive<Duty, Ingress>(graph, {
    name: 'statuses to write',
    driver: ingresses,
    inputs: [plans, post],
    rows: (key, { namespace, name, published }, read) => {
      const addresses = read.get(post, '')
      if (addresses === undefined || addresses.length === 0) return []
      const isServed = read.get(plans, key) !== undefined
      const says = published.join(' ')
      const ours = addresses.join(' ')
      if (isServed ? says === ours : says !== ours) return []
      return [[key, { namespace, name, addresses: isServed ? addresses : [] }]]
    },
  })
