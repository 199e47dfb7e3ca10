/** Kubernetes objects that DNS reads, for tests, as an API server would send them. */
import type { Raw } from './service-objects.ts'

export const namespace = (name: string, labels: Raw = {}): Raw => ({
  ...{ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } },
})

/** `spec` is laid over a ClusterIP Service with the TCP port http 80; clusterIPs: none is headless. */
export function service(path: string, clusterIPs: readonly string[] | 'None', spec: Raw = {}, labels: Raw = {}): Raw {
  const [namespaceName, name] = path.split('/')
  const ips = clusterIPs === 'None' ? ['None'] : clusterIPs
  return {
    ...{ apiVersion: 'v1', kind: 'Service', metadata: { namespace: namespaceName, name, labels } },
    spec: {
      ...{ type: 'ClusterIP', clusterIP: ips[0], clusterIPs: ips },
      ports: [{ name: 'http', port: 80, protocol: 'TCP' }],
      ...spec,
    },
  }
}

export const externalName = (path: string, target: unknown, spec: Raw = {}): Raw =>
  service(path, [], { type: 'ExternalName', externalName: target, ports: undefined, ...spec })

/** Of the Service `path`, or with labels of your own. Ports: http 8080. The family is that of the first endpoint. */
export function slice(
  path: string,
  of: string | Raw,
  endpoints: readonly Raw[],
  ports: readonly Raw[] = [{ name: 'http', port: 8080, protocol: 'TCP' }],
): Raw {
  const [namespaceName, name] = path.split('/')
  const labels = typeof of === 'string' ? { 'kubernetes.io/service-name': of } : of
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { namespace: namespaceName, name, labels },
    addressType: endpoints[0]?.['addresses'][0].includes(':') === true ? 'IPv6' : 'IPv4',
    ...{ ports, endpoints },
  }
}

export const imported = (service: string, cluster: string): Raw => ({
  'multicluster.kubernetes.io/service-name': service,
  'multicluster.kubernetes.io/source-cluster': cluster,
})

/** Ready unless `more` says otherwise. */
export const endpoint = (address: string, more: Raw = {}): Raw => ({ addresses: [address], ...more })
export const named = (hostname: string, address: string): Raw => endpoint(address, { hostname })
export const ofPod = (name: string, address: string): Raw => endpoint(address, { targetRef: { kind: 'Pod', name } })
export const unready = (address: string, more: Raw = {}): Raw =>
  endpoint(address, { conditions: { ready: false, serving: true }, ...more })

export function serviceImport(path: string, type: 'ClusterSetIP' | 'Headless', ips: readonly string[]): Raw {
  const [namespaceName, name] = path.split('/')
  return {
    apiVersion: 'multicluster.x-k8s.io/v1alpha1',
    kind: 'ServiceImport',
    metadata: { namespace: namespaceName, name },
    spec: { type, ips, ports: [{ name: 'http', port: 80, protocol: 'TCP' }] },
  }
}

export function pod(path: string, ips: readonly string[], status: Raw = {}, metadata: Raw = {}): Raw {
  const [namespaceName, name] = path.split('/')
  return {
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { namespace: namespaceName, name, ...metadata } },
    ...{ spec: { nodeName: 'n1' }, status: { podIP: ips[0], podIPs: ips.map((ip) => ({ ip })), ...status } },
  }
}
