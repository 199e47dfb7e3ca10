/** The target that a test is about: nftables, or what FAIRLEAD_TEST_TARGET says. */
import type { Target } from '../../src/core/delta.ts'
import type { Nft } from '../../src/kernel/nft.ts'
import { nftProcess } from '../../src/kernel/nft.ts'
import { IptablesMasqueradeTarget } from '../../src/egress/iptables/masquerade.ts'
import { MasqueradeTarget } from '../../src/egress/nftables/target.ts'
import type { EgressRow } from '../../src/egress/rows.ts'
import { IptablesTarget } from '../../src/service/iptables/target.ts'
import { NftTarget, type NftTargetOptions } from '../../src/service/nftables/target.ts'
import type { ServiceRow } from '../../src/service/rows.ts'

export type TargetName = 'nftables' | 'iptables-legacy' | 'iptables-nft'

export const targetName = (process.env['FAIRLEAD_TEST_TARGET'] ?? 'nftables') as TargetName

/** `changes`: for nftables. */
export function makeTarget(
  options: Pick<NftTargetOptions, 'inherit'> = {},
  changes: Nft = nftProcess,
): Target<ServiceRow> {
  switch (targetName) {
    case 'nftables':
      return new NftTarget({ changes, loads: nftProcess, ...options })
    case 'iptables-legacy':
      return new IptablesTarget({ variant: 'legacy', ...options })
    case 'iptables-nft':
      return new IptablesTarget({ variant: 'nft', ...options })
    default:
      throw targetName satisfies never
  }
}

export function makeMasqueradeTarget(): Target<EgressRow> {
  if (targetName === 'nftables') return new MasqueradeTarget(nftProcess)
  return new IptablesMasqueradeTarget({ variant: targetName === 'iptables-legacy' ? 'legacy' : 'nft' })
}
