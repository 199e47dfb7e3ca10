/** What is done with a request that a path takes. */
import type { Action, Forward, Mirror, Replacement, Weighted } from '../carrier/proxy.ts'
import type { IngressBackend } from '../cluster/ingress.ts'
import { annotationField } from './annotations/all.ts'
import { outerCluster, outerName } from './annotations/outer.ts'
import type { Canary } from './annotations/canary.ts'
import type { Upstream } from './annotations/upstream.ts'
import type { Claimant } from './claims.ts'
import { clusterOf, isSpecial, type ClusterPlan, type Special } from './clusters.ts'
import { MISSING } from './certificates.ts'
import { isUsable, type Facts, type Unusable } from './pem.ts'
import type { Plan } from './plan.ts'
import type { Context } from './routes.ts'

/** With a canary, what each of the two and what both by weight do; without, `share` is null. */
export interface Sent {
  readonly action: Action
}
export interface Both {
  readonly all: Action
  readonly main: Action
  readonly canary: Action
  readonly share: Action | null
}

export interface WithCanary {
  readonly plan: Plan
  readonly claimant: Claimant
  readonly canary: Canary
}

export function forwardOf(context: Context, with_: WithCanary | null): Both {
  const { claim, plan, complain } = context
  const instead = insteadOf(context)
  if (instead !== null) return { all: instead, main: instead, canary: instead, share: null }
  const holder = claim.holder!
  const main = clusterFor(context, plan, plan.annotations.upstream, holder.backend, (problem, remedy) =>
    complain(`${holder.field}.backend`.replace('spec.defaultBackend.backend', 'spec.defaultBackend'), problem, remedy),
  )
  const all = sendTo(context, main === null ? [] : [{ cluster: main, weight: 1 }])
  const canary = with_ === null ? null : canaryCluster(context, with_)
  if (with_ === null || canary === null) return { all, main: all, canary: all, share: null }
  const { weight, total } = with_.canary
  const share: Weighted[] = [
    ...(main === null || weight >= total ? [] : [{ cluster: main, weight: total - weight }]),
    ...(weight > 0 ? [{ cluster: canary, weight: Math.min(weight, total) }] : []),
  ]
  // A main backend that is gone answers 503 for its share: a canary that took it would hide that.
  if (main === null && weight < total)
    return { all, main: all, canary: sendTo(context, [{ cluster: canary, weight: 1 }]), share: all }
  return { all, main: all, canary: sendTo(context, [{ cluster: canary, weight: 1 }]), share: sendTo(context, share) }
}

/** What is answered without a backend; null: nothing is. */
function insteadOf(context: Context): Action | null {
  const { plan, settings } = context
  const { routing, snippet } = plan.annotations
  if (plan.annotations.isClosed || settings.isClosed || lacksSecret(context)) return CLOSED
  if (routing.redirect !== null) return { redirect: routing.redirect }
  if (snippet.answer === null) return null
  return 'location' in snippet.answer ? { redirect: snippet.answer } : { respond: snippet.answer }
}

/** True (told) while a Secret that somebody is to be known by is not there, or not what it should be. */
function lacksSecret({ plan, host, inputs, read, complain }: Context): boolean {
  const { access, upstream } = plan.annotations
  const { basic } = access
  const { tls } = upstream
  const lacks = (annotation: string, path: string, { problem, remedy }: Unusable): true => {
    complain(annotationField(annotation), `names the Secret ${path}, which ${problem}; all requests get 503`, remedy)
    return true
  }
  const trusted = (path: string): Facts['trust'] => read.get(inputs.facts, path)?.trust ?? MISSING
  if (tls.secret !== null && tls.isVerified) {
    const trust = trusted(tls.secret)
    if (!isUsable(trust)) return lacks('proxy-ssl-secret', tls.secret, trust)
  }
  if (host.clients !== null) {
    const trust = trusted(host.clients.secret)
    if (!isUsable(trust)) return lacks('auth-tls-secret', host.clients.secret, trust)
  }
  if (basic === null) return false
  const users = read.get(inputs.facts, basic.secret)?.users ?? MISSING
  if (!isUsable(users)) return lacks('auth-secret', basic.secret, users)
  if (users === (basic.form === 'auth-map' ? 'map' : 'file')) return false
  const remedy = 'use auth-file for a key auth, auth-map for a key of each user'
  return lacks('auth-secret-type', basic.secret, { problem: `is not of the form ${basic.form}`, remedy })
}

function sendTo(context: Context, clusters: Weighted[]): Action {
  const { plan, host } = context
  const { proxying, routing } = plan.annotations
  const { bodyMaxBytes, bufferRequest, bufferResponseBytes, timeouts, retry } = proxying
  const rewrite: Replacement | null =
    routing.rewrite !== null && host.isRegex && context.claim.type !== 'Default' ? { pattern: routing.rewrite } : null
  const forward: Forward = {
    clusters,
    timeouts,
    retry,
    bufferRequest,
    bufferResponseBytes,
    mirrors: mirrorsOf(context),
    ...(rewrite !== null && { rewrite }),
    ...(proxying.host !== null && { host: proxying.host }),
    ...(bodyMaxBytes !== null && { bodyMaxBytes }),
  }
  return { forward }
}

function mirrorsOf({ plan, settings, clusters }: Context): Mirror[] {
  const { mirror } = plan.annotations.proxying
  if (mirror === null) return []
  keep(clusters, { cluster: outerCluster(mirror, settings.keepAlive, settings.circuit), feed: { from: 'name' } })
  const { path, as, withBody } = mirror
  return [
    {
      cluster: outerName(mirror),
      ppm: 1_000_000,
      host: as ?? mirror.host,
      withBody,
      ...(path !== '' && { target: path }),
    },
  ]
}

type Complain = (problem: string, remedy: string) => void

/** Name of the cluster of a backend; null (told): there is none. */
export function clusterFor(
  context: Context,
  plan: Plan,
  upstream: Upstream,
  backend: IngressBackend,
  complain: Complain,
): string | null {
  if (backend === null) return null // told when it was parsed
  const { read, inputs, settings, options, clusters, claim } = context
  const { namespace, name } = plan.ingress
  const special = isSpecial(upstream, settings) ? specialOf(context, `${namespace}/${name}`, upstream) : null
  const spare = plan.annotations.answering.defaultBackend
  const path = `${namespace}/${backend.service}`
  // What the backend cannot answer, the default backend of the Ingress does.
  if (spare !== null && spare !== backend.service && read.get(inputs.staffed, path) === undefined) {
    const service = read.get(inputs.services, `${namespace}/${spare}`)
    const first = service?.ports.find(({ protocol }) => protocol === 'tcp')
    if (first !== undefined) return clusterFor(context, plan, upstream, { service: spare, port: first.port }, complain)
  }
  const found = clusterOf(
    { namespace, backend, protocol: 'tcp', special },
    read.get(inputs.services, path),
    settings,
    options.zone,
  )
  if ('problem' in found) {
    complain(found.problem, found.remedy)
    return null
  }
  if (claim.holder === null) return null
  keep(clusters, found)
  return found.cluster.name
}

function specialOf({ read, inputs, claim }: Context, ingress: string, upstream: Upstream): Special {
  const { sticky, tls } = upstream
  const path = claim.type === 'Default' ? '/' : claim.path
  const owner = sticky !== null && sticky.path === null ? `${ingress} ${path}` : ingress
  const showsCertificate =
    tls.secret !== null && isUsable(read.get(inputs.facts, tls.secret)?.pair ?? { problem: '', remedy: '' })
  return { owner, upstream, path, showsCertificate }
}

/** As the main Ingress has it, but for balancing; and for the session, unless the canary wants none of it. */
function canaryCluster(context: Context, { plan, claimant }: WithCanary): string | null {
  const main = context.plan.annotations.upstream
  const own = plan.annotations.upstream
  const upstream = { ...main, balance: own.balance, sticky: own.canarySticky ? main.sticky : null }
  return clusterFor(context, plan, upstream, claimant.backend, (problem, remedy) =>
    context.rejections.push({
      object: `Ingress ${claimant.ingress}`,
      field: `${claimant.field}.backend`,
      problem,
      remedy,
    }),
  )
}

function keep(clusters: ClusterPlan[], plan: ClusterPlan): void {
  if (!clusters.some(({ cluster }) => cluster.name === plan.cluster.name)) clusters.push(plan)
}

export const CLOSED: Action = {
  respond: { status: 503, headers: [['Content-Type', 'text/plain']], body: 'Service Unavailable\n' },
}
