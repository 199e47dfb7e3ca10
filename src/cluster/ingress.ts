import { createdAt, isLabel, parseLabels, parseMetadata } from './metadata.ts'
import { isAbsent, isInteger, isRecord, list, oneOf, record, type Raw } from './raw.ts'
import { show, type Parsed, type Report } from './rejection.ts'

/** networking.k8s.io/v1 Ingress, reduced to what derivations read. */
export interface Ingress {
  readonly namespace: string
  readonly name: string
  /** metadata.creationTimestamp in ms since 1970; 0 when absent. Who is older wins a contested path. */
  readonly created: number
  /** spec.ingressClassName; null: none. */
  readonly className: string | null
  /** Annotation kubernetes.io/ingress.class, from before that; null: none. */
  readonly classAnnotation: string | null
  /** Those of ingress controllers and certificate issuers only. */
  readonly annotations: ReadonlyMap<string, string>
  readonly defaultBackend: IngressBackend | null
  readonly rules: readonly IngressRule[]
  readonly tls: readonly IngressTls[]
  /** status.loadBalancer.ingress: addresses and host names, as they stand there. */
  readonly published: readonly string[]
}

export interface IngressRule {
  /** Lower case; '' : every host. `*.example.org`: one label below. */
  readonly host: string
  readonly paths: readonly IngressPath[]
}

export interface IngressPath {
  /** Begins with '/'; as written. */
  readonly path: string
  readonly type: 'Exact' | 'Prefix' | 'ImplementationSpecific'
  readonly backend: IngressBackend
  /** Of the path in the object, for people. */
  readonly field: string
}

/** `null`: a backend that nothing can be sent to (already reported): requests that come there get 503. */
export type IngressBackend = { readonly service: string; readonly port: number | string } | null

export interface IngressTls {
  /** Empty: those of the rules. */
  readonly hosts: readonly string[]
  /** '' : the default certificate. */
  readonly secret: string
}

/** Of a networking.k8s.io/v1 Ingress as JSON. Never throws. */
export function parseIngress(raw: unknown): Parsed<Ingress> {
  const meta = parseMetadata(raw, 'Ingress', true)
  if ('rejected' in meta) return meta.rejected
  const { report } = meta
  const spec = record(meta.raw['spec'], 'spec', report)
  const all = record(meta.metadata['annotations'], 'metadata.annotations', report)
  return report.parsed<Ingress>({
    namespace: meta.namespace,
    name: meta.name,
    created: createdAt(meta),
    className: text(spec['ingressClassName'], 'spec.ingressClassName', report),
    classAnnotation: text(all[ANNOTATION_CLASS], `metadata.annotations[${ANNOTATION_CLASS}]`, report),
    annotations: parseLabels(all, 'metadata.annotations', report, { valueMax: ANNOTATION_MAX, keep: isOurs }),
    defaultBackend: isAbsent(spec['defaultBackend'])
      ? null
      : backend(spec['defaultBackend'], 'spec.defaultBackend', report),
    rules: rules(spec, report),
    tls: tls(spec, report),
    published: published(meta.raw['status']),
  })
}

/** A DNS name, perhaps below one wildcard, in lower case; null (reported): it is none. */
export function hostName(value: unknown, field: string, report: Report): string | null {
  if (isAbsent(value) || value === '') return ''
  const host = typeof value === 'string' ? value.toLowerCase() : ''
  const labels = (host.startsWith('*.') ? host.slice(2) : host).split('.')
  if (host.length <= HOST_MAX && labels.every((label) => HOST_LABEL.test(label)) && !isAddress(host)) return host
  const problem = `is ${show(value)}, not a host name; left out`
  report.reject(field, problem, 'write a name like shop.example.org or *.example.org, without scheme and port')
  return null
}

function rules(spec: Raw, report: Report): readonly IngressRule[] {
  const found: IngressRule[] = []
  for (const [i, item] of list(spec['rules'], 'spec.rules', RULES_MAX, report).entries()) {
    const field = `spec.rules[${i}]`
    const rule = record(item, field, report)
    const host = hostName(rule['host'], `${field}.host`, report)
    if (host === null) continue
    const http = record(rule['http'], `${field}.http`, report)
    const paths: IngressPath[] = []
    for (const [j, each] of list(http['paths'], `${field}.http.paths`, PATHS_MAX, report).entries()) {
      const path = ingressPath(each, `${field}.http.paths[${j}]`, report)
      if (path !== null) paths.push(path)
    }
    found.push({ host, paths })
  }
  return found
}

function ingressPath(value: unknown, field: string, report: Report): IngressPath | null {
  const raw = record(value, field, report)
  const path = isAbsent(raw['path']) || raw['path'] === '' ? '/' : raw['path']
  if (typeof path !== 'string' || !PATH.test(path) || path.length > PATH_MAX) {
    const problem = `is ${show(path)}, not a path; left out`
    report.reject(
      `${field}.path`,
      problem,
      `begin it with / and use at most ${PATH_MAX} characters, none of them white space`,
    )
    return null
  }
  const type = oneOf(raw['pathType'], `${field}.pathType`, PATH_TYPES, 'ImplementationSpecific', report)
  return { path, type, backend: backend(raw['backend'], `${field}.backend`, report), field }
}

function backend(value: unknown, field: string, report: Report): IngressBackend {
  const raw = record(value, field, report)
  if (!isAbsent(raw['resource'])) {
    report.reject(`${field}.resource`, 'is not supported; requests get 503', 'name a Service in `service` instead')
    return null
  }
  const service = record(raw['service'], `${field}.service`, report)
  const name = service['name']
  if (!isLabel(name)) {
    const problem = isAbsent(name) ? 'is missing' : `is ${show(name)}, not the name of a Service`
    report.reject(
      `${field}.service.name`,
      `${problem}; requests get 503`,
      'write the name of a Service of this namespace',
    )
    return null
  }
  const port = record(service['port'], `${field}.service.port`, report)
  if (isInteger(port['number'], 1, 65_535)) return { service: name, port: port['number'] }
  if (isLabel(port['name'])) return { service: name, port: port['name'] }
  const problem = `is ${show(port['number'] ?? port['name'])}, neither a number nor a name; requests get 503`
  report.reject(
    `${field}.service.port`,
    problem,
    'write `number: 80`, or `name:` with the name of a port of the Service',
  )
  return null
}

function tls(spec: Raw, report: Report): readonly IngressTls[] {
  const found: IngressTls[] = []
  for (const [i, item] of list(spec['tls'], 'spec.tls', RULES_MAX, report).entries()) {
    const field = `spec.tls[${i}]`
    const raw = record(item, field, report)
    const hosts: string[] = []
    for (const [j, each] of list(raw['hosts'], `${field}.hosts`, PATHS_MAX, report).entries()) {
      const host = hostName(each, `${field}.hosts[${j}]`, report)
      if (host !== null) hosts.push(host)
    }
    const given = isRecord(item) && Array.isArray(item['hosts']) && item['hosts'].length > 0
    // Of none that can be used it must not come to mean all.
    if (given && hosts.length === 0) continue
    found.push({ hosts, secret: text(raw['secretName'], `${field}.secretName`, report) ?? '' })
  }
  return found
}

/** Somebody wrote it for others to read: what is wrong with it is nobody's fault here. */
function published(status: unknown): readonly string[] {
  const balancer = isRecord(status) ? status['loadBalancer'] : null
  const entries =
    isRecord(balancer) && Array.isArray(balancer['ingress']) ? balancer['ingress'].slice(0, PATHS_MAX) : []
  return entries.flatMap((entry: unknown) => {
    const where = isRecord(entry) ? entry['ip'] || entry['hostname'] : null
    return typeof where === 'string' ? [where] : []
  })
}

/** null: absent or (reported) wrong. */
function text(value: unknown, field: string, report: Report): string | null {
  if (typeof value === 'string' && value !== '' && value.length <= NAME_MAX) return value
  if (!isAbsent(value) && value !== '') report.reject(field, `is ${show(value)}, not a name; not used`, 'write a name')
  return null
}

const isOurs = (key: string): boolean =>
  key.startsWith('nginx.ingress.kubernetes.io/') || ISSUERS.test(key) || key === 'kubernetes.io/tls-acme'

const isAddress = (host: string): boolean => /^[0-9.]+$/.test(host)

const ANNOTATION_CLASS = 'kubernetes.io/ingress.class'
const ISSUERS = /^(acme\.)?cert-manager\.io\//
const PATH_TYPES = ['Exact', 'Prefix', 'ImplementationSpecific'] as const
/** White space and control characters have no place in a request line. */
// eslint-disable-next-line no-control-regex -- those it keeps out
const PATH = /^\/[^\s\x00-\x1f\x7f]*$/
const HOST_LABEL = /^[a-z0-9_]([-a-z0-9_]{0,61}[a-z0-9_])?$/
const HOST_MAX = 253
const NAME_MAX = 253
const PATH_MAX = 4_000
const RULES_MAX = 1_000
const PATHS_MAX = 1_000
const ANNOTATION_MAX = 64 * 1024
