/** Rows of a host as a whole: its certificate, its counterpart with www., what no path of it takes. */
import type { ProxyRow } from '../carrier/proxy.ts'
import type { Rejection } from '../cluster/rejection.ts'
import type { Service } from '../cluster/service.ts'
import type { Key } from '../core/delta.ts'
import { derive, type Read } from '../core/derive.ts'
import type { Graph } from '../core/graph.ts'
import { InputTable, type Readable } from '../core/table.ts'
import { union } from '../core/union.ts'
import { clientsOf, sniOf } from './certificates.ts'
import { claimKey, type Claim } from './claims.ts'
import { clusterOf, type ClusterPlan } from './clusters.ts'
import type { Host } from './hosts.ts'
import type { IngressOptions } from './options.ts'
import { covers, isUsable, type Facts } from './pem.ts'
import type { Plan } from './plan.ts'
import { DEFAULT_CERTIFICATE, HTTP, HTTPS, routeRow, secretName, sniRow } from './rows.ts'
import type { ParsedSettings, Settings } from './settings.ts'

export interface HostPiece {
  readonly rows: readonly (readonly [Key, ProxyRow])[]
  readonly clusters: readonly ClusterPlan[]
  readonly rejections: readonly Rejection[]
}

interface Inputs {
  readonly options: Readable<IngressOptions>
  readonly settings: Readable<ParsedSettings>
  readonly plans: Readable<Plan>
  readonly hosts: Readable<Host>
  readonly claims: Readable<Claim>
  readonly services: Readable<Service>
  readonly facts: Readable<Facts>
  /** Certificates that an ACME server is asked for: where they are not there yet, that is no fault of the Ingress. */
  readonly ordered: Readable<unknown>
}

export function deriveHostRows(graph: Graph, inputs: Inputs): Readable<HostPiece> {
  // The host that is all others is there also when no Ingress names it.
  const every = new InputTable<Host>('every host')
  every.put('', NOBODY)
  every.markSynced()
  return derive<HostPiece, Host>(graph, {
    name: 'hosts as a whole',
    driver: union('hosts and all others', [inputs.hosts, graph.input(every)]),
    inputs: Object.values(inputs),
    rows: (host, row, read) => {
      const settings = read.get(inputs.settings, '')?.settings
      const options = read.get(inputs.options, '')
      return settings === undefined || options === undefined
        ? []
        : [[host, pieceOf(host, row, settings, options, read, inputs)]]
    },
  })
}

function pieceOf(
  host: string,
  row: Host,
  settings: Settings,
  options: IngressOptions,
  read: Read,
  inputs: Inputs,
): HostPiece {
  const parts = [
    passthroughOf(host, row, settings, options, read, inputs) ?? certificateOf(host, row, read, inputs),
    { rows: wwwOf(host, row, settings, read, inputs), clusters: [], rejections: [] },
    defaultOf(host, settings, options, read, inputs),
  ]
  return {
    rows: parts.flatMap(({ rows }) => rows),
    clusters: parts.flatMap(({ clusters }) => clusters),
    rejections: parts.flatMap(({ rejections }) => rejections),
  }
}

function certificateOf(host: string, row: Host, read: Read, inputs: Inputs): HostPiece {
  const facts = (path: string) => read.get(inputs.facts, path)
  const { rows, rejections } = sniOf(host, row, facts, (path) => read.get(inputs.ordered, path) !== undefined)
  const [first] = row.certificates
  const pair = first === undefined || first.secret === '' ? undefined : facts(first.secret)?.pair
  const isCovered = (name: string) => pair !== undefined && isUsable(pair) && covers(pair.names, name)
  const also = [...row.aliases, ...(row.fromToWww === null ? [] : [counterpart(host)])]
  // Other names have it, too, where it is for them; what asks for certificates of clients asks under each of its names.
  const more = also
    .filter((name) => (row.clients !== null || isCovered(name)) && isFree(name, read, inputs))
    .map((name) => {
      const certificate = isCovered(name) ? secretName('pair', first!.secret) : DEFAULT_CERTIFICATE
      const clients = row.clients === null ? {} : { clients: clientsOf(row.clients) }
      return sniRow({ host: name, listeners: [HTTPS], shows: { certificate: { certificate, ...clients } } })
    })
  const fallback =
    host === '' && rows.length === 0
      ? [sniRow({ host, listeners: [HTTPS], shows: { certificate: { certificate: DEFAULT_CERTIFICATE } } })]
      : []
  return { rows: [...rows, ...more, ...fallback], clusters: [], rejections }
}

/** TLS goes to the backend of `/`, as it came; null: it ends here. */
function passthroughOf(
  host: string,
  row: Host,
  settings: Settings,
  { zone }: IngressOptions,
  read: Read,
  inputs: Inputs,
): HostPiece | null {
  if (row.passthrough === null) return null
  const { ingress } = read.get(inputs.plans, row.passthrough.ingress)!
  const path = ingress.rules.find((rule) => rule.host === host)?.paths.find((each) => each.path === '/')
  const reject = (field: string, problem: string, remedy: string): HostPiece => ({
    ...{ rows: [], clusters: [] },
    rejections: [{ object: `Ingress ${row.passthrough!.ingress}`, field, problem, remedy }],
  })
  if (path === undefined)
    return reject('spec.rules', `have no path / of ${host}, whose backend TLS would go to`, 'add it')
  if (path.backend === null) return { rows: [], clusters: [], rejections: [] }
  const wanted = { namespace: ingress.namespace, backend: path.backend, protocol: 'tcp', special: null } as const
  const found = clusterOf(
    wanted,
    read.get(inputs.services, `${ingress.namespace}/${path.backend.service}`),
    settings,
    zone,
  )
  if ('problem' in found)
    return reject(`${path.field}.backend`, found.problem.replace('requests get 503', 'TLS is refused'), found.remedy)
  const name = `tls ${found.cluster.name}`
  const plan: ClusterPlan = { ...found, cluster: { ...found.cluster, name, protocol: 'raw' } }
  return {
    rows: [sniRow({ host, listeners: [HTTPS], shows: { passthrough: name } })],
    clusters: [plan],
    rejections: [],
  }
}

function wwwOf(host: string, row: Host, settings: Settings, read: Read, inputs: Inputs): [Key, ProxyRow][] {
  if (row.fromToWww === null) return []
  const other = counterpart(host)
  if (!isFree(other, read, inputs)) return []
  return [
    routeRow(`${other} www`, {
      host: other,
      listeners: [HTTP, HTTPS],
      path: { prefix: '/' },
      conditions: [],
      rank: 0,
      action: { redirect: { status: settings.redirectStatus, host } },
      labels: {},
    }),
  ]
}

/** The controller's default backend takes what is left: unknown hosts, and unknown paths of known ones. */
function defaultOf(
  host: string,
  settings: Settings,
  { defaultBackend, zone }: IngressOptions,
  read: Read,
  inputs: Inputs,
): HostPiece {
  const nothing: HostPiece = { rows: [], clusters: [], rejections: [] }
  const row = read.get(inputs.hosts, host)
  const isServed = host === '' || row?.isRuled === true
  if (defaultBackend === null || !isServed || read.get(inputs.claims, claimKey(host, 'Default', ''))?.holder)
    return nothing
  const [namespace, name] = defaultBackend.split('/') as [string, string]
  const service = read.get(inputs.services, defaultBackend)
  const port = service?.ports.find(({ protocol }) => protocol === 'tcp')?.port ?? 80
  const found = clusterOf(
    { namespace, backend: { service: name, port }, protocol: 'tcp', special: null },
    service,
    settings,
    zone,
  )
  if ('problem' in found) {
    const rejection = {
      object: `Service ${defaultBackend}`,
      field: 'spec.ports',
      problem: 'is the default backend, and cannot be used: what no Ingress takes gets 404',
      remedy: 'give it a TCP port, or start the controller with another --default-backend-service',
    }
    return host === '' ? { ...nothing, rejections: [rejection] } : nothing
  }
  const { timeouts, retry, bufferRequest, bufferResponseBytes } = settings.proxying
  const forward = {
    clusters: [{ cluster: found.cluster.name, weight: 1 }],
    timeouts,
    retry,
    bufferRequest,
    bufferResponseBytes,
    mirrors: [],
  }
  const route = routeRow(`${host} default`, {
    ...{ host, listeners: [HTTP, HTTPS], path: { prefix: '/' }, conditions: [], rank: LAST, action: { forward } },
    labels: { namespace, service: name },
  })
  return { rows: [route], clusters: [found], rejections: [] }
}

function isFree(name: string, read: Read, { hosts }: Inputs): boolean {
  const row = read.get(hosts, name)
  return row === undefined || (!row.isRuled && row.certificates.length === 0)
}

const counterpart = (host: string): string => (host.startsWith('www.') ? host.slice('www.'.length) : `www.${host}`)

const NOBODY: Host = {
  ...{
    isRuled: false,
    isRegex: false,
    certificates: [],
    clients: null,
    aliasOf: null,
    aliases: [],
    fromToWww: null,
    passthrough: null,
  },
}
const LAST = Number.MAX_SAFE_INTEGER
