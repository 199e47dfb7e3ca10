import type { Key } from '../core/delta.ts'
import type { Part } from './endpoints.ts'
import { addressRecord, below, dashed, fits, type Zones } from './names.ts'
import { nameKey } from './rows.ts'

/** A pod that has names: one that runs, in a namespace that is shown. */
export interface Dweller {
  readonly namespace: string
  readonly name: string
  readonly ips: readonly string[]
}

/** `10-240-0-1.shop.pod.cluster.local.`, of every address. Pods of one host's network share theirs. */
export function* partsOfPod({ namespace, name, ips }: Dweller, set: string, zones: Zones): Iterable<[Key, Part]> {
  for (const zone of zones.own) {
    for (const ip of ips) {
      const full = `${dashed(ip)}.${below(`${namespace}.pod`, zone)}`
      if (fits(full)) yield [nameKey(set, full), { record: addressRecord(ip), object: `Pod ${namespace}/${name}` }]
    }
  }
}
