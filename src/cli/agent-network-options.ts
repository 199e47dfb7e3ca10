/** What `fairlead agent` is told about pods and what is outside of the cluster. */
import type { Command } from 'commander'
import { DATA_DIR } from '../cni/leases.ts'
import { parseCidr } from '../cluster/address.ts'
import type { EgressOptions } from '../egress/options.ts'
import { addOverlayOptions, type OverlayWords } from './agent-overlay-options.ts'
import { Failure } from './failure.ts'

export interface NetworkWords extends OverlayWords {
  /** Absent: where this agent makes the network of pods. */
  readonly masquerade?: boolean
  readonly nonMasqueradeCidrs?: readonly string[]
  /** Absent: as masquerade. */
  readonly forwarding?: boolean
  /** '': the conflist is somebody else's to write. */
  readonly cniConfDir: string
  readonly cniDataDir: string
  readonly localPodCidrs?: readonly string[]
}

export function addNetworkOptions(command: Command): Command {
  return addOverlayOptions(command)
    .option('--masquerade', 'what pods send out of the cluster has an address of this node; default: with --overlay')
    .option('--no-masquerade', 'it has their own')
    .option(
      '--non-masquerade-cidrs <cidrs>',
      "destinations that see a pod's own address, besides pods of all nodes",
      (text) => text.split(',').map(parseRange),
    )
    .option(
      '--forwarding',
      'set what lets packets of pods pass this host (sysctls, a FORWARD chain that drops, bridges that have pods on them), and keep it so; default: with --overlay',
    )
    .option('--no-forwarding', 'leave that as it is')
    .option(
      '--cni-conf-dir <path>',
      'write 10-fairlead.conflist there, which gives pods their network (/etc/cni/net.d); "": do not',
      '',
    )
    .option('--cni-data-dir <path>', 'where the plugin host-local keeps what addresses pods have', DATA_DIR)
}

export function egressOptions(node: string, words: NetworkWords): EgressOptions {
  return {
    node,
    localPodCIDRs: words.localPodCidrs ?? null,
    overlayDevices: words.overlay === 'none' ? [] : words.overlayDevice,
    nonMasqueradeCIDRs: words.nonMasqueradeCidrs ?? [],
  }
}

/** Whether the network of pods is this agent's to make. */
export const makesPodNetwork = ({ overlay }: NetworkWords): boolean => overlay !== 'none'

function parseRange(text: string): string {
  const range = parseCidr(text)
  if (range === null) throw new Failure(`${text} is no range such as 10.0.0.0/8 or fd00::/8`, 2)
  return range.cidr
}
