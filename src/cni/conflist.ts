/** A chain of CNI plugins as container runtimes read it (CNI specification 1.0, section 1). */
import { familyOf } from '../cluster/address.ts'

export interface CniNetwork {
  readonly cniVersion: string
  readonly name: string
  readonly plugins: readonly CniPlugin[]
}

export interface CniPlugin {
  readonly type: string
  readonly capabilities?: Readonly<Record<string, boolean>>
  readonly [field: string]: unknown
}

export interface PodLinks {
  /** Ranges of pods on this node, canonical; a pod gets an address of each. */
  readonly ranges: readonly string[]
  /** Octets; null: as the plugin has it. */
  readonly mtu: number | null
  /** Where leases are kept; null: as the plugin has it. */
  readonly dataDir: string | null
}

/**
 * A pod's link leads to its node and nowhere else; the node routes. Leases are kept by the name of the network: flannel's,
 * so that a node that had flannel gives no address twice. Nothing is masqueraded here: the agent does that.
 */
export function conflist({ ranges, mtu, dataDir }: PodLinks): CniNetwork {
  const families = new Set(ranges.map(familyOf))
  const ipam = {
    type: 'host-local',
    ...(dataDir !== null && { dataDir }),
    ranges: ranges.map((subnet) => [{ subnet }]),
    routes: [...families].map((family) => ({ dst: family === 4 ? '0.0.0.0/0' : '::/0' })),
  }
  return {
    cniVersion: '1.0.0',
    name: NETWORK,
    plugins: [
      { type: 'ptp', ...(mtu !== null && { mtu }), ipMasq: false, ipam },
      { type: 'portmap', capabilities: { portMappings: true } },
      { type: 'bandwidth', capabilities: { bandwidth: true } },
    ],
  }
}

export const textOf = (network: CniNetwork): string => JSON.stringify(network, null, 2) + '\n'

export const NETWORK = 'cbr0'
/**
 * Before 10-flannel.conflist, which stays: flannel's pods write it again at each start. While ours is there runtimes do not
 * look at it, and after `--cleanup` they do.
 */
export const FILE = '10-fairlead.conflist'
