/** One claim as routes: who comes where, in which order. */
import type { Action, Condition, Filters, PathMatch } from '../carrier/proxy.ts'
import type { ConfigMap } from '../cluster/configmap.ts'
import type { Rejection } from '../cluster/rejection.ts'
import { show } from '../cluster/rejection.ts'
import type { Service } from '../cluster/service.ts'
import type { Key } from '../core/delta.ts'
import { derive, type Read } from '../core/derive.ts'
import type { Graph } from '../core/graph.ts'
import type { Readable } from '../core/table.ts'
import { forwardOf, type Sent } from './actions.ts'
import type { Canary } from './annotations/canary.ts'
import { orderKey, orderText, type Claim } from './claims.ts'
import type { ClusterPlan } from './clusters.ts'
import { filtersOf, withHsts } from './filters.ts'
import type { Host } from './hosts.ts'
import type { IngressOptions } from './options.ts'
import { checkPattern, groupsOf } from './pattern.ts'
import type { Facts } from './pem.ts'
import type { Plan } from './plan.ts'
import { HTTP, HTTPS, routeRow, type ProxyRow, type Route } from './rows.ts'
import type { ParsedSettings, Settings } from './settings.ts'

export interface RouteInputs {
  readonly options: Readable<IngressOptions>
  readonly settings: Readable<ParsedSettings>
  readonly plans: Readable<Plan>
  readonly hosts: Readable<Host>
  readonly services: Readable<Service>
  readonly staffed: Readable<true>
  readonly configMaps: Readable<ConfigMap>
  readonly facts: Readable<Facts>
  readonly orders: Readable<readonly string[]>
}

/** What follows from one claim. */
export interface Piece {
  readonly routes: readonly (readonly [Key, ProxyRow])[]
  readonly clusters: readonly ClusterPlan[]
  readonly rejections: readonly Rejection[]
}

/** All that is known while a claim is looked at. */
export interface Context {
  readonly read: Read
  readonly inputs: RouteInputs
  readonly settings: Settings
  readonly options: IngressOptions
  readonly claim: Claim
  readonly host: Host
  readonly plan: Plan
  readonly clusters: ClusterPlan[]
  readonly rejections: Rejection[]
  readonly complain: (field: string, problem: string, remedy: string) => void
}

export const derivePieces = (graph: Graph, claims: Readable<Claim>, inputs: RouteInputs): Readable<Piece> =>
  derive<Piece, Claim>(graph, {
    name: 'routes of claims',
    driver: claims,
    inputs: Object.values(inputs),
    rows: (key, claim, read) => {
      const holder = claim.holder
      const plan = holder === null ? undefined : read.get(inputs.plans, holder.ingress)
      const host = read.get(inputs.hosts, claim.host)
      const said = read.get(inputs.settings, '')
      const options = read.get(inputs.options, '')
      if (plan === undefined || host === undefined || said === undefined || options === undefined) return []
      const rejections: Rejection[] = []
      const complain = (field: string, problem: string, remedy: string): unknown =>
        rejections.push({ object: `Ingress ${holder!.ingress}`, field, problem, remedy })
      const context = {
        read,
        inputs,
        settings: said.settings,
        options,
        claim,
        host,
        plan,
        clusters: [],
        rejections,
        complain,
      }
      return [[key, pieceOf(context)]]
    },
  })

function pieceOf(context: Context): Piece {
  const { clusters, rejections, host, claim, read, inputs } = context
  const path = matchOf(context)
  if (path === null) return { routes: [], clusters, rejections }
  const names = [claim.host, ...host.aliases.filter((alias) => isFree(read.get(inputs.hosts, alias), claim.host))]
  const answers = answersOf(context, path)
  const routes = names.flatMap((name) =>
    answers.map(({ id, ...route }) => routeRow(`${name} ${claim.type} ${claim.path} ${id}`, { ...route, host: name })),
  )
  return { routes, clusters, rejections }
}

const isFree = (alias: Host | undefined, host: string): boolean =>
  alias !== undefined && !alias.isRuled && alias.aliasOf === host

type Answer = Omit<Route, 'host'> & { readonly id: string }

/** In the order of their ranks. */
function answersOf(context: Context, path: PathMatch): Answer[] {
  const { claim, plan, settings, host } = context
  const { namespace, name } = plan.ingress
  const holder = claim.holder!
  const service = holder.backend?.service ?? ''
  const port = String(holder.backend?.port ?? '')
  const labels = { namespace, ingress: name, service, port, path: claim.type === 'Default' ? '/' : claim.path }
  const rank = rankOf(context)
  const secured = isSecured(context)
  const sent = sentOf(context)
  const isCertified = host.certificates.length > 0
  const answers: Answer[] = []
  const add = (
    id: string,
    order: number,
    at: PathMatch,
    action: Action,
    filters: Filters | null,
    more: Partial<Answer> = {},
  ): void => {
    const route = { path: at, conditions: [], rank: rank + order, action, labels, listeners: [HTTP, HTTPS], ...more }
    answers.push({ id, ...route, ...(filters !== null && { filters }) })
  }
  const redirect: Action = { redirect: { status: settings.redirectStatus, scheme: 'https' } }
  const root = plan.annotations.routing.appRoot
  if (root !== null && claim.path === '/')
    add('root', ROOT, { exact: '/' }, { redirect: { status: 302, location: `$scheme://$http_host${root}` } }, null)
  const plain = filtersOf(context)
  const overTls = isCertified ? withHsts(plain, settings.hsts) : plain
  for (const [i, { action, order, conditions }] of sent.entries()) {
    if (secured === 'never' && !isCertified) {
      add(`${i}`, order, path, action, plain, { conditions })
      continue
    }
    add(`${i} https`, order, path, action, overTls, { conditions, listeners: [HTTPS] })
    if (secured === 'never') add(`${i} http`, order, path, action, plain, { conditions, listeners: [HTTP] })
    // Whoever ended TLS before us, and is believed, says so.
    else if (isOffloaded(settings) && host.clients === null)
      add(`${i} ended`, order, path, action, overTls, { conditions: [...conditions, ENDED], listeners: [HTTP] })
  }
  if (secured === 'always') add('secure', SECURE, path, redirect, null, { listeners: [HTTP] })
  const bare = withoutSlash(claim, host.isRegex)
  if (bare !== null) {
    const to: Action = { redirect: { status: 301, path: { full: claim.path } } }
    // After whatever has just that path without the slash, and before shorter ones.
    add('slash', placeOf(bare.length, SLOTS - 1) - rank, { exact: bare }, to, null)
  }
  return answers
}

/** TLS may have been ended by who sends X-Forwarded-Proto, or by who says with the PROXY protocol that it was port 443. */
const isOffloaded = ({ http, proxyProtocol }: Settings): boolean => http.trusted.length > 0 || proxyProtocol.length > 0

/** Where plain HTTP is not served: a host with `tls`, or one whose Ingress asks for it; clients with certificates always. */
function isSecured({ claim, plan, host, settings }: Context): 'never' | 'always' {
  if (settings.plainPaths.some((path) => claim.path.startsWith(path))) return 'never'
  const { secure } = plan.annotations.routing
  if (host.clients !== null || secure === 'always') return 'always'
  return secure === 'tls' && host.certificates.length > 0 ? 'always' : 'never'
}

interface Ordered extends Sent {
  readonly conditions: Condition[]
  readonly order: number
}

/** Of a canary, its header first, then its cookie, then chance. */
function sentOf(context: Context): Ordered[] {
  const { claim, read, inputs } = context
  const [canary] = claim.canaries
  const plan = canary === undefined ? undefined : read.get(inputs.plans, canary.ingress)
  const said = plan?.annotations.canary ?? null
  const both = forwardOf(context, said === null ? null : { plan: plan!, claimant: canary!, canary: said })
  if (said === null || both.share === null) return [{ action: both.all, conditions: [], order: MAIN }]
  const on = (kind: 'header' | 'cookie', name: string, value: Condition['value']): Condition[] => [
    { on: kind, name, value },
  ]
  return [
    ...(said.header === null ? [] : byHeader(said, said.header, both)),
    ...(said.cookie === null
      ? []
      : [
          { action: both.canary, conditions: on('cookie', said.cookie, { exact: 'always' }), order: COOKIE },
          { action: both.main, conditions: on('cookie', said.cookie, { exact: 'never' }), order: COOKIE + 1 },
        ]),
    { action: both.share, conditions: [], order: MAIN },
  ]
}

function byHeader(
  { value }: Canary,
  name: string,
  both: { readonly canary: Action; readonly main: Action },
): Ordered[] {
  const on = (wanted: Condition['value']): Condition[] => [{ on: 'header', name, value: wanted }]
  if (value !== null) return [{ action: both.canary, conditions: on(value), order: HEADER }]
  return [
    { action: both.canary, conditions: on({ exact: 'always' }), order: HEADER },
    { action: both.main, conditions: on({ exact: 'never' }), order: HEADER + 1 },
  ]
}

/** null (told): nothing can be matched. */
function matchOf(context: Context): PathMatch | null {
  const { claim, host, complain } = context
  if (claim.type === 'Default') return { prefix: '/' }
  if (host.isRegex) {
    const checked = checkPattern(claim.path)
    // As nginx: without regard to case, and only the start is anchored.
    if ('pattern' in checked) {
      sayGroups(context, checked.pattern)
      return { pattern: { pattern: `^${checked.pattern}`, ignoreCase: true } }
    }
    const field = `${claim.holder!.field}.path`
    complain(
      field,
      `is the pattern ${show(claim.path)}, which ${checked.problem}; the path is left out`,
      'write it without that',
    )
    return null
  }
  return claim.type === 'Exact'
    ? { exact: claim.path }
    : claim.type === 'Prefix'
      ? { prefix: claim.path }
      : { start: claim.path }
}

/** A group that the path does not have is empty, in nginx, too: seldom what was meant. */
function sayGroups({ claim, plan, complain }: Context, pattern: string): void {
  const named = [...(plan.annotations.routing.rewrite ?? '').matchAll(/\$(\d)/g)].map(([, group]) => Number(group))
  const groups = groupsOf(pattern)
  const missing = named.find((group) => group > groups)
  if (missing === undefined) return
  const problem = `has ${groups} groups, but rewrite-target of its Ingress names $${missing}, which is then empty`
  complain(`${claim.holder!.field}.path`, problem, 'give this path another Ingress, or write it like /path(/|$)(.*)')
}

/** Longer paths go first; of the same length Exact, then Prefix, then what nginx calls a prefix. */
function rankOf({ claim, host, read, inputs }: Context): number {
  const { type, path } = claim
  if (!host.isRegex || type === 'Default')
    return placeOf(path.length, ['Exact', 'Prefix', 'ImplementationSpecific', 'Default'].indexOf(type))
  const order = read.get(inputs.orders, orderKey(claim)) ?? []
  return placeOf(path.length, Math.min(order.indexOf(orderText(claim)), SLOTS - 1))
}

const placeOf = (length: number, slot: number): number => ((LENGTH_MAX - length) * SLOTS + slot) * ORDERS

/** nginx: a location that ends in a slash answers 301 to who leaves it out. Prefixes of Kubernetes mean both anyway. */
function withoutSlash({ type, path }: Claim, isRegex: boolean): string | null {
  return type === 'ImplementationSpecific' && !isRegex && path.length > 1 && path.endsWith('/')
    ? path.slice(0, -1)
    : null
}

const LENGTH_MAX = 4_096
/** Paths of one length. */
const SLOTS = 4_096
/** Within one path. */
const ORDERS = 16
const [ROOT, HEADER, COOKIE, MAIN, SECURE] = [0, 1, 3, 5, 6] as const
const ENDED: Condition = { on: 'header', name: 'X-Forwarded-Proto', value: { exact: 'https' } }
