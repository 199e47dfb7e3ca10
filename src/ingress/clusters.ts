/** Where requests go: the backend of a path as a cluster, and who its endpoints are. */
import type { Cluster } from '../carrier/proxy.ts'
import type { IngressBackend } from '../cluster/ingress.ts'
import type { Protocol } from '../cluster/protocol.ts'
import type { Rejection } from '../cluster/rejection.ts'
import type { Service, ServicePort } from '../cluster/service.ts'
import type { Upstream } from './annotations/upstream.ts'
import { RESOLVE_MS } from './annotations/outer.ts'
import { secretName } from './rows.ts'
import type { Settings } from './settings.ts'

export interface ClusterPlan {
  readonly cluster: Cluster
  readonly feed: Feed
}

/** Who fills it. `service`: `namespace/name`; `port`: name of a port of its slices. */
export type Feed =
  | { readonly from: 'slices'; readonly service: string; readonly port: string; readonly protocol: Protocol }
  | { readonly from: 'address'; readonly service: string; readonly port: number }
  | { readonly from: 'name' }

export interface Wanted {
  readonly namespace: string
  readonly backend: NonNullable<IngressBackend>
  readonly protocol: Protocol
  /** null: nothing special is asked for. */
  readonly special: Special | null
}

/** What only some routes ask for: a cluster of their own. */
export interface Special {
  /** Makes its name another one: `shop/web`, or with a path. */
  readonly owner: string
  readonly upstream: Upstream
  /** Of a cookie without a path of its own. */
  readonly path: string
  /** The Secret of `upstream.tls` has a certificate to show. */
  readonly showsCertificate: boolean
}

/** The plan, or what is wrong: problem and remedy. */
export type Found = ClusterPlan | Pick<Rejection, 'problem' | 'remedy'>

export function clusterOf(
  wanted: Wanted,
  service: Service | undefined,
  settings: Settings,
  zone: string | null,
): Found {
  const { namespace, backend, special } = wanted
  const path = `${namespace}/${backend.service}`
  if (service === undefined)
    return {
      problem: `names the Service ${path}, which does not exist; requests get 503`,
      remedy: 'create it, or correct the name',
    }
  const port = portOf(service, backend.port, wanted.protocol)
  if (port === null) return noPort(path, service, backend.port)
  const name = `${path}:${backend.port}${special === null ? '' : ` (${special.owner})`}`
  const cluster = shape(name, port, special, settings, zone, defaultName(service))
  if (service.type === 'ExternalName') {
    if (service.externalName === null)
      return {
        problem: `names the Service ${path}, whose externalName cannot be used; requests get 503`,
        remedy: 'correct spec.externalName',
      }
    // What the pod of the proxy itself listens on is nobody's backend (ingress-nginx refuses it, too).
    if (/(^|\.)localhost$/.test(service.externalName))
      return {
        problem: `names the Service ${path}, whose externalName is ${service.externalName}: the proxy itself; requests get 503`,
        remedy: 'name another host in spec.externalName',
      }
    return {
      cluster: {
        ...cluster,
        resolve: { name: service.externalName, port: port.targetPort ?? port.port, everyMs: RESOLVE_MS },
      },
      feed: { from: 'name' },
    }
  }
  const direct = special?.upstream.serviceUpstream ?? settings.serviceUpstream
  if (direct && service.clusterIPs.length > 0)
    return { cluster, feed: { from: 'address', service: path, port: port.port } }
  return { cluster, feed: { from: 'slices', service: path, port: port.name, protocol: port.protocol } }
}

/** What a certificate of the backend is most likely for, when nobody says. */
const defaultName = ({ namespace, name, externalName }: Service): string => externalName ?? `${name}.${namespace}.svc`

/** null: it has none such. A Service of type ExternalName has those that it declares, and every number (as with ingress-nginx). */
function portOf(service: Service, wanted: number | string, protocol: Protocol): ServicePort | null {
  const found = service.ports.find(
    (port) => port.protocol === protocol && (port.port === wanted || port.name === wanted),
  )
  if (found !== undefined) return found
  if (service.type !== 'ExternalName' || typeof wanted !== 'number') return null
  return { name: '', protocol, port: wanted, nodePort: 0 }
}

function noPort(path: string, service: Service, wanted: number | string): Found {
  const ports = service.ports
    .map(({ name, port, protocol }) => `${name === '' ? '' : `${name}=`}${port}/${protocol}`)
    .slice(0, 10)
  const what =
    service.type === 'ExternalName'
      ? `is of type ExternalName and declares ${ports.join(', ') || 'no ports'}`
      : `has ${ports.join(', ') || 'no ports'}`
  return {
    problem: `names port ${wanted} of the Service ${path}, which ${what}; requests get 503`,
    remedy: service.type === 'ExternalName' ? 'name one of its ports, or give a number' : 'name one of its ports',
  }
}

function shape(
  name: string,
  port: ServicePort,
  special: Special | null,
  settings: Settings,
  zone: string | null,
  host: string,
): Cluster {
  const { keepAlive, circuit } = settings
  const upstream = special?.upstream
  const protocol = upstream?.protocol ?? spoken(port)
  const tls = upstream?.tls
  const isSecure = protocol === 'HTTPS' || protocol === 'GRPCS'
  const sticky = upstream?.sticky ?? null
  return {
    name,
    protocol: port.protocol === 'udp' ? 'raw' : protocol === 'GRPC' || protocol === 'GRPCS' ? 'http2' : 'http1',
    ...(isSecure && {
      tls: {
        ...((tls?.serverName || tls?.sendsName || tls?.isVerified) && { serverName: tls.serverName ?? host }),
        ...(tls?.isVerified && tls.secret !== null
          ? { verify: { trust: secretName('trust', tls.secret) }, depth: tls.depth }
          : { verify: 'nothing' as const }),
        ...(tls?.secret && special?.showsCertificate && { certificate: secretName('pair', tls.secret) }),
        protocols: [...(tls?.protocols ?? (['TLSv1.2', 'TLSv1.3'] as const))],
      },
    }),
    balance: upstream?.balance ?? settings.balance,
    ...(sticky !== null && { sticky: { ...sticky, path: sticky.path ?? special!.path } }),
    circuit,
    keepAlive,
    ...(zone !== null && { zone }),
  }
}

/** Standard names of Kubernetes (KEP-3726), and what IANA and people call the rest. */
function spoken({ appProtocol }: ServicePort): NonNullable<Upstream['protocol']> {
  switch (appProtocol) {
    case 'kubernetes.io/h2c':
    case 'grpc':
      return 'GRPC'
    case 'https':
    case 'kubernetes.io/wss':
      return 'HTTPS'
    default:
      return 'HTTP'
  }
}

/** Whether annotations ask for anything that others who use the same port of a Service may not want. */
export const isSpecial = ({ protocol, tls, balance, sticky, serviceUpstream }: Upstream, settings: Settings): boolean =>
  protocol !== null ||
  tls.secret !== null ||
  tls.serverName !== null ||
  balance !== null ||
  sticky !== null ||
  serviceUpstream !== settings.serviceUpstream
