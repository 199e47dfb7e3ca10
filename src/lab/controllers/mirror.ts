/** EndpointSlices of Endpoints objects written by hand, for Services without a selector (endpointslicemirroring). */
import { parseAddress, specialKind } from '../../cluster/address.ts'
import { tell } from '../api/event.ts'
import type { Change } from '../api/history.ts'
import { textOf, type ApiObject, type Fields } from '../api/object.ts'
import { mapSelector } from '../api/selector.ts'
import type { Store } from '../api/store.ts'
import { objectAt, type Controller } from './controller.ts'
import { keepSlices, originKey, type Wanted } from './slices.ts'

export const mirrorController: Controller = {
  name: 'mirror',

  *touched({ resource, object }: Change): Iterable<string> {
    const isPart = resource.plural === 'endpoints' || resource.plural === 'services'
    if (isPart) yield `${object.metadata.namespace}/${object.metadata.name}`
    if (resource.plural === 'endpointslices') yield* originKey(object, OURSELVES)
  },

  reconcile(key: string, store: Store): void {
    const endpoints = objectAt(store, 'endpoints', key)
    if (endpoints === undefined) return // its slices go with it
    const service = objectAt(store, 'services', key)
    const isMirrored =
      service !== undefined &&
      mapSelector(service['spec'].selector) === null &&
      endpoints.metadata.labels?.['endpointslice.kubernetes.io/skip-mirror'] !== 'true'
    const origin = { owner: endpoints, labels: endpoints.metadata.labels ?? {}, managedBy: OURSELVES }
    keepSlices(store, origin, isMirrored ? groupsOf(store, endpoints) : [])
  },
}

function groupsOf(store: Store, endpoints: ApiObject): Wanted[] {
  const subsets = (endpoints['subsets'] ?? []) as Fields[]
  return subsets.flatMap((subset) => {
    const ports = ((subset['ports'] ?? []) as Fields[]).map(({ name = '', protocol = 'TCP', port, appProtocol }) => ({
      name,
      protocol,
      port,
      ...(appProtocol && { appProtocol }),
    }))
    const all = [
      ...((subset['addresses'] ?? []) as Fields[]).map((address) => endpointOf(address, true)),
      ...((subset['notReadyAddresses'] ?? []) as Fields[]).map((address) => endpointOf(address, false)),
    ]
    const good = all.filter(({ addresses: [ip] }) => isUsable(ip))
    for (const {
      addresses: [ip],
    } of all) {
      if (isUsable(ip)) continue
      const message = `the address ${textOf(ip).slice(0, 80)} is left out: write the unicast address of a host`
      tell(store, endpoints, { type: 'Warning', reason: 'InvalidIPAddress', message, from: 'mirror' })
    }
    return Map.groupBy(good, ({ addresses: [ip] }) => (ip.includes(':') ? 'IPv6' : 'IPv4'))
      .entries()
      .map(([addressType, found]) => ({ addressType, ports, endpoints: found }))
      .toArray()
  })
}

function endpointOf({ ip, hostname, nodeName, targetRef }: Fields, ready: boolean): Fields & { addresses: [string] } {
  return {
    addresses: [ip],
    conditions: { ready },
    ...(hostname && { hostname }),
    ...(nodeName && { nodeName }),
    ...(targetRef && { targetRef }),
  }
}

function isUsable(ip: unknown): boolean {
  const address = parseAddress(ip)
  return address !== null && specialKind(address) === null
}

const OURSELVES = 'endpointslicemirroring-controller.k8s.io'
