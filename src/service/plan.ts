import { contains, familyOf } from '../cluster/address.ts'
import { unpackEndpoints } from '../cluster/endpointlist.ts'
import type { EndpointSlice } from '../cluster/endpointslice.ts'
import type { Family, Protocol } from '../cluster/protocol.ts'
import type { Rejection } from '../cluster/rejection.ts'
import type { Service } from '../cluster/service.ts'
import { categorize, type Categories, type Location } from './categorize.ts'
import { lost, type Claim, type ClaimKind, type Claims } from './claims.ts'
import { candidates } from './endpoints.ts'
import { poolOf } from './hash.ts'
import type { FrontendAddress } from './rows.ts'
import { ENDPOINTS_MAX } from './slots.ts'

/** Everything decided about one Service on this node: what its rows, its health check, its status and its rejections are made of. */
export interface Plan {
  readonly namespace: string
  readonly name: string
  readonly created: number
  readonly clusterIPs: readonly string[]
  readonly backends: readonly Backend[]
  readonly openings: readonly Opening[]
  readonly affinity: number
  readonly internalLocal: boolean
  readonly externalLocal: boolean
  /** Answers load balancers that ask whether this node has endpoints; null: nobody asks. */
  readonly health: { readonly port: number; readonly localReady: number } | null
  readonly rejections: readonly Rejection[]
}

/** A ServicePort in one family: who may serve it. */
export interface Backend extends Categories {
  /** Namespace/name:port, as kube-proxy writes it. */
  readonly title: string
  readonly protocol: Protocol
  readonly family: Family
  readonly pool: number
}

/** An address that is open for a backend. */
export interface Opening {
  readonly at: FrontendAddress
  readonly kind: ClaimKind
  /** Position in Plan.backends. */
  readonly backend: number
  /** Client ranges that are let in; null: everybody. */
  readonly sources: readonly string[] | null
}

/** What a plan depends on besides the Service itself. */
export interface Facts {
  readonly claims: Claims
  /** Who holds a contested address; null: it is not contested, or ours. */
  readonly holder: (claim: Claim) => { readonly service: string; readonly kind: ClaimKind } | null
  /** Slices of the Service, sorted by key. */
  readonly slices: readonly EndpointSlice[]
  readonly location: Location
  /** InternalIPs of this node. */
  readonly addresses: readonly string[]
}

export function plan(service: Service, facts: Facts): Plan {
  const rejections = new Map(facts.claims.rejections.map((each) => [each.field + each.problem, each]))
  const won = facts.claims.claims.filter((claim) => {
    const winner = facts.holder(claim)
    // A node port lost on each address of the node is one loss.
    if (winner !== null) rejections.set(`${claim.field} ${winner.service}`, lost(service, claim, winner))
    return winner === null
  })
  const groups = [...Map.groupBy(won, (claim) => claim.port * 10 + familyOf(claim.at.ip)).values()]
  const backends = groups.map((claims) => backendOf(service, claims, facts))
  for (const backend of backends) {
    if (tooMany(backend)) rejections.set(backend.title + backend.family, tooManyEndpoints(service, backend))
  }
  const openings = groups.flatMap((claims, backend) =>
    claims.map(({ at, kind }): Opening => {
      const sources = kind === 'load-balancer' ? sourcesOf(service, at.ip, facts.addresses) : null
      return { at, kind, backend, sources }
    }),
  )
  const affordable = bounded(openings, backends)
  if (affordable.length < openings.length) rejections.set('slots', tooManySlots(service, openings, affordable))
  return {
    ...{ namespace: service.namespace, name: service.name, created: service.created },
    clusterIPs: facts.claims.clusterIPs,
    // Copies have no room to grow, which lists that grew have.
    ...{ backends, openings: affordable.slice() },
    affinity: service.affinitySeconds,
    internalLocal: service.internalTrafficPolicy === 'Local',
    externalLocal: service.externalTrafficPolicy === 'Local',
    health: healthOf(service, facts),
    rejections: rejections.size === 0 ? NONE : [...rejections.values()],
  }
}

/** `claims`: those to one ServicePort in one family. */
function backendOf(service: Service, claims: readonly Claim[], facts: Facts): Backend {
  const [port, family] = [service.ports[claims[0]!.port]!, familyOf(claims[0]!.at.ip)]
  const internalLocal = service.internalTrafficPolicy === 'Local'
  const externalLocal = service.externalTrafficPolicy === 'Local'
  const isExternal = claims.some(({ kind }) => kind !== 'cluster-ip')
  const policy = {
    // Local pods and the node itself reach external addresses by Cluster policy even when that of others is Local.
    usesCluster: !internalLocal || isExternal,
    usesLocal: internalLocal || (externalLocal && isExternal),
    publishNotReady: service.publishNotReady,
    keepsFlows: port.protocol === 'udp',
  }
  const { namespace, name } = service
  return {
    ...categorize(candidates(facts.slices, port, family, facts.location.node), policy, facts.location),
    title: `${namespace}/${name}${port.name === '' ? '' : `:${port.name}`}`,
    protocol: port.protocol,
    family,
    pool: poolOf(namespace, name, port.name, port.protocol, family),
  }
}

/**
 * Client ranges of the family of `vip`. A list without any of that family lets nobody in. The node reaches the address
 * from that very address (it is local to it), so a range with the node in it stands for the address too.
 */
function sourcesOf(service: Service, vip: string, nodeAddresses: readonly string[]): readonly string[] | null {
  if (service.sourceRanges === null) return null
  const ranges = service.sourceRanges.filter((cidr) => familyOf(cidr) === familyOf(vip))
  const covers = (ip: string) => ranges.some((cidr) => contains(cidr, ip))
  const itself = `${vip}/${familyOf(vip) === 4 ? 32 : 128}`
  return nodeAddresses.some(covers) && !covers(vip) ? [...ranges, itself] : ranges
}

function healthOf(service: Service, { slices, location }: Facts): Plan['health'] {
  if (service.healthCheckNodePort === 0) return null
  if (service.type !== 'LoadBalancer' || service.externalTrafficPolicy !== 'Local') return null
  const readyHere = FAMILIES.map((family) => {
    const ready = new Set<string>()
    for (const slice of slices) {
      if (slice.family !== family) continue
      for (const { address, node, ready: isReady } of unpackEndpoints(slice.endpoints)) {
        if (node === location.node && (isReady || service.publishNotReady)) ready.add(address)
      }
    }
    return ready.size
  })
  // A pod with two addresses is one endpoint to those who ask.
  return { port: service.healthCheckNodePort, localReady: Math.max(...readyHere) }
}

/** The first openings whose slots, endpoints by addresses by ports, stay within bounds. */
function bounded(openings: readonly Opening[], backends: readonly Backend[]): readonly Opening[] {
  let slots = 0
  const end = openings.findIndex(({ backend }) => {
    slots += (backends[backend]!.cluster?.count ?? 0) + (backends[backend]!.local?.count ?? 0)
    return slots > SLOTS_MAX
  })
  return end === -1 ? openings : openings.slice(0, end)
}

function tooManySlots(service: Service, all: readonly Opening[], kept: readonly Opening[]): Rejection {
  return {
    object: `Service ${service.namespace}/${service.name}`,
    field: 'spec.ports',
    problem: `endpoints by ports by addresses are more than ${SLOTS_MAX}; ${all.length - kept.length} of ${all.length} addresses are not served`,
    remedy: 'split the Service, by ports or by endpoints',
  }
}

const tooMany = ({ cluster, local }: Backend): boolean =>
  Math.max(cluster?.count ?? 0, local?.count ?? 0) > ENDPOINTS_MAX

function tooManyEndpoints(service: Service, backend: Backend): Rejection {
  return {
    object: `Service ${service.namespace}/${service.name}`,
    field: 'spec.selector',
    problem: `${backend.title} has more than ${ENDPOINTS_MAX} IPv${backend.family} endpoints; the rest get no traffic`,
    remedy: 'split the Service',
  }
}

/** Of one Service: about 100 MB of rows. */
const SLOTS_MAX = 2 ** 19
const FAMILIES: readonly Family[] = [4, 6]
const NONE: readonly never[] = Object.freeze([])
