/** Who has which path of which host: the oldest Ingress that names it. */
import type { IngressBackend } from '../cluster/ingress.ts'
import type { Rejection } from '../cluster/rejection.ts'
import type { Key } from '../core/delta.ts'
import { gather } from '../core/gather.ts'
import type { Graph } from '../core/graph.ts'
import type { Readable } from '../core/table.ts'
import { bySeniority, type Plan, type Seniority } from './plan.ts'

/** `Default`: what no other path of the host takes. */
export type ClaimType = 'Exact' | 'Prefix' | 'ImplementationSpecific' | 'Default'

export interface Claim {
  readonly host: string
  readonly type: ClaimType
  /** Of a prefix without the slash at its end, which counts for nothing. */
  readonly path: string
  /** null: there are canaries only, of nothing. */
  readonly holder: Claimant | null
  /** Of those that take a share of it, the first counts. */
  readonly canaries: readonly Claimant[]
  readonly losers: readonly Claimant[]
}

export interface Claimant extends Seniority {
  readonly backend: IngressBackend
  readonly isCanary: boolean
  /** Of the path in the object. */
  readonly field: string
}

export function deriveClaims(graph: Graph, plans: Readable<Plan>): Readable<Claim> {
  return gather<Claim, Plan, Claimant>(graph, {
    name: 'claims',
    driver: plans,
    parts: claimsOf,
    row: (key, claimants) => {
      const [type, host, path] = key.split(' ') as [ClaimType, string, string]
      const sorted = [...claimants].sort(bySeniority)
      const [holder = null, ...losers] = sorted.filter(({ isCanary }) => !isCanary)
      return { host, type, path, holder, canaries: sorted.filter(({ isCanary }) => isCanary), losers }
    },
  })
}

/**
 * Paths of one host and one length, greater texts first, as nginx puts patterns: who comes before whom where more than one
 * of them matches. Key: `HOST LENGTH`.
 */
export const deriveOrders = (graph: Graph, claims: Readable<Claim>): Readable<readonly string[]> =>
  gather<readonly string[], Claim, string>(graph, {
    name: 'orders of paths',
    driver: claims,
    parts: (_, claim) => [[orderKey(claim), orderText(claim)]],
    row: (_, texts) => [...texts].sort(descending),
  })

export const orderKey = ({ host, path }: Claim): Key => `${host} ${path.length}`
/** Of the same text, Exact goes before Prefix. */
export const orderText = ({ type, path }: Claim): string => `${path} ${TYPES.indexOf(type)}`

const TYPES: readonly ClaimType[] = ['Default', 'ImplementationSpecific', 'Prefix', 'Exact']
const descending = (a: string, b: string): number => (a > b ? -1 : a < b ? 1 : 0)

export const claimKey = (host: string, type: ClaimType, path: string): Key => `${type} ${host} ${path}`

function* claimsOf(key: Key, { ingress, annotations }: Plan): Iterable<readonly [Key, Claimant]> {
  const isCanary = annotations.canary !== null
  const of = { created: ingress.created, ingress: key, isCanary }
  for (const { host, paths } of ingress.rules) {
    for (const { path, type, backend, field } of paths)
      yield [claimKey(host, type, type === 'Prefix' ? trimmed(path) : path), { ...of, backend, field }]
  }
  const { defaultBackend } = ingress
  if (defaultBackend === null || isCanary) return
  const hosts = new Set(['', ...ingress.rules.map(({ host }) => host)])
  for (const host of hosts)
    yield [claimKey(host, 'Default', ''), { ...of, backend: defaultBackend, field: 'spec.defaultBackend' }]
}

const trimmed = (path: string): string => path.replace(/\/+$/, '') || '/'

/** What came too late, and canaries that have nothing to take a share of. */
export function* rejectionsOfClaim(claim: Claim): Iterable<Rejection> {
  const where = claim.type === 'Default' ? 'the default backend' : `the path ${claim.path}`
  const of = claim.host === '' ? 'all hosts' : claim.host
  for (const { ingress, field, created } of claim.losers) {
    const holder = claim.holder!
    const why = holder.created < created ? 'is older' : 'comes first by name'
    const who =
      holder.ingress === ingress ? 'this Ingress itself, further up' : `Ingress ${holder.ingress}, which ${why}`
    yield {
      object: `Ingress ${ingress}`,
      field,
      problem: `claims ${where} of ${of}, which ${who}, has; it gets no requests`,
      remedy: 'remove one of the two, or give it another path',
    }
  }
  const lost = claim.holder === null ? claim.canaries : claim.canaries.slice(1)
  for (const { ingress, field } of lost) {
    const problem =
      claim.holder === null
        ? `is a canary of ${where} of ${of}, which no other Ingress has; it gets no requests`
        : `is a second canary of ${where} of ${of}; it gets no requests`
    yield { object: `Ingress ${ingress}`, field, problem, remedy: 'write host, path and pathType of one other Ingress' }
  }
}
