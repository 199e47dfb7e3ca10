/** Ingresses to measure with, made from numbers, the same in each run; their Services have one endpoint, the origin. */
import { oneSlice, service, type Raw } from './cluster.ts'
import { ECHO_PORT, GRPC_PORT, ORIGIN, ORIGIN_PORT } from './proxies.ts'

/** Paths of so many Ingresses, over so many hosts. */
export interface Size {
  readonly routes: number
  readonly hosts: number
}

export const hostOf = (i: number, { hosts }: Size): string => `h${i % hosts}.bench.example`
export const pathOf = (i: number): string => `/route-${i}`

/** With everything else that the proxies serve: `/` and `/grpc.bench/` of every name, settings, the certificate. */
export function objectsOf(size: Size, pair: { readonly chain: string; readonly key: string }): Raw[] {
  const base64 = (text: string): string => Buffer.from(text).toString('base64')
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'bench' } },
    {
      ...{ apiVersion: 'networking.k8s.io/v1', kind: 'IngressClass', metadata: { name: 'bench' } },
      spec: { controller: 'fairlead.io/ingress' },
    },
    {
      ...{
        apiVersion: 'v1',
        kind: 'Secret',
        type: 'kubernetes.io/tls',
        metadata: { namespace: 'bench', name: 'pair' },
      },
      data: { 'tls.crt': base64(pair.chain), 'tls.key': base64(pair.key) },
    },
    {
      ...{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { namespace: 'bench', name: 'settings' } },
      // The others do neither, and end a connection as late.
      data: { 'disable-access-log': 'true', hsts: 'false', 'keep-alive-requests': '10000000', 'ssl-redirect': 'false' },
    },
    ...[service('origin', ['10.96.1.1']), oneSlice('origin', ORIGIN, ORIGIN_PORT)],
    ...[service('grpc', ['10.96.1.2']), oneSlice('grpc', ORIGIN, GRPC_PORT)],
    ...[service('echo', ['10.96.1.3']), oneSlice('echo', ORIGIN, ECHO_PORT)],
    ingress('all', [
      { path: '/', service: 'origin' },
      { path: '/echo', service: 'echo' },
    ]),
    ingress('grpc', [{ path: '/grpc.bench/', service: 'grpc' }], undefined, {
      'nginx.ingress.kubernetes.io/backend-protocol': 'GRPC',
    }),
    ...Array.from({ length: size.routes }, (_, i) => routeOf(i, size)),
  ]
}

/** Ingress number `i`; with another mark its responses say so. */
export function routeOf(i: number, size: Size, mark?: string): Raw {
  const paths = [{ path: pathOf(i), service: 'origin' }]
  const annotations =
    mark === undefined ? {} : { 'nginx.ingress.kubernetes.io/permanent-redirect': `http://${mark}.example` }
  return ingress(`r${i}`, paths, hostOf(i, size), annotations)
}

function ingress(
  name: string,
  paths: readonly { path: string; service: string }[],
  host?: string,
  annotations: Readonly<Record<string, string>> = {},
): Raw {
  return {
    ...{ apiVersion: 'networking.k8s.io/v1', kind: 'Ingress' },
    metadata: { namespace: 'bench', name, annotations },
    spec: {
      ingressClassName: 'bench',
      rules: [
        {
          ...(host !== undefined && { host }),
          http: {
            paths: paths.map(({ path, service: to }) => ({
              ...{ path, pathType: 'Prefix', backend: { service: { name: to, port: { number: 80 } } } },
            })),
          },
        },
      ],
    },
  }
}
