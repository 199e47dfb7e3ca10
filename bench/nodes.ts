/** Clusters of many nodes: raw objects as an API server sends them, made from numbers, the same in each run. */
import { macOf } from '../src/overlay/mac.ts'
import type { Raw } from './cluster.ts'

export type Families = 'IPv4' | 'dual-stack'

export interface Ends {
  readonly address: string
  /** Of its pods. */
  readonly range: string
  /** Where the overlay sends what is for them: the network address of the range. */
  readonly vtep: string
}

/** Of node number `i`, 0 the one that we look from; one for each family. */
export function endsOf(i: number, families: Families): readonly Ends[] {
  const four = { address: `172.30.${(i + 1) >> 8}.${(i + 1) & 255}`, vtep: `10.${64 + (i >> 8)}.${i & 255}.0` }
  const six = { address: `fd00:172:30::${(i + 1).toString(16)}`, vtep: `fd00:10:244:${(i + 1).toString(16)}::` }
  const ends = families === 'IPv4' ? [four] : [four, six]
  return ends.map((end) => ({ ...end, range: `${end.vtep}/${end === four ? 24 : 64}` }))
}

export const linkAddress = (i: number, end: Ends): string => macOf(`n${i}`, end.vtep.includes(':') ? 6 : 4)

/** As a kubelet and an overlay leave it, with conditions and images: some 8 KB. */
export function nodeOf(i: number, families: Families): Raw {
  const ends = endsOf(i, families)
  const podCIDRs = ends.map(({ range }) => range)
  return {
    ...{ apiVersion: 'v1', kind: 'Node' },
    metadata: {
      ...{ name: `n${i}`, labels: { 'kubernetes.io/hostname': `n${i}`, 'topology.kubernetes.io/zone': 'zone-a' } },
      annotations: annotationsOf(i, ends),
    },
    spec: { podCIDR: podCIDRs[0], podCIDRs, providerID: `bench:///zone-a/n${i}` },
    status: {
      addresses: [
        ...ends.map(({ address }) => ({ type: 'InternalIP', address })),
        { type: 'Hostname', address: `n${i}` },
      ],
      ...{ capacity: CAPACITY, allocatable: CAPACITY, conditions: CONDITIONS.map(conditionOf) },
      images: Array.from({ length: IMAGES }, (_, image) => ({
        names: [`registry.example/team/image-${image}@sha256:${String(image).repeat(64).slice(0, 64)}`, `registry.example/team/image-${image}:v1`], // prettier-ignore
        sizeBytes: 50_000_000 + image,
      })),
    },
  }
}

function annotationsOf(i: number, ends: readonly Ends[]): Record<string, string> {
  const written: Record<string, string> = { 'flannel.alpha.coreos.com/backend-type': 'vxlan' }
  for (const end of ends) {
    const v6 = end.vtep.includes(':') ? 'v6' : ''
    written[`flannel.alpha.coreos.com/public-ip${v6}`] = end.address
    const data = { VNI: 1, VtepMAC: linkAddress(i, end) }
    written[`flannel.alpha.coreos.com/backend-${v6 && 'v6-'}data`] = JSON.stringify(data)
  }
  return written
}

const conditionOf = (type: string): Raw => ({
  ...{ type, status: type === 'Ready' ? 'True' : 'False', reason: `Kubelet${type}`, message: `kubelet says ${type}` },
  ...{ lastHeartbeatTime: '2026-01-01T00:00:00Z', lastTransitionTime: '2026-01-01T00:00:00Z' },
})
const CONDITIONS = ['MemoryPressure', 'DiskPressure', 'PIDPressure', 'Ready']
const CAPACITY = { cpu: '8', memory: '32Gi', pods: '110', 'ephemeral-storage': '100Gi' }
const IMAGES = 35
