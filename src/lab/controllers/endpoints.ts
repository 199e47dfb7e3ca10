/** Who answers for a Service, by family and port numbers: read from its pods (k8s.io/endpointslice, utils.go). */
import { textOf, type ApiObject, type Fields } from '../api/object.ts'
import { mapSelector, matches } from '../api/selector.ts'
import type { Store } from '../api/store.ts'
import { isFinished, isReady } from './pods.ts'
import type { Wanted } from './slices.ts'

/** One group a family and port mapping; a family without any pod has one empty group, without ports. */
export function endpointsOf(store: Store, service: ApiObject): Wanted[] {
  const selector = mapSelector(service['spec'].selector)
  if (selector === null) return []
  const pods = store
    .list('pods', service.metadata.namespace ?? '')
    .filter((pod) => isListed(pod) && matches(selector, pod.metadata.labels))
  return (service['spec'].ipFamilies as string[]).flatMap((addressType) => {
    const groups = new Map<string, { ports: Fields[]; endpoints: Fields[] }>()
    for (const pod of pods) {
      const address = addressOf(pod, addressType)
      if (address === undefined) continue
      const ports = portsOf(service, pod)
      const group = groups.getOrInsertComputed(JSON.stringify(ports), () => ({ ports, endpoints: [] }))
      group.endpoints.push(endpointOf(store, service, pod, address))
    }
    if (groups.size === 0) return [{ addressType, ports: [], endpoints: [] }]
    return [...groups.values()].map((group) => ({ addressType, ...group }))
  })
}

/** It has an address and is not over: also a pod that is being deleted, for it may still serve. */
export function isListed(pod: ApiObject): boolean {
  return (pod['status']?.podIPs?.length ?? 0) > 0 && !isFinished(pod)
}

function endpointOf(store: Store, service: ApiObject, pod: ApiObject, address: string): Fields {
  const { spec, metadata } = pod
  const zone = store.get('nodes', '', spec.nodeName ?? '')?.metadata.labels?.['topology.kubernetes.io/zone']
  const terminating = metadata.deletionTimestamp !== undefined
  const serving = isReady(pod)
  const ready = service['spec'].publishNotReadyAddresses === true || (serving && !terminating)
  const isNamed = spec.hostname && spec.subdomain === service.metadata.name
  const hints = ready ? hintsFor(service['spec'].trafficDistribution, spec.nodeName, zone) : undefined
  return {
    addresses: [address],
    conditions: { ready, serving, terminating },
    ...(isNamed && { hostname: spec.hostname }),
    targetRef: { kind: 'Pod', namespace: metadata.namespace, name: metadata.name, uid: metadata.uid },
    ...(spec.nodeName && { nodeName: spec.nodeName }),
    ...(zone !== undefined && { zone }),
    ...(hints && { hints }),
  }
}

/** KEP-4444, KEP-3015: same node implies same zone, for proxies that know only that. */
function hintsFor(
  distribution: string | undefined,
  node: string | undefined,
  zone: string | undefined,
): Fields | undefined {
  const forNodes = distribution === 'PreferSameNode' && node ? { forNodes: [{ name: node }] } : undefined
  const isNear =
    distribution === 'PreferClose' || distribution === 'PreferSameZone' || distribution === 'PreferSameNode'
  const forZones = isNear && zone !== undefined ? { forZones: [{ name: zone }] } : undefined
  return forNodes || forZones ? { ...forZones, ...forNodes } : undefined
}

/** A named target port that the pod does not have is left out for that pod. */
function portsOf(service: ApiObject, pod: ApiObject): Fields[] {
  return ((service['spec'].ports ?? []) as Fields[]).flatMap((port) => {
    const number = targetPort(port, pod)
    if (number === undefined) return []
    const { name = '', protocol, appProtocol } = port
    return [{ name, protocol, port: number, ...(appProtocol && { appProtocol }) }]
  })
}

function targetPort({ targetPort: target, protocol }: Fields, pod: ApiObject): number | undefined {
  if (typeof target === 'number') return target
  // Sidecars are init containers that stay (restartPolicy Always): their ports count.
  const sidecars = ((pod['spec'].initContainers ?? []) as Fields[]).filter(
    ({ restartPolicy }) => restartPolicy === 'Always',
  )
  for (const container of [...(pod['spec'].containers as Fields[]), ...sidecars]) {
    const found = ((container['ports'] ?? []) as Fields[]).find(
      (p) => p['name'] === target && p['protocol'] === protocol,
    )
    if (found !== undefined) return found['containerPort']
  }
  return undefined
}

function addressOf(pod: ApiObject, addressType: string): string | undefined {
  const ips = (pod['status'].podIPs as Fields[]).map(({ ip }) => textOf(ip))
  return ips.find((ip) => ip.includes(':') === (addressType === 'IPv6'))
}
