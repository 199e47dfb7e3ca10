import ipaddr from 'ipaddr.js'
import { isIPv4, isIPv6 } from 'node:net'
import type { NameOptions } from '../../src/dns/options.ts'
import type { Raw } from '../contract/service-objects.ts'

type Lines = readonly string[]
interface Endpoint {
  readonly ip: string
  /** Below its Service: `web-0`, of a ServiceImport `web-0.east`; null: it has none. */
  readonly label: string | null
  readonly ports: readonly Raw[]
}

/**
 * What a question is answered, from raw objects alone: taken apart label by label when it is asked, as CoreDNS does, where
 * the code under test makes rows beforehand.
 */
export class Oracle {
  readonly #objects: readonly Raw[]
  readonly #options: NameOptions

  constructor(objects: Iterable<Raw>, options: NameOptions) {
    this.#objects = [...objects].sort((a, b) => (pathOf(a) < pathOf(b) ? -1 : 1))
    this.#options = options
  }

  /** Sorted lines as NameRoom.ask has them. `before`: names of the chain that led here. */
  ask(name: string, type: string, before: readonly string[] = []): 'NXDOMAIN' | Lines {
    const found = this.#find(name)
    if (found === null) return 'NXDOMAIN'
    const owner = before.length === 0 || before[0] === name ? '' : `${name} `
    const alias = found.find((line) => line.startsWith('CNAME '))
    if (alias === undefined || (type !== 'A' && type !== 'AAAA'))
      return [...new Set(found)]
        .filter((line) => line.startsWith(`${type} `))
        .map((line) => owner + line)
        .sort()
    const target = alias.slice('CNAME '.length)
    const chain = [...before, name]
    const isEnd = this.#zoneOf(target) === undefined || chain.includes(target)
    const more = isEnd ? [] : this.ask(target, type, chain)
    return [owner + alias, ...(more === 'NXDOMAIN' ? [] : more)].sort()
  }

  #find(name: string): Lines | null {
    const zone = this.#zoneOf(name)
    if (zone === undefined) return null
    if (name === zone) return this.#servers().map((target) => `NS ${target}`)
    if (zone.endsWith('.arpa.')) return this.#reverse(name)
    const labels = name.slice(0, -zone.length - 1).split('.')
    const isImported = this.#options.multicluster.includes(zone)
    if (labels.length === 1 && labels[0] === 'dns-version') return ['TXT ["1.1.0"] ttl 28800']
    if (labels.join('.') === 'ns.dns' || name === `dns.${zone}`) {
      const ips = this.#dns().flatMap(({ spec }) => spec.clusterIPs as string[])
      const all = [...new Set([...ips, ...this.#options.addresses])]
      return all.length === 0 ? null : labels.length === 1 ? [] : all.map(address)
    }
    const kind = labels.pop()
    if (kind !== 'svc' && (kind !== 'pod' || isImported)) return null
    const namespace = labels.pop()
    if (namespace === undefined) return []
    if (!this.#isShown(namespace)) return null
    if (kind === 'pod') return this.#pod(namespace, labels)
    const service = labels.pop()
    if (service === undefined) return []
    const base = `${service}.${namespace}.svc.${zone}`
    return isImported ? this.#import(namespace, service, labels, base) : this.#service(namespace, service, labels, base)
  }

  #service(namespace: string, name: string, labels: readonly string[], base: string): Lines | null {
    const service = this.#get('Service', namespace, name)
    if (service === undefined || !this.#exists(service)) return null
    const { spec } = service
    if (spec.type === 'ExternalName') return labels.length === 0 ? [`CNAME ${spec.externalName}.`] : null
    const endpoints = this.#endpoints(service)
    const isHeadless = spec.clusterIPs[0] === 'None'
    if (labels.length === 1 && !labels[0]!.startsWith('_')) {
      if (!isHeadless && this.#options.endpointNames === 'headless') return null
      const found = endpoints.filter(({ label }) => label === labels[0])
      return found.length === 0 ? null : found.map(({ ip }) => address(ip))
    }
    const own: Endpoint[] = spec.clusterIPs.map((ip: string) => ({ ip, label: '', ports: spec.ports }))
    return answer(isHeadless ? endpoints : own, labels, base)
  }

  #import(namespace: string, name: string, labels: readonly string[], base: string): Lines | null {
    const service = this.#get('ServiceImport', namespace, name)
    if (service === undefined) return null
    const endpoints = this.#endpoints(service)
    const isHeadless = service['spec'].type === 'Headless'
    if (isHeadless && endpoints.length === 0) return null
    if (labels.length > 0 && !labels.at(-1)!.startsWith('_')) {
      const found = endpoints.filter(({ label }) => label !== null && `.${label}`.endsWith(`.${labels.join('.')}`))
      if (found.length === 0) return null
      return found.filter(({ label }) => label === labels.join('.')).map(({ ip }) => address(ip))
    }
    const { ips, ports } = service['spec']
    return answer(isHeadless ? endpoints : ips.map((ip: string) => ({ ip, label: '', ports })), labels, base)
  }

  #pod(namespace: string, labels: readonly string[]): Lines | null {
    const { pods } = this.#options
    if (pods === 'disabled' || labels.length > 1) return null
    const [label] = labels
    if (label === undefined) return []
    if (pods === 'verified') {
      const ips = this.#of('Pod').flatMap(({ metadata, status }) =>
        metadata['namespace'] === namespace && status.phase === 'Running' && !metadata.deletionTimestamp
          ? (status.podIPs as { ip: string }[]).map(({ ip }) => ip)
          : [],
      )
      const found = ips.filter((ip) => dashes(ip) === label)
      return found.length === 0 ? null : [address(found[0]!)]
    }
    const v4 = label.replaceAll('-', '.')
    if (isIPv4(v4)) return [address(v4)]
    const v6 = label.replaceAll('-', ':')
    return isIPv6(v6) ? [address(ipaddr.IPv6.parse(v6).toRFC5952String())] : null
  }

  /** `name` is not an apex. */
  #reverse(name: string): Lines | null {
    const pointers = new Map<string, Set<string>>()
    const primary = this.#options.zones.find((zone) => !this.#options.multicluster.includes(zone) && !isArpa(zone))
    if (primary === undefined) return null
    const services = this.#of('Service').filter((service) => this.#exists(service))
    for (const service of services) {
      const { namespace, name: own } = service['metadata']
      for (const { ip, label } of this.#endpoints(service)) {
        const target = `${label}.${own}.${namespace}.svc.${primary}`
        pointers.set(ip, (pointers.get(ip) ?? new Set()).add(`PTR ${target}`))
      }
    }
    for (const { metadata, spec } of services.toReversed()) {
      for (const ip of spec.clusterIPs ?? []) {
        if (ip !== 'None' && spec.type !== 'ExternalName')
          pointers.set(ip, new Set([`PTR ${metadata['name']}.${metadata['namespace']}.svc.${primary}`]))
      }
    }
    const names = [...pointers].map(([ip, lines]) => [arpa(ip), lines] as const)
    const exact = names.find(([each]) => each === name)
    if (exact !== undefined) return [...exact[1]]
    const below = names.filter(([each]) => each.endsWith(`.${name}`) && this.#zoneOf(each) !== undefined)
    return below.length > 0 ? [] : null
  }

  /** It has a name at all. */
  #exists(service: Raw): boolean {
    const { metadata, spec } = service
    if (!this.#isShown(metadata['namespace']) || metadata['name'].includes('.')) return false
    if (spec.type === 'ExternalName') return !isIPv4(spec.externalName)
    const { noEndpoints, ignoreEmptyService } = this.#options
    if (spec.clusterIPs[0] === 'None') return this.#endpoints(service).length > 0
    return !ignoreEmptyService || noEndpoints || this.#endpoints(service).length > 0
  }

  /** Ready ones. */
  #endpoints({ kind, metadata, spec }: Raw): readonly Endpoint[] {
    const { noEndpoints, endpointPodNames } = this.#options
    if (noEndpoints || spec.type === 'ExternalName') return []
    const labelled = kind === 'Service' ? 'kubernetes.io/service-name' : 'multicluster.kubernetes.io/service-name'
    const slices = this.#of('EndpointSlice').filter(
      (slice) =>
        slice['metadata'].namespace === metadata['namespace'] &&
        slice['metadata'].labels[labelled] === metadata['name'],
    )
    return slices.flatMap((slice) => {
      const cluster = slice['metadata'].labels['multicluster.kubernetes.io/source-cluster']
      const ready = (slice['endpoints'] as Raw[]).filter((each) => each['conditions']?.ready !== false)
      return ready.map((each): Endpoint => {
        const ip: string = each['addresses'][0]
        const podName = endpointPodNames ? each['targetRef']?.name : undefined
        const label = [each['hostname'], podName].find((it) => /^[a-z0-9-]{1,63}$/.test(it ?? '')) ?? dashes(ip)
        const full = kind === 'Service' ? label : cluster === 'No_Label' ? null : `${label}.${cluster}`
        return { ip, label: full, ports: slice['ports'] }
      })
    })
  }

  #dns(): readonly Raw[] {
    const { addresses } = this.#options
    return this.#of('Service').filter(({ metadata, spec }) => {
      if (spec.type === 'ExternalName' || spec.clusterIPs[0] === 'None') return false
      if (addresses.length === 0) return metadata['labels']?.['k8s-app'] === 'kube-dns'
      return spec.clusterIPs.some((ip: string) => addresses.includes(ip))
    })
  }

  #servers(): readonly string[] {
    const primary = this.#options.zones[0]!
    const shown = this.#dns().filter(
      ({ metadata }) => this.#isShown(metadata['namespace']) && !metadata['name'].includes('.'),
    )
    if (shown.length > 0)
      return shown.map(({ metadata }) => `${metadata['name']}.${metadata['namespace']}.svc.${primary}`)
    return this.#dns().length + this.#options.addresses.length > 0 ? [`ns.dns.${primary}`] : []
  }

  #isShown(namespace: string): boolean {
    const { namespaces, namespaceLabels } = this.#options
    if (namespaces !== null && !namespaces.includes(namespace)) return false
    const found = this.#of('Namespace').find(({ metadata }) => metadata['name'] === namespace)
    return found !== undefined && (namespaceLabels === null || found['metadata'].labels?.tier === 'a')
  }

  #zoneOf(name: string): string | undefined {
    return this.#options.zones.find((zone) => name === zone || name.endsWith(`.${zone}`))
  }

  #of(kind: string): readonly Raw[] {
    return this.#objects.filter((object) => object['kind'] === kind)
  }

  #get(kind: string, namespace: string, name: string): Raw | undefined {
    return this.#of(kind).find(({ metadata }) => metadata['namespace'] === namespace && metadata['name'] === name)
  }
}

/** At the bare name, and at `_port._protocol` below it. */
function answer(endpoints: readonly Endpoint[], labels: readonly string[], base: string): Lines | null {
  if (labels.length === 0)
    return [...new Set(endpoints.map(({ ip }) => address(ip))), ...srv(endpoints, base, () => true)]
  const [port, protocol] = labels.length === 1 ? [null, labels[0]!] : [labels[0]!.slice(1), labels[1]!]
  if (labels.length > 2 || labels.some((label) => !label.startsWith('_'))) return null
  const wanted = (each: Raw) =>
    each['name'] !== '' && `_${each['protocol'].toLowerCase()}` === protocol && (port === null || each['name'] === port)
  const found = srv(endpoints, base, wanted)
  return found.length === 0 ? null : port === null ? [] : found
}

function srv(endpoints: readonly Endpoint[], base: string, wanted: (port: Raw) => boolean): Lines {
  const all = endpoints.flatMap(({ label, ports }) =>
    label === null ? [] : ports.filter(wanted).map(({ port }) => `${port} ${label === '' ? '' : `${label}.`}${base}`),
  )
  const weight = Math.max(1, Math.trunc(100 / all.length))
  return [...new Set(all)].map((line) => `SRV 0 ${weight} ${line}`)
}

export const pathOf = ({ kind, metadata }: Raw): string => `${kind} ${metadata['namespace'] ?? ''}/${metadata['name']}`
const address = (ip: string) => `${ip.includes(':') ? 'AAAA' : 'A'} ${ip}`
const dashes = (ip: string) => ip.replace(/[:.]/g, '-').replace(/-$/, '-0')
const isArpa = (zone: string) => zone.endsWith('.arpa.')

function arpa(ip: string): string {
  const bytes = ipaddr.parse(ip).toByteArray()
  if (bytes.length === 4) return `${bytes.toReversed().join('.')}.in-addr.arpa.`
  return `${[...Buffer.from(bytes).toString('hex')].toReversed().join('.')}.ip6.arpa.`
}
