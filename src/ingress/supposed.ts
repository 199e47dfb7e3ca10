/** What Ingresses name and nobody has given, as if it were there: to look at Ingresses alone. */
import type { ConfigMap } from '../cluster/configmap.ts'
import type { IngressBackend } from '../cluster/ingress.ts'
import type { Secret } from '../cluster/secret.ts'
import type { Service } from '../cluster/service.ts'
import { usesOf } from './certificates.ts'
import type { Plan } from './plan.ts'
import { selfSigned } from './selfsigned.ts'

/** Services with the ports that backends name. */
export function* supposedServices(plans: Iterable<Plan>): Iterable<Service> {
  const found = new Map<
    string,
    { readonly namespace: string; readonly name: string; readonly ports: Set<number | string> }
  >()
  for (const { ingress, annotations } of plans) {
    const { namespace } = ingress
    const spare = annotations.answering.defaultBackend
    const backends: IngressBackend[] = [
      ...[ingress.defaultBackend, ...ingress.rules.flatMap(({ paths }) => paths.map(({ backend }) => backend))],
      ...(spare === null ? [] : [{ service: spare, port: 80 }]),
    ]
    for (const backend of backends) {
      if (backend === null) continue
      const { service: name, port } = backend
      const row = found.getOrInsertComputed(`${namespace}/${name}`, () => ({ namespace, name, ports: new Set() }))
      row.ports.add(port)
    }
  }
  for (const { namespace, name, ports } of found.values())
    yield { ...PLAIN, namespace, name, ports: [...ports].map(portOf) }
}

/** Secrets that hold what they are named for. Of use to nobody. */
export function* supposedSecrets(plans: Iterable<Plan>): Iterable<Secret> {
  const hosts = new Map<string, Set<string>>()
  const users = new Map<string, boolean>()
  for (const plan of plans) {
    const { ingress } = plan
    for (const { path, use, isMap } of usesOf(plan)) {
      if (use === 'users') users.set(path, isMap)
      else hosts.getOrInsertComputed(path, () => new Set(['supposed.invalid']))
    }
    for (const tls of ingress.tls) {
      const names = tls.hosts.length > 0 ? tls.hosts : ingress.rules.map(({ host }) => host)
      for (const name of names) if (name !== '') hosts.get(`${ingress.namespace}/${tls.secret}`)?.add(name)
    }
  }
  for (const [path, names] of hosts) {
    const { chain, key } = selfSigned({
      names: [...names],
      organization: 'supposed',
      commonName: 'supposed',
      notBefore: NOW,
      notAfter: LATER,
    })
    yield {
      ...placeOf(path),
      data: new Map([
        ['tls.crt', chain],
        ['tls.key', key],
        ['ca.crt', chain],
      ]),
    }
  }
  for (const [path, isMap] of users)
    yield { ...placeOf(path), data: new Map([[isMap ? 'somebody' : 'auth', 'somebody:{SHA}x']]) }
}

export const supposedConfigMap = (path: string): ConfigMap => ({ ...placeOf(path), data: new Map() })

function placeOf(path: string): { readonly namespace: string; readonly name: string } {
  const slash = path.indexOf('/')
  return { namespace: path.slice(0, slash), name: path.slice(slash + 1) }
}

const portOf = (port: number | string, i: number) =>
  typeof port === 'number'
    ? { name: `p${port}`, protocol: 'tcp' as const, port, nodePort: 0 }
    : { name: port, protocol: 'tcp' as const, port: 60_000 + i, nodePort: 0 }

const PLAIN: Omit<Service, 'namespace' | 'name' | 'ports'> = {
  ...{
    created: 0,
    type: 'ClusterIP',
    clusterIPs: [],
    headless: false,
    externalIPs: [],
    loadBalancerIPs: [],
    sourceRanges: null,
  },
  ...{ affinitySeconds: 0, internalTrafficPolicy: 'Cluster', externalTrafficPolicy: 'Cluster', healthCheckNodePort: 0 },
  ...{ publishNotReady: false, proxyName: null, externalName: null, dns: false },
}
const NOW = new Date(0)
const LATER = new Date('9999-01-01T00:00:00Z')
