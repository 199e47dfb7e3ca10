/** Certificates that are not valid any more, or not yet, or soon not. Shown all the same: a warning is better than none. */
import type { Rejection } from '../cluster/rejection.ts'
import { derive } from '../core/derive.ts'
import type { Graph } from '../core/graph.ts'
import type { Readable } from '../core/table.ts'
import { isUsable, type Facts, type PairFacts } from './pem.ts'
import type { Plan } from './plan.ts'

export const deriveExpiries = (
  graph: Graph,
  plans: Readable<Plan>,
  facts: Readable<Facts>,
  now: Readable<number>,
): Readable<Rejection> =>
  derive<Rejection, Plan>(graph, {
    name: 'certificates out of date',
    driver: plans,
    inputs: [facts, now],
    rows: (key, { ingress }, read) => {
      const at = read.get(now, '') ?? 0
      return ingress.tls.flatMap(({ secret }, i) => {
        const pair = secret === '' ? undefined : read.get(facts, `${ingress.namespace}/${secret}`)?.pair
        const problem = pair === undefined || !isUsable(pair) ? null : lateness(pair, at)
        if (problem === null) return []
        const object = `Ingress ${key}`
        const remedy =
          'renew the certificate; where cert-manager does it, `kubectl describe certificate` says what it waits for'
        const rejection = {
          object,
          field: `spec.tls[${i}].secretName`,
          problem: `names the Secret ${ingress.namespace}/${secret}, whose certificate ${problem}`,
          remedy,
        }
        return [[`expiry ${key} ${i}`, rejection] as const]
      })
    },
  })

function lateness({ notBefore, notAfter }: PairFacts, now: number): string | null {
  const day = (ms: number): string => new Date(ms).toISOString().slice(0, 10)
  if (now > notAfter) return `expired on ${day(notAfter)}`
  return now < notBefore ? `is not valid before ${day(notBefore)}` : null
}
