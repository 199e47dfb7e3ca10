import type { Key } from '../core/delta.ts'
import { derive, type Derived } from '../core/derive.ts'
import type { Graph } from '../core/graph.ts'
import type { Plan } from './plan.ts'

/** A port of this node on which a load balancer asks whether the Service has endpoints here. */
export interface HealthPort {
  readonly port: number
  readonly namespace: string
  readonly name: string
  /** Addresses, not pods of each family: a pod with two counts once. */
  readonly localReadyEndpoints: number
}

/** By port number. A port that two Services want is the older one's, else the first one's by name. */
export function deriveHealth(graph: Graph, plans: Derived<Plan>): Derived<HealthPort> {
  return derive<HealthPort, Plan>(graph, {
    name: 'service health ports',
    driver: plans,
    inputs: [plans],
    rows: (key, { health, namespace, name, created }, read) => {
      if (health === null) return []
      const port = String(health.port)
      const rivals = read.countBy(plans, 'health', port) > 1 ? read.by(plans, 'health', port) : []
      if (rivals.some(([rival, other]) => goesBefore(other.created, rival, created, key))) return []
      return [[port, { port: health.port, namespace, name, localReadyEndpoints: health.localReady }]]
    },
  })
}

const goesBefore = (created: number, key: Key, otherCreated: number, otherKey: Key): boolean =>
  created < otherCreated || (created === otherCreated && key < otherKey)
