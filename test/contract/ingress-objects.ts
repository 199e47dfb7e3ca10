/** Ingress objects for tests, as an API server would send them. */
import { generateKeyPairSync } from 'node:crypto'
import { selfSigned } from '../../src/ingress/selfsigned.ts'
import type { Raw } from './service-objects.ts'

export const CLASS: Raw = {
  apiVersion: 'networking.k8s.io/v1',
  kind: 'IngressClass',
  metadata: { name: 'nginx' },
  spec: { controller: 'k8s.io/ingress-nginx' },
}

/** `HOST/PATH` with the type before it (`=` Exact, `^` Prefix, `~` ImplementationSpecific) -> `service:port`. */
export type Paths = Readonly<Record<string, string>>

export interface Given {
  readonly annotations?: Readonly<Record<string, string>>
  readonly paths?: Paths
  readonly tls?: readonly Raw[]
  readonly spec?: Raw
  readonly created?: string
  readonly className?: string | null
}

/** `path`: `namespace/name`. Annotations without a prefix are ingress-nginx's. */
export function ingress(path: string, given: Given = {}): Raw {
  const [namespace, name] = path.split('/')
  const annotations = Object.entries(given.annotations ?? {}).map(([key, value]) => [
    key.includes('/') ? key : `nginx.ingress.kubernetes.io/${key}`,
    value,
  ])
  const className = given.className === undefined ? 'nginx' : given.className
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'Ingress',
    metadata: {
      namespace,
      name,
      creationTimestamp: given.created ?? '2026-01-01T00:00:00Z',
      annotations: Object.fromEntries(annotations),
    },
    spec: {
      ...(className !== null && { ingressClassName: className }),
      rules: rules(given.paths ?? {}),
      ...(given.tls && { tls: given.tls }),
      ...given.spec,
    },
  }
}

export const backend = (text: string): Raw => {
  const [name, port = '80'] = text.split(':')
  return { service: { name, port: /^\d+$/.test(port) ? { number: Number(port) } : { name: port } } }
}

function rules(paths: Paths): Raw[] {
  const byHost = new Map<string, Raw[]>()
  for (const [key, to] of Object.entries(paths)) {
    const [, type, host, path] = /^([=^~]?)([^/]*)(\/.*)?$/.exec(key)!
    const pathType = type === '=' ? 'Exact' : type === '~' ? 'ImplementationSpecific' : 'Prefix'
    const list = byHost.get(host!) ?? []
    byHost.set(host!, list)
    list.push({ path: path ?? '/', pathType, backend: backend(to) })
  }
  return [...byHost].map(([host, list]) => ({ ...(host !== '' && { host }), http: { paths: list } }))
}

/** A Service with one TCP port 80 named http, and a slice of it with these addresses. */
export function backendObjects(path: string, addresses: readonly string[], more: Raw = {}): Raw[] {
  const [namespace, name] = path.split('/') as [string, string]
  return [
    {
      ...{
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { namespace, name, creationTimestamp: '2026-01-01T00:00:00Z' },
      },
      spec: { clusterIP: '10.96.0.9', ports: [{ name: 'http', port: 80, protocol: 'TCP' }], ...more },
    },
    endpointsOf(
      path,
      addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
    ),
  ]
}

export function endpointsOf(
  path: string,
  endpoints: readonly Raw[],
  ports: readonly Raw[] = [{ name: 'http', port: 8080 }],
  suffix = '1',
): Raw {
  const [namespace, name] = path.split('/') as [string, string]
  const isV6 = endpoints.some(({ addresses }) => addresses[0].includes(':'))
  return {
    ...{ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', addressType: isV6 ? 'IPv6' : 'IPv4' },
    metadata: { namespace, name: `${name}-${suffix}`, labels: { 'kubernetes.io/service-name': name } },
    ports: ports.map((port) => ({ protocol: 'TCP', ...port })),
    endpoints,
  }
}

export function configMap(path: string, data: Readonly<Record<string, string>>): Raw {
  const [namespace, name] = path.split('/')
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace, name }, data }
}

export function secret(path: string, data: Readonly<Record<string, string>>): Raw {
  const [namespace, name] = path.split('/')
  const encoded = Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')])
  return { apiVersion: 'v1', kind: 'Secret', metadata: { namespace, name }, data: Object.fromEntries(encoded) }
}

/** A certificate for these names, and its key. */
export function tlsSecret(path: string, names: readonly string[], notAfter = new Date('2036-01-01')): Raw {
  const { chain, key } = selfSigned({
    names,
    organization: 'Test',
    commonName: names[0]!,
    notBefore: new Date('2026-01-01'),
    notAfter,
  })
  return secret(path, { 'tls.crt': chain, 'tls.key': key })
}

export const otherKey = (): string =>
  generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
