/** What this room decides: rows of the carrier's tables `proxy` and `secrets`, as native/wire/src/proxy has them. */
import type { Cluster, Endpoint, Listener, ProxyRow, Route, SecretRow, Sni } from '../carrier/proxy.ts'
import type { Key } from '../core/delta.ts'

export type {
  Cluster,
  Endpoint,
  Filters,
  Forward,
  Http,
  Listener,
  ProxyRow,
  Route,
  SecretRow,
  Sni,
} from '../carrier/proxy.ts'

/** Names of the two listeners of requests; those of streams are `tcp 9000`. */
export const HTTP = 'http'
export const HTTPS = 'https'

export const listenerRow = (listener: Listener): [Key, ProxyRow] => [
  `listener ${listener.name}`,
  { kind: 'listener', ...listener },
]
export const routeRow = (name: string, route: Route): [Key, ProxyRow] => [`route ${name}`, { kind: 'route', ...route }]
export const sniRow = (sni: Sni): [Key, ProxyRow] => [`sni ${sni.host}`, { kind: 'sni', ...sni }]
export const clusterRow = (cluster: Cluster): [Key, ProxyRow] => [
  `cluster ${cluster.name}`,
  { kind: 'cluster', ...cluster },
]
export const endpointRow = (endpoint: Endpoint): [Key, ProxyRow] => [
  `endpoint ${endpoint.cluster} ${endpoint.address} ${endpoint.port}`,
  { kind: 'endpoint', ...endpoint },
]

/** Keys of table `secrets`, by which rows of table `proxy` mean them. `path`: `namespace/name` of the Secret. */
export type SecretUse = SecretRow['kind']
export const secretName = (use: SecretUse, path: string): string => `${use} ${path}`
/** Of the certificate that is shown where no other fits. */
export const DEFAULT_CERTIFICATE = 'pair default'
