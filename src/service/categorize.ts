import type { Endpoint } from '../cluster/endpointlist.ts'
import { same } from '../core/same.ts'
import type { Candidates } from './endpoints.ts'
import { pack, type Packed } from './members.ts'

/** Where this node is, as far as it decides who serves its traffic. */
export interface Location {
  readonly node: string
  readonly zone: string | null
}

export interface Policy {
  /** Some frontend uses every usable endpoint. */
  readonly usesCluster: boolean
  /** Some frontend uses only endpoints on this node. */
  readonly usesLocal: boolean
  /** The API's word: disregard any indication of ready or not ready. */
  readonly publishNotReady: boolean
  /** What goes to an endpoint goes on as long as it serves: UDP, whose flows nobody ends. */
  readonly keepsFlows: boolean
}

/** Who may serve the traffic of one ServicePort in one family on this node. */
export interface Categories {
  /** null: no frontend uses Cluster policy. */
  readonly cluster: Packed | null
  /** null: no frontend uses Local policy. */
  readonly local: Packed | null
  /** All that serve, used or not: the two sets and whoever is in neither. null: nobody asks (`keepsFlows`). */
  readonly serving: Packed | null
  /** An endpoint that could serve exists somewhere in the cluster. */
  readonly any: boolean
  /** Addresses on this node that stand in either set. */
  readonly here: readonly string[]
  readonly ready: number
  readonly localReady: number
  /** Serving and terminating, not ready. */
  readonly terminating: number
}

/**
 * Ready endpoints, else (KEP-1669) those that are serving and terminating, decided for Cluster and Local apart. Topology
 * hints narrow the Cluster set only (KEP-2433, KEP-3015); Local policy ignores them.
 */
export function categorize(all: Candidates, policy: Policy, location: Location): Categories {
  const states = all.endpoints.map((endpoint) => stateOf(endpoint, policy))
  const isHere = (i: number) => all.endpoints[i]!.node === location.node
  let ready = 0
  let localReady = 0
  let terminating = 0
  for (let i = 0; i < states.length; i++) {
    if (states[i] === TERMINATING) terminating++
    else if (states[i] === READY) {
      ready++
      if (isHere(i)) localReady++
    }
  }
  const any = ready > 0 || terminating > 0

  const fits = policy.usesCluster && ready > 0 ? topology(all.endpoints, states, location) : null
  const wantedAnywhere = ready > 0 ? READY : TERMINATING
  const wantedHere = localReady > 0 ? READY : TERMINATING
  const inCluster = (i: number) =>
    policy.usesCluster && states[i] === wantedAnywhere && (fits === null || fits(all.endpoints[i]!))
  const inLocal = (i: number) => policy.usesLocal && states[i] === wantedHere && isHere(i)
  const here: string[] = []
  for (let i = 0; i < states.length; i++) {
    if (isHere(i) && (inCluster(i) || inLocal(i))) here.push(all.endpoints[i]!.address)
  }
  const cluster = policy.usesCluster ? filter(all, inCluster) : null
  const serves = (i: number) => states[i] !== OUT || all.endpoints[i]!.serving
  return {
    cluster,
    local: policy.usesLocal ? filter(all, inLocal) : null,
    serving: policy.keepsFlows ? sharing(filter(all, serves), cluster) : null,
    here: here.length === 0 ? NOBODY : here.slice(),
    ...{ any, ready, localReady, terminating },
  }
}

/** Which ready endpoints topology leaves for this node; null: all of them. */
function topology(
  endpoints: readonly Endpoint[],
  states: readonly State[],
  { node, zone }: Location,
): ((endpoint: Endpoint) => boolean) | null {
  let everyNode = true
  let everyZone = true
  let thisNode = false
  let thisZone = false
  for (let i = 0; i < endpoints.length; i++) {
    if (states[i] !== READY) continue
    const { hintNodes, hintZones } = endpoints[i]!
    if (hintNodes === null || hintNodes.length === 0) everyNode = false
    else if (hintNodes.includes(node)) thisNode = true
    if (hintZones === null || hintZones.length === 0) everyZone = false
    else if (zone !== null && hintZones.includes(zone)) thisZone = true
    if (!everyNode && !everyZone) return null
  }
  if (everyNode && thisNode) return (endpoint) => endpoint.hintNodes!.includes(node)
  if (everyZone && thisZone) return (endpoint) => endpoint.hintZones!.includes(zone!)
  return null
}

function filter(all: Candidates, keep: (i: number) => boolean): Packed {
  const ips: string[] = []
  const ports: number[] = []
  for (let i = 0; i < all.endpoints.length; i++) {
    if (!keep(i)) continue
    ips.push(all.endpoints[i]!.address)
    ports.push(all.ports[i]!)
  }
  return pack({ ips, ports })
}

/** `twin` when it says the same: most often it does, and there are as many as a cluster has endpoints. */
const sharing = (members: Packed, twin: Packed | null): Packed =>
  twin !== null && same(members, twin) ? twin : members

function stateOf(endpoint: Endpoint, policy: Policy): State {
  if (endpoint.ready || policy.publishNotReady) return READY
  return endpoint.serving && endpoint.terminating ? TERMINATING : OUT
}

type State = typeof READY | typeof TERMINATING | typeof OUT
const READY = 2
const TERMINATING = 1
const OUT = 0
const NOBODY: readonly string[] = Object.freeze([])
