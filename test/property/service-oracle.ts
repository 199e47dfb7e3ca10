import { BlockList, isIPv4 } from 'node:net'
import type { Packet, Route } from '../../src/service/fake.ts'
import { NODES, type Raw } from '../contract/service-objects.ts'

/**
 * What becomes of a packet on node n1, read straight off raw objects, by brute force and by nothing of the service room:
 * a second opinion. Written from the Kubernetes documentation and notes on kube-proxy; small and slow.
 */
export function oracle(objects: readonly Raw[], packet: Packet): Route {
  const services = objects.filter(({ kind }) => kind === 'Service')
  const isNodeIP = (ip: string) => nodes(objects).some((each) => internalIPs(each).includes(ip))
  const served = services.filter(isServed)
  const open = served.flatMap((service) => openings(service, objects, isNodeIP))
  const matching = open.filter(
    ({ ip, port, protocol }) => ip === packet.dst && port === packet.port && protocol === packet.protocol,
  )
  const [first] = matching.sort((a, b) => (a.rank < b.rank ? -1 : a.rank > b.rank ? 1 : 0))
  if (first !== undefined) return decide(first, objects, packet)
  const allocated = served.flatMap(clusterIPs).filter((ip) => !isNodeIP(ip))
  if (allocated.includes(packet.dst)) return { kind: 'reject' }
  const ranges = objects.filter(({ kind }) => kind === 'ServiceCIDR').flatMap(({ spec }) => spec.cidrs as string[])
  return { kind: within(packet.dst, ranges) ? 'drop' : 'pass' }
}

interface Open {
  readonly ip: string
  readonly protocol: string
  readonly port: number
  readonly kind: 0 | 1 | 2 | 3
  readonly rank: string
  readonly service: Raw
  readonly portName: string
}

function openings(service: Raw, objects: readonly Raw[], isNodeIP: (ip: string) => boolean): Open[] {
  const { spec, metadata } = service
  const own = clusterIPs(service)
  const families = own.map(isIPv4)
  const ofFamily = (ip: string) => families.includes(isIPv4(ip))
  const isExternal = spec.type === 'NodePort' || spec.type === 'LoadBalancer'
  const ingress: Raw[] = spec.type === 'LoadBalancer' ? service['status'].loadBalancer.ingress : []
  const lists = {
    0: own.filter((ip) => !isNodeIP(ip)),
    1: isExternal ? primary(objects).filter(ofFamily) : [],
    2: ingress
      .filter(({ ipMode }) => ipMode !== 'Proxy')
      .map(({ ip }) => ip as string)
      .filter(ofFamily),
    3: (spec.externalIPs as string[]).filter(ofFamily),
  }
  const found: Open[] = []
  const ports: Raw[] = []
  for (const port of spec.ports as Raw[]) {
    if (ports.some((each) => each['port'] === port['port'] && each['protocol'] === port['protocol'])) continue
    const isTaken = ports.some((each) => each['nodePort'] === port['nodePort'] && each['protocol'] === port['protocol'])
    ports.push(port)
    for (const kind of [0, 1, 2, 3] as const) {
      const number = kind === 1 ? (isTaken ? undefined : port['nodePort']) : port['port']
      if (number === undefined) continue
      for (const ip of lists[kind]) {
        const rank = `${kind} ${metadata.creationTimestamp} ${metadata.name}`
        found.push({
          ip,
          protocol: port['protocol'].toLowerCase(),
          port: number,
          kind,
          rank,
          service,
          portName: port['name'],
        })
      }
    }
  }
  return found
}

function decide(open: Open, objects: readonly Raw[], packet: Packet): Route {
  const { service, kind } = open
  const { spec } = service
  if (kind === 2 && !letsIn(service, open.ip, packet.src, objects)) return { kind: 'drop' }
  const own = nodes(objects).find(({ metadata }) => metadata['name'] === 'n1')
  const podRanges: string[] = own?.['spec'].podCIDRs ?? []
  const isPod = within(packet.src, podRanges)
  const isNode = !isPod && internalIPs(NODES[0]!).includes(packet.src)
  const knowsPods = podRanges.some((cidr) => isIPv4(cidr.split('/')[0]!) === isIPv4(packet.dst))

  const isSplit = kind !== 0 && spec.externalTrafficPolicy === 'Local'
  const staysHere = kind === 0 ? spec.internalTrafficPolicy === 'Local' : isSplit && !isPod && !isNode
  const masquerade = kind === 0 ? knowsPods && !isPod : isSplit ? isNode : true

  const all = endpoints(open, objects)
  const candidates = usable(staysHere ? all.filter(({ node }) => node === 'n1') : all)
  const chosen = staysHere ? candidates : nearest(candidates, own?.['metadata'].labels['topology.kubernetes.io/zone'])
  if (chosen.length === 0) return { kind: staysHere && usable(all).length > 0 ? 'drop' : 'reject' }
  const show = ({ ip, port }: Candidate) => (isIPv4(ip) ? `${ip}:${port}` : `[${ip}]:${port}`)
  const itself = chosen.find(({ ip, node }) => ip === packet.src && node === 'n1')
  // Two ports of one address may both be there; any of them will do for the comparison.
  return { kind: 'dnat', to: chosen.map(show).sort(), masquerade, hairpin: masquerade || !itself ? null : show(itself) }
}

interface Candidate {
  readonly ip: string
  readonly port: number
  readonly node: string
  readonly state: 'ready' | 'terminating' | 'out'
  readonly zones: readonly string[]
  readonly nodes: readonly string[]
}

function endpoints({ service, portName, protocol, ip }: Open, objects: readonly Raw[]): Candidate[] {
  const slices = objects.filter(
    ({ kind, metadata, addressType }) =>
      kind === 'EndpointSlice' &&
      metadata['labels']['kubernetes.io/service-name'] === service['metadata'].name &&
      (addressType === 'IPv4') === isIPv4(ip),
  )
  const found = new Map<string, { candidate: Candidate; standing: number }>()
  for (const each of slices.sort((a, b) => (a['metadata'].name < b['metadata'].name ? -1 : 1))) {
    const port = (each['ports'] as Raw[]).find(
      (it) => it['name'] === portName && it['protocol'].toLowerCase() === protocol,
    )
    for (const { addresses, nodeName, conditions, hints } of port === undefined ? [] : (each['endpoints'] as Raw[])) {
      const ready = conditions.ready ?? true
      const drains = (conditions.serving ?? ready) && (conditions.terminating ?? false)
      const standing = ready ? 2 : drains ? 1 : 0
      const names = (list: Raw[] | undefined) => (list ?? []).map(({ name }) => name as string)
      const candidate: Candidate = {
        ip: addresses[0],
        port: port!['port'],
        node: nodeName,
        state: ready || service['spec'].publishNotReadyAddresses ? 'ready' : drains ? 'terminating' : 'out',
        zones: names(hints?.forZones),
        nodes: names(hints?.forNodes),
      }
      const key = `${candidate.ip} ${candidate.port}`
      if (standing > (found.get(key)?.standing ?? -1)) found.set(key, { candidate, standing })
    }
  }
  return [...found.values()].map(({ candidate }) => candidate)
}

function usable(all: readonly Candidate[]): Candidate[] {
  const ready = all.filter(({ state }) => state === 'ready')
  return ready.length > 0 ? ready : all.filter(({ state }) => state === 'terminating')
}

function nearest(all: Candidate[], zone: string | undefined): Candidate[] {
  if (all[0]?.state !== 'ready') return all
  const onNode = all.filter(({ nodes }) => nodes.includes('n1'))
  if (all.every(({ nodes }) => nodes.length > 0) && onNode.length > 0) return onNode
  const inZone = all.filter(({ zones }) => zone !== undefined && zones.includes(zone))
  return all.every(({ zones }) => zones.length > 0) && inZone.length > 0 ? inZone : all
}

function letsIn({ spec }: Raw, vip: string, src: string, objects: readonly Raw[]): boolean {
  const given: string[] = spec.loadBalancerSourceRanges ?? []
  if (given.length === 0) return true
  const ranges = given.filter((range) => range !== 'nonsense')
  const own = nodes(objects).find(({ metadata }) => metadata['name'] === 'n1')
  const nodeIsIn = own !== undefined && internalIPs(own).some((ip) => isIPv4(ip) === isIPv4(vip) && within(ip, ranges))
  return within(src, ranges) || (nodeIsIn && src === vip)
}

function isServed({ spec, metadata }: Raw): boolean {
  return spec.type !== 'ExternalName' && Object.keys(metadata['labels']).length === 0
}

const clusterIPs = ({ spec }: Raw): string[] => spec.clusterIPs
const nodes = (objects: readonly Raw[]) => objects.filter(({ kind }) => kind === 'Node')
const internalIPs = ({ status }: Raw): string[] => status.addresses.map(({ address }: Raw) => address)

function primary(objects: readonly Raw[]): string[] {
  const own = nodes(objects).find(({ metadata }) => metadata['name'] === 'n1')
  const ips = own === undefined ? [] : internalIPs(own)
  return [...ips.filter(isIPv4).slice(0, 1), ...ips.filter((ip) => !isIPv4(ip)).slice(0, 1)]
}

function within(ip: string, cidrs: readonly string[]): boolean {
  const list = new BlockList()
  for (const cidr of cidrs) {
    const [network, bits] = cidr.split('/') as [string, string]
    list.addSubnet(network, Number(bits), isIPv4(network) ? 'ipv4' : 'ipv6')
  }
  return list.check(ip, isIPv4(ip) ? 'ipv4' : 'ipv6')
}
