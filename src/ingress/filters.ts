/** What happens on the way of a request that a path takes. */
import type { ErrorPages, ExternalAuth, Filters, HeaderEdit } from '../carrier/proxy.ts'
import type { ConfigMap } from '../cluster/configmap.ts'
import { show } from '../cluster/rejection.ts'
import { clusterFor } from './actions.ts'
import type { External } from './annotations/access.ts'
import { annotationField } from './annotations/all.ts'
import { outerCluster, outerName } from './annotations/outer.ts'
import { usersName } from './certificates.ts'
import { HEADER } from './reader.ts'
import type { Context } from './routes.ts'
import { unknownVariable } from './variables.ts'

/** null: nothing. */
export function filtersOf(context: Context): Filters | null {
  const { plan } = context
  const { access, answering, routing } = plan.annotations
  const { basic, limits, sources } = access
  const external = externalOf(context)
  const request = requestHeaders(context)
  const response = responseHeaders(context)
  const errors = errorsOf(context)
  const filters: Filters = {
    ...(sources !== null && { sources }),
    ...(limits !== null && { limits: { name: `${plan.ingress.namespace}/${plan.ingress.name}`, ...limits } }),
    ...(basic !== null && { basic: { users: usersName(basic.secret, basic.form === 'auth-map'), realm: basic.realm } }),
    ...(external !== null && { external }),
    ...(access.satisfyAny && { satisfyAny: true }),
    ...(answering.cors !== null && { cors: answering.cors }),
    ...(request !== null && { requestHeaders: request }),
    ...(response !== null && { responseHeaders: response }),
    ...(answering.cookies !== null && { cookies: answering.cookies }),
    ...(answering.locations !== null && { locations: [...answering.locations] }),
    ...(errors !== null && { errors }),
    ...(!answering.accessLog && { accessLog: false }),
    ...(answering.tracing !== null && { tracing: answering.tracing }),
    ...(routing.forwardedPrefix !== null && routing.rewrite !== null && { forwardedPrefix: routing.forwardedPrefix }),
  }
  return Object.keys(filters).length === 0 ? null : filters
}

/** For what is sent over TLS, by a certificate of the host's own. */
export function withHsts(filters: Filters | null, hsts: string | null): Filters | null {
  if (hsts === null) return filters
  const { remove = [], set = [], add = [] } = filters?.responseHeaders ?? {}
  return { ...filters, responseHeaders: { remove, set: [['Strict-Transport-Security', hsts], ...set], add } }
}

/** What the question looks like: as nginx.tmpl of ingress-nginx has it. */
function externalOf(context: Context): ExternalAuth | null {
  const { plan, settings, claim, clusters } = context
  const { external } = plan.annotations.access
  if (external === null) return null
  const isGlobal = external === settings.globalAuth
  if (isGlobal && settings.openPaths.some((path) => claim.path.startsWith(path))) return null
  const cluster = outerCluster(external, settings.keepAlive, settings.circuit)
  if (!clusters.some((each) => each.cluster.name === cluster.name)) clusters.push({ cluster, feed: { from: 'name' } })
  return {
    cluster: outerName(external),
    url: external.url,
    responseHeaders: [...external.responseHeaders],
    requestHeaders: questionOf(context, external),
    redirectParameter: external.redirectParameter,
    alwaysSetCookie: external.alwaysSetCookie,
    timeoutMs: settings.proxying.timeouts.readMs,
    ...(external.method !== null && { method: external.method }),
    ...(external.signIn !== null && { signIn: external.signIn }),
    ...(external.cache !== null && { cache: external.cache }),
  }
}

function questionOf(context: Context, { headersFrom, redirectHeader }: External): [string, string][] {
  const own = headersFrom === null ? [] : headersIn(context, headersFrom, 'auth-proxy-set-headers')
  return [
    ['X-Original-URL', '$scheme://$http_host$request_uri'],
    ['X-Original-Method', '$request_method'],
    ['X-Sent-From', 'nginx-ingress-controller'],
    ['X-Real-IP', '$remote_addr'],
    ['X-Forwarded-For', '$proxy_add_x_forwarded_for'],
    ['X-Auth-Request-Redirect', redirectHeader],
    ...own,
    ...context.plan.annotations.snippet.question.map(([name, value]): [string, string] => [name, value]),
  ]
}

function requestHeaders(context: Context): HeaderEdit | null {
  const { request } = context.plan.annotations.snippet
  const { requestHeadersFrom } = context.settings
  const all = requestHeadersFrom === null ? [] : headersIn(context, requestHeadersFrom, 'proxy-set-headers')
  return edit({ ...request, set: [...all, ...request.set] })
}

function responseHeaders(context: Context): HeaderEdit | null {
  const { snippet, answering } = context.plan.annotations
  const { hiddenHeaders, responseHeadersFrom } = context.settings
  const all = responseHeadersFrom === null ? [] : headersIn(context, responseHeadersFrom, 'add-headers')
  const own = answering.headersFrom === null ? [] : headersIn(context, answering.headersFrom, 'custom-headers')
  return edit({
    remove: [...hiddenHeaders, ...snippet.response.remove],
    set: [...all, ...own, ...snippet.response.set],
    add: snippet.response.add,
  })
}

const edit = (headers: HeaderEdit): HeaderEdit | null =>
  headers.remove.length + headers.set.length + headers.add.length === 0 ? null : headers

/** Those of a ConfigMap: names are keys. What is none is left out and told. */
function headersIn({ read, inputs, complain, rejections }: Context, path: string, name: string): [string, string][] {
  const found: ConfigMap | undefined = read.get(inputs.configMaps, path)
  if (found === undefined) {
    complain(
      'metadata.annotations',
      `${name} names the ConfigMap ${path}, which does not exist, or may not be read; its headers are not set`,
      'create it',
    )
    return []
  }
  const wrong = (header: string, problem: string): unknown =>
    rejections.push({
      object: `ConfigMap ${path}`,
      field: `data[${header.slice(0, 100)}]`,
      problem,
      remedy: 'write the name of a header field and its value',
    })
  return [...found.data].flatMap(([header, value]): [string, string][] => {
    const unknown = unknownVariable(value)
    if (unknown !== null) wrong(header, `has the variable ${unknown}, which is not known; left out`)
    // eslint-disable-next-line no-control-regex -- no header has any
    else if (!HEADER.test(header) || /[\x00-\x08\x0a-\x1f\x7f]/.test(value))
      wrong(header, `${show(header)} is not a header field; left out`)
    else return [[header, value.trim()]]
    return []
  })
}

/** Of the Ingress' own default backend, else the controller's. */
function errorsOf(context: Context): ErrorPages | null {
  const { plan, complain, options, read, inputs } = context
  const { errors, defaultBackend } = plan.annotations.answering
  if (errors.length === 0) return null
  const path = defaultBackend === null ? options.defaultBackend : `${plan.ingress.namespace}/${defaultBackend}`
  const service = path === null ? undefined : read.get(inputs.services, path)
  const port = service?.ports.find(({ protocol }) => protocol === 'tcp')
  const field = annotationField('custom-http-errors')
  if (service === undefined || port === undefined) {
    complain(
      field,
      `needs a default backend, and ${path === null ? 'there is none' : `the Service ${path} has no port`}; errors are left as they are`,
      'name a Service in default-backend',
    )
    return null
  }
  const owner = { ...plan, ingress: { ...plan.ingress, namespace: service.namespace } }
  const plain = { ...plan.annotations.upstream, protocol: null, balance: null, sticky: null, tls: NO_TLS }
  const cluster = clusterFor(context, owner, plain, { service: service.name, port: port.port }, (problem, remedy) =>
    complain(field, problem, remedy),
  )
  if (cluster === null) return null
  // As $namespace, $ingress_name, $service_name and $service_port of ingress-nginx are.
  const { namespace, name } = plan.ingress
  const backend = context.claim.holder?.backend ?? null
  const of: [string, string][] = [
    ['X-Namespace', namespace],
    ['X-Ingress-Name', name],
    ['X-Service-Name', backend?.service ?? ''],
    ['X-Service-Port', String(backend?.port ?? '')],
  ]
  return { statuses: [...errors], cluster, headers: of }
}

const NO_TLS = { secret: null, isVerified: false, depth: 1, serverName: null, sendsName: false, protocols: [] }
