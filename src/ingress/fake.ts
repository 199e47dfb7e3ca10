import type { Condition, Endpoint, PathMatch, ProxyRow, Redirect, Route, SecretRow } from '../carrier/proxy.ts'
import type { Delta, Key } from '../core/delta.ts'

/** A request as the proxy sees it: host without port, path normalised. */
export interface Request {
  readonly listener: string
  readonly host: string
  readonly path: string
  readonly method?: string
  /** Names in lower case. */
  readonly headers?: Readonly<Record<string, string>>
  readonly cookies?: Readonly<Record<string, string>>
}

/** What becomes of it. `to`: addresses that it may go to, with their share of 1; none: 503. */
export type Outcome =
  | {
      readonly kind: 'forwarded'
      readonly route: Route
      readonly to: ReadonlyMap<string, number>
      readonly path: string
    }
  | { readonly kind: 'redirected'; readonly route: Route; readonly status: number; readonly location: string }
  | { readonly kind: 'answered'; readonly route: Route | null; readonly status: number }

/**
 * Answers from rows, as the carrier does: what a row means. Filters, health, sessions and limits are not its business.
 */
export class Fake {
  readonly rows = new Map<Key, ProxyRow>()
  readonly secrets = new Map<Key, SecretRow>()

  apply(delta: Delta<ProxyRow>): void {
    take(this.rows, delta)
  }

  applySecrets(delta: Delta<SecretRow>): void {
    take(this.secrets, delta)
  }

  ask(request: Request): Outcome {
    const host = bestHost(request.host, (name) =>
      this.#routes(request.listener).some(([, route]) => route.host === name),
    )
    const fitting = this.#routes(request.listener)
      .filter(
        ([, route]) =>
          route.host === host &&
          matches(route.path, request.path) &&
          route.conditions.every((each) => holds(each, request)),
      )
      .sort(([a, one], [b, other]) => one.rank - other.rank || (a < b ? -1 : 1))
    const route = fitting[0]?.[1]
    if (route === undefined) return { kind: 'answered', route: null, status: 404 }
    const { action } = route
    if ('respond' in action) return { kind: 'answered', route, status: action.respond.status }
    if ('redirect' in action)
      return {
        kind: 'redirected',
        route,
        status: action.redirect.status,
        location: locationOf(action.redirect, request),
      }
    const { clusters, rewrite } = action.forward
    const all = clusters.reduce((sum, { weight }) => sum + weight, 0)
    const to = new Map<string, number>()
    for (const { cluster, weight } of clusters) {
      if (weight === 0) continue
      const endpoints = this.endpointsOf(cluster)
      const staying = endpoints.filter(({ draining }) => !draining)
      const used = this.#near(cluster, staying.length > 0 ? staying : endpoints)
      for (const { address, port } of used) {
        const where = address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
        to.set(where, (to.get(where) ?? 0) + weight / all / used.length)
      }
    }
    const path =
      rewrite === undefined || !('pattern' in rewrite)
        ? request.path
        : rewritten(route.path, rewrite.pattern, request.path)
    return to.size === 0 ? { kind: 'answered', route, status: 503 } : { kind: 'forwarded', route, to, path }
  }

  /** What a TLS client that asks for a name is shown: a key of `secrets`, or `passthrough CLUSTER`. */
  shown(name: string): string {
    const all = [...this.rows.values()].filter((row) => row.kind === 'sni')
    const host = bestHost(name, (each) => all.some((row) => row.host === each))
    const row = all.find((each) => each.host === host)!
    return 'certificate' in row.shows ? row.shows.certificate.certificate : `passthrough ${row.shows.passthrough}`
  }

  endpointsOf(cluster: string): Endpoint[] {
    const own = [...this.rows.values()].filter((row) => row.kind === 'endpoint' && row.cluster === cluster)
    const named = [...this.rows.values()].flatMap((row) =>
      row.kind === 'cluster' && row.name === cluster && row.resolve !== undefined
        ? [{ cluster, address: row.resolve.name, port: row.resolve.port, weight: 1, draining: false, label: '' }]
        : [],
    )
    return [...(own as (Endpoint & { kind: string })[]), ...named]
  }

  #near(cluster: string, endpoints: readonly Endpoint[]): readonly Endpoint[] {
    const row = [...this.rows.values()].find((row) => row.kind === 'cluster' && row.name === cluster)
    const zone = row?.kind === 'cluster' ? row.zone : undefined
    if (zone === undefined || endpoints.some(({ zones = [] }) => zones.length === 0)) return endpoints
    const meant = endpoints.filter(({ zones }) => zones!.includes(zone))
    return meant.length > 0 ? meant : endpoints
  }

  #routes(listener: string): [Key, Route][] {
    const found: [Key, Route][] = []
    for (const [key, row] of this.rows)
      if (row.kind === 'route' && row.listeners.includes(listener)) found.push([key, row])
    return found
  }
}

/** Exact, then a wildcard one label above, then the one that is every other. */
function bestHost(name: string, exists: (host: string) => boolean): string {
  const wildcard = `*.${name.slice(name.indexOf('.') + 1)}`
  return exists(name) ? name : name.includes('.') && exists(wildcard) ? wildcard : ''
}

function matches(path: PathMatch, asked: string): boolean {
  if ('exact' in path) return asked === path.exact
  if ('start' in path) return asked.startsWith(path.start)
  if ('pattern' in path) return expression(path)!.test(asked)
  const prefix = path.prefix.replace(/\/+$/, '')
  return asked === prefix || asked.startsWith(`${prefix}/`)
}

const expression = (path: PathMatch): RegExp | null =>
  'pattern' in path ? new RegExp(`^(?:${path.pattern.pattern})`, path.pattern.ignoreCase ? 'i' : '') : null

function rewritten(path: PathMatch, target: string, asked: string): string {
  const groups = expression(path)?.exec(asked) ?? []
  return target.replace(/\$(\d)/g, (_, number: string) => groups[Number(number)] ?? '')
}

function holds(
  { on, name, value }: Condition,
  { method = 'GET', headers = {}, cookies = {}, listener }: Request,
): boolean {
  const own: Readonly<Record<string, string>> = { 'x-forwarded-proto': listener, ...headers }
  const given =
    on === 'method' ? method : on === 'header' ? own[name.toLowerCase()] : on === 'cookie' ? cookies[name] : undefined
  if (value === 'present') return given !== undefined
  if (value === 'absent') return given === undefined
  if (given === undefined) return false
  return 'exact' in value ? given === value.exact : new RegExp(value.pattern).test(given)
}

function locationOf({ location, scheme, host, path }: Redirect, request: Request): string {
  const variables: Readonly<Record<string, string>> = {
    scheme: request.listener,
    http_host: request.host,
    host: request.host,
    request_uri: request.path,
  }
  if (location !== undefined) return location.replace(/\$(\w+)/g, (whole, name: string) => variables[name] ?? whole)
  const to = path !== undefined && 'full' in path ? path.full : request.path
  return `${scheme ?? request.listener}://${host ?? request.host}${to}`
}

function take<Row>(rows: Map<Key, Row>, delta: Delta<Row>): void {
  if (delta.from === 0) rows.clear()
  for (const key of delta.drop) rows.delete(key)
  for (const [key, row] of delta.put) rows.set(key, row)
}
