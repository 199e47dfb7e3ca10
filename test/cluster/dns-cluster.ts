/** A cluster by chance: the same one for the same seed. What its objects are called is few words, so that they meet. */
import type { Raw } from '../contract/service-objects.ts'
import type { Chance } from './chance.ts'

export interface Cluster {
  /** In the order in which they are made: namespaces first. */
  readonly objects: readonly Raw[]
  /** Names that something may be found under, without the final dot. */
  readonly names: readonly string[]
}

export const NAMESPACES = ['shop', 'bank', 'lone', 'kube-system'] as const
/** Where both servers are asked, as an endpoint of kube-dns says. */
export const DNS_ENDPOINT = '10.244.0.2'
/** Answered by `hosts` of the Corefile. */
export const OUTSIDE = { 'www.example.org': '192.0.2.80', 'api.example.org': '192.0.2.81' } as const

export function clusterOf(chance: Chance): Cluster {
  const objects: Raw[] = NAMESPACES.map((name) => ({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name, labels: { tier: name === 'bank' ? 'back' : 'front' } },
  }))
  const names = new Set<string>()
  const addresses = new Addresses(chance)
  const pods = NAMESPACES.slice(0, 2).flatMap((namespace) =>
    Array.from({ length: 12 }, (_, i) => pod(chance, namespace, `pod-${i}`, addresses)),
  )
  objects.push(...pods, ...kubeDns())
  for (const namespace of NAMESPACES.slice(0, 2))
    for (const name of WORDS) {
      const service = serviceOf(chance, namespace, name, addresses)
      const slices = slicesOf(chance, service, pods)
      objects.push(service, ...slices)
    }
  for (const namespace of NAMESPACES.slice(0, 2))
    for (const name of WORDS.slice(0, 6)) objects.push(...importOf(chance, namespace, name))
  for (const object of [...objects, ...FIXED]) for (const name of namesOf(object)) names.add(name)
  for (const host of Object.keys(OUTSIDE)) names.add(host)
  for (const name of APEX) names.add(name)
  return { objects, names: [...names] }
}

/** Each address once; a few far apart, so that parts of reverse names are shared. */
class Addresses {
  readonly #used = new Set<string>()
  readonly #chance: Chance

  constructor(chance: Chance) {
    this.#chance = chance
  }

  service(family: 'IPv4' | 'IPv6'): string {
    const [a, b] = [this.#chance.below(3), 20 + this.#chance.below(200)]
    return this.#once(family === 'IPv4' ? `10.9${6 + a}.${a}.${b}` : `fd00:10:96::${a + 1}:${b.toString(16)}`, () =>
      this.service(family),
    )
  }

  pod(): readonly string[] {
    const host = 3 + this.#chance.below(250)
    return this.#once(`10.244.${this.#chance.below(2)}.${host}`, () => '') === ''
      ? this.pod()
      : [`10.244.1.${host}`, `fd00:10:244:1::${this.#chance.of(['', 'abcd:'])}${host.toString(16)}`]
  }

  #once(address: string, again: () => string): string {
    if (this.#used.has(address)) return again()
    this.#used.add(address)
    return address
  }
}

function pod(chance: Chance, namespace: string, name: string, addresses: Addresses): Raw {
  const ips = chance.of([1, 2]) === 1 ? addresses.pod().slice(0, 1) : addresses.pod()
  return {
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace, labels: labels(chance) } },
    spec: { containers: [{ name: 'main', image: 'none' }] },
    status: {
      phase: chance.of(['Running', 'Running', 'Running', 'Pending', 'Succeeded', 'Failed']),
      podIP: ips[0],
      podIPs: ips.map((ip) => ({ ip })),
    },
  }
}

function serviceOf(chance: Chance, namespace: string, name: string, addresses: Addresses): Raw {
  const metadata = { name, namespace, labels: labels(chance) }
  const type = chance.of(['ClusterIP', 'ClusterIP', 'headless', 'headless', 'NodePort', 'LoadBalancer', 'ExternalName'])
  if (type === 'ExternalName') {
    const externalName = chance.of([
      ...Object.keys(OUTSIDE),
      'nowhere.example.org',
      `${chance.of(WORDS)}.${namespace}.svc.cluster.local`,
      `${name}.${namespace}.svc.cluster.local`,
      `missing.${namespace}.svc.cluster.local`,
      `WWW.Example.ORG`.toLowerCase(),
    ])
    return { apiVersion: 'v1', kind: 'Service', metadata, spec: { type, externalName } }
  }
  const ipFamilies = chance.of([['IPv4'], ['IPv6'], ['IPv4', 'IPv6'], ['IPv6', 'IPv4']] as const)
  const clusterIPs = type === 'headless' ? ['None'] : ipFamilies.map((family) => addresses.service(family))
  return {
    ...{ apiVersion: 'v1', kind: 'Service', metadata },
    spec: {
      type: type === 'headless' ? 'ClusterIP' : type,
      ...{ clusterIP: clusterIPs[0], clusterIPs, ipFamilies },
      ipFamilyPolicy: ipFamilies.length === 2 ? 'RequireDualStack' : 'SingleStack',
      publishNotReadyAddresses: chance.of([true, false]),
      ports: portsOf(chance, type !== 'headless'),
    },
  }
}

/** API servers take one unnamed port, or named ones. */
function portsOf(chance: Chance, isNeeded: boolean): readonly Raw[] {
  const count = isNeeded ? 1 + chance.below(3) : chance.below(4)
  const protocols = ['TCP', 'UDP', 'SCTP'] as const
  if (count === 1 && chance.of([true, false])) return [{ protocol: chance.of(protocols), port: 80 }]
  const named = chance.shuffled(['http', 'dns', 'dns-tcp', 'grpc']).slice(0, count)
  return named.map((name, i) => ({ name, protocol: chance.of(protocols), port: chance.of([80, 53, 443]) + i * 1000 }))
}

function slicesOf(chance: Chance, { metadata, spec }: Raw, pods: readonly Raw[]): readonly Raw[] {
  const { name, namespace } = metadata
  if (spec.type === 'ExternalName') return []
  const families = (spec.ipFamilies as string[]).flatMap((family) =>
    chance.below(4) === 0 ? [family, family] : [family],
  )
  const own = pods.filter((pod) => pod['metadata'].namespace === namespace)
  return families.map((family, i) => ({
    ...{ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', addressType: family },
    metadata: {
      ...{ name: `${name}-${i}`, namespace },
      labels: { ...metadata.labels, 'kubernetes.io/service-name': name },
    },
    endpoints: Array.from({ length: chance.of([0, 1, 1, 2, 3, 5]) }, () => endpointOf(chance, family, own)).filter(
      ({ addresses: [address] }, at, all) => all.findIndex(({ addresses }) => addresses[0] === address) === at,
    ),
    ports: (spec.ports as Raw[]).map(({ name: port, protocol, port: number }) => ({
      ...{ name: port ?? '', protocol, port: number + 8000 },
    })),
  }))
}

/** A Service of other clusters, and what these say of its endpoints. */
function importOf(chance: Chance, namespace: string, name: string): readonly Raw[] {
  const isHeadless = chance.below(2) === 0
  const ports = portsOf(chance, true)
  const ips = [`10.99.${chance.below(4)}.${1 + chance.below(250)}`, `fd00:10:99::${1 + chance.below(250)}`]
  const spec = {
    type: isHeadless ? 'Headless' : 'ClusterSetIP',
    ports,
    ips: isHeadless ? [] : ips.slice(0, 1 + chance.below(2)),
  }
  const slices = CLUSTERS.filter(() => chance.below(4) > 0).map((cluster, at) => ({
    ...{ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', addressType: 'IPv4' },
    metadata: { name: `${name}-of-${cluster}`, namespace, labels: importedFrom(cluster, name) },
    endpoints: Array.from({ length: chance.below(4) }, (_, i) => ({
      addresses: [`10.${100 + at}.${namespace.length}.${10 * name.length + i}`],
      conditions: chance.of([{}, { ready: true }, { ready: false }]),
      ...(chance.below(2) === 0 && { hostname: `far-${i}` }),
    })),
    ports: ports.map(({ name: port, protocol, port: number }) => ({ name: port ?? '', protocol, port: number + 8000 })),
  }))
  return [serviceImport(namespace, name, spec), ...slices]
}

const serviceImport = (namespace: string, name: string, spec: Raw): Raw => ({
  ...{ apiVersion: 'multicluster.x-k8s.io/v1alpha1', kind: 'ServiceImport', metadata: { name, namespace }, spec },
})
const importedFrom = (cluster: string, name: string): Raw => ({
  'multicluster.kubernetes.io/service-name': name,
  'multicluster.kubernetes.io/source-cluster': cluster,
})

function endpointOf(chance: Chance, family: string, pods: readonly Raw[]): Raw {
  const { metadata, status } = chance.of(pods)
  const found = (status.podIPs as { ip: string }[]).find(({ ip }) => ip.includes(':') === (family === 'IPv6'))
  const other =
    family === 'IPv6' ? `fd00:10:244:9::${(1 + chance.below(40)).toString(16)}` : `10.244.9.${1 + chance.below(40)}`
  return {
    addresses: [found?.ip ?? other],
    conditions: chance.of([
      {},
      { ready: true },
      { ready: true },
      { ready: false, serving: true, terminating: true },
      { ready: false },
    ]),
    ...(chance.below(3) === 0 && { hostname: chance.of(['web-0', 'web-1', 'main', '10-244-1-9']) }),
    ...(found !== undefined && { targetRef: { kind: 'Pod', name: metadata.name, namespace: metadata.namespace } }),
  }
}

/** As CoreDNS finds itself: by an endpoint with its address. */
function kubeDns(): readonly Raw[] {
  const metadata = { name: 'kube-dns', namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns', app: 'a' } }
  const clusterIPs = ['10.96.0.10', 'fd00:10:96::a']
  const ports = [
    { name: 'dns', protocol: 'UDP', port: 53 },
    { name: 'dns-tcp', protocol: 'TCP', port: 53 },
  ]
  return [
    {
      ...{ apiVersion: 'v1', kind: 'Service', metadata },
      spec: {
        clusterIP: clusterIPs[0],
        clusterIPs,
        ipFamilies: ['IPv4', 'IPv6'],
        ipFamilyPolicy: 'RequireDualStack',
        ports,
      },
    },
    {
      ...{ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', addressType: 'IPv4' },
      metadata: {
        ...metadata,
        name: 'kube-dns-0',
        labels: { ...metadata.labels, 'kubernetes.io/service-name': 'kube-dns' },
      },
      endpoints: [{ addresses: [DNS_ENDPOINT], conditions: { ready: true } }],
      ports,
    },
  ]
}

const labels = (chance: Chance): Raw => ({ app: chance.of(['a', 'b', 'c']) })

/** What an object may be asked by, whether it is answered or not. */
function namesOf({ kind, metadata, spec, status, endpoints, ports }: Raw): readonly string[] {
  const { name, namespace } = metadata
  const [service, pods] = [`${namespace}.svc.cluster.local`, `${namespace}.pod.cluster.local`]
  switch (kind) {
    case 'Namespace':
      return [`${name}.svc.cluster.local`, `${name}.pod.cluster.local`]
    case 'Pod':
      return status.podIPs.flatMap(({ ip }: { ip: string }) => [
        ...NAMESPACES.map((each) => `${dashed(ip)}.${each}.pod.cluster.local`),
        `${name}.${pods}`,
        reversed(ip),
      ])
    case 'Service':
      return [
        `${name}.${service}`,
        ...(spec.ports ?? []).flatMap((port: Raw) => [
          `_${port['name'] ?? ''}._${port['protocol']}.${name}.${service}`.replace('_.', ''),
          `_${port['protocol']}.${name}.${service}`,
        ]),
        ...(spec.clusterIPs ?? []).filter((ip: string) => ip !== 'None').map(reversed),
      ]
    case 'ServiceImport':
      return namesOfImport(`${name}.${namespace}.svc.clusterset.local`, spec.ports)
    default: {
      const imported = metadata.labels['multicluster.kubernetes.io/service-name']
      if (imported !== undefined) {
        const cluster = metadata.labels['multicluster.kubernetes.io/source-cluster']
        const base = `${cluster}.${imported}.${namespace}.svc.clusterset.local`
        const hosts = endpoints.flatMap(({ addresses: [ip], hostname }: Raw) => [dashed(ip), hostname].filter(Boolean))
        return [base, ...hosts.map((host: string) => `${host}.${base}`)]
      }
      const of = metadata.labels['kubernetes.io/service-name']
      return endpoints.flatMap(({ addresses: [ip], hostname, targetRef }: Raw) => [
        ...[dashed(ip), hostname, targetRef?.name].filter(Boolean).map((label) => `${label}.${of}.${service}`),
        ...ports.map((port: Raw) => `_${port['name']}._tcp.${of}.${service}`),
        reversed(ip),
      ])
    }
  }
}

const namesOfImport = (base: string, ports: readonly Raw[]): readonly string[] => [
  base,
  ...ports.map((port) => `_${port['name'] ?? ''}._${port['protocol']}.${base}`.replace('_.', '')),
]

function dashed(ip: string): string {
  const label = ip.replaceAll(/[.:]/g, '-')
  return label.endsWith('-') ? `${label}0` : label
}

function reversed(ip: string): string {
  if (!ip.includes(':')) return `${ip.split('.').reverse().join('.')}.in-addr.arpa`
  const [head = '', tail = ''] = ip.split('::')
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':').map((group) => group.padStart(4, '0')))
  const zeros = Array.from({ length: 8 - groups(head).length - groups(tail).length }, () => '0000')
  return `${[...[...groups(head), ...zeros, ...groups(tail)].join('')].reverse().join('.')}.ip6.arpa`
}

const WORDS = ['web', 'db', 'cache', 'queue', 'auth', 'mail', 'log', 'pay', 'cart', 'stock', 'img', 'old'] as const
const CLUSTERS = ['east', 'west'] as const
const APEX = [
  ...['clusterset.local', 'svc.clusterset.local', 'pod.clusterset.local', 'shop.svc.clusterset.local'],
  ...['dns-version.clusterset.local', 'ns.dns.clusterset.local', 'lone.svc.clusterset.local'],
  ...['cluster.local', 'svc.cluster.local', 'pod.cluster.local', 'dns-version.cluster.local', 'ns.dns.cluster.local'],
  ...['dns.cluster.local', 'in-addr.arpa', 'ip6.arpa', 'example.org', 'local', ''],
]

const inShop = (name: string, more: Raw = {}): Raw => ({ name, namespace: 'shop', ...more })
const external = (name: string, externalName: string): Raw => ({
  ...{ apiVersion: 'v1', kind: 'Service', metadata: inShop(name) },
  spec: { type: 'ExternalName', externalName },
})
const large = (name: string, count: number): readonly Raw[] => [
  {
    ...{ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', addressType: 'IPv4' },
    metadata: inShop(`${name}-0`, { labels: { 'kubernetes.io/service-name': name } }),
    endpoints: Array.from({ length: count }, (_, i) => ({ addresses: [`10.244.${200 + count}.${i + 1}`] })),
    ports: [{ name: 'http', port: 80, protocol: 'TCP' }],
  },
  {
    ...{ apiVersion: 'v1', kind: 'Service', metadata: inShop(name) },
    spec: { clusterIP: 'None', ports: [{ name: 'http', port: 80 }] },
  },
]
/** The same for all seeds, made last, and of each kind the last here is a sign that all are there: to-outside, fixed-0, 10.244.250.1, far-0. */
export const FIXED: readonly Raw[] = [
  serviceImport('shop', 'far', { type: 'Headless', ports: [{ name: 'http', protocol: 'TCP', port: 80 }] }),
  {
    ...{ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', addressType: 'IPv4' },
    metadata: inShop('far-0', { labels: importedFrom('east', 'far') }),
    endpoints: [{ addresses: ['10.244.250.9'], hostname: 'far-0' }],
    ports: [{ name: 'http', port: 80, protocol: 'TCP' }],
  },
  ...large('many', 7),
  ...large('many-more', 40),
  {
    ...{ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', addressType: 'IPv4' },
    metadata: { name: 'hidden-0', namespace: 'bank', labels: { 'kubernetes.io/service-name': 'hidden' } },
    endpoints: [{ addresses: ['10.244.250.7'] }],
    ports: [{ name: 'http', port: 80, protocol: 'TCP' }],
  },
  {
    ...{ apiVersion: 'v1', kind: 'Service', metadata: { name: 'hidden', namespace: 'bank' } },
    spec: { clusterIP: 'None', ports: [{ name: 'http', port: 80 }] },
  },
  {
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: inShop('last') },
    spec: { containers: [{ name: 'main', image: 'none' }] },
    status: { phase: 'Running', podIP: '10.244.250.1', podIPs: [{ ip: '10.244.250.1' }] },
  },
  {
    ...{ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', addressType: 'IPv4' },
    metadata: inShop('fixed-0', { labels: { 'kubernetes.io/service-name': 'fixed' } }),
    endpoints: [{ addresses: ['10.244.250.2'], hostname: 'fixed-0' }],
    ports: [{ name: 'http', port: 80, protocol: 'TCP' }],
  },
  {
    ...{ apiVersion: 'v1', kind: 'Service', metadata: inShop('fixed') },
    spec: { clusterIP: 'None', ports: [{ name: 'http', port: 80 }] },
  },
  {
    ...{ apiVersion: 'v1', kind: 'Service', metadata: inShop('empty') },
    spec: { clusterIP: '10.96.250.77', ports: [{ name: 'http', port: 80 }] },
  },
  external('to-fixed', 'fixed.shop.svc.cluster.local'),
  external('to-missing', 'missing.shop.svc.cluster.local'),
  external('to-outside', 'nowhere.example.org'),
]
