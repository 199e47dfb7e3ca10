/** Who keeps masquerading and the overlay's guard in the kernel, as --mode says. What the other mode left goes once the rules of this one stand. */
import type { Target } from '../core/delta.ts'
import { Successor } from '../core/successor.ts'
import { IptablesMasqueradeTarget } from '../egress/iptables/masquerade.ts'
import { MasqueradeTarget, TABLE } from '../egress/nftables/target.ts'
import type { EgressRow } from '../egress/rows.ts'
import type { IptablesCorner } from '../kernel/iptables-corner.ts'
import { listTable, nftProcess, type Nft } from '../kernel/nft.ts'
import { IptablesGuardTarget } from '../overlay/iptables/guard.ts'
import { GUARD_TABLE, GuardTarget } from '../overlay/nftables/target.ts'
import type { GuardRow } from '../overlay/rows.ts'
import type { HostIptables } from './agent-iptables.ts'

export interface RuleMeans {
  /** null: rules go to nftables. */
  readonly iptables: HostIptables | null
  /** Not asked for where they go to iptables. */
  readonly nft: () => Nft
}

export function makeMasquerade({ iptables, nft }: RuleMeans): Target<EgressRow> {
  if (iptables === null) return new Successor(new MasqueradeTarget(nft()), removeIptablesMasquerade)
  const target = new IptablesMasqueradeTarget(iptables)
  watch(iptables, target.corner)
  return new Successor(target, removeNftablesMasquerade)
}

/** `port`: UDP. */
export function makeGuard(port: number, { iptables, nft }: RuleMeans): Target<GuardRow> {
  if (iptables === null) return new Successor(new GuardTarget(nft(), port), removeIptablesGuard)
  const target = new IptablesGuardTarget(port, iptables)
  watch(iptables, target.corner)
  return new Successor(target, removeNftablesGuard)
}

/** Removes what an agent left of both, in any mode. Throws what could not be removed. */
export async function removeRules(): Promise<void> {
  const all = [removeNftablesGuard, removeIptablesGuard, removeNftablesMasquerade, removeIptablesMasquerade]
  for (const remove of all) await remove()
}

function watch(iptables: HostIptables, corner: IptablesCorner): void {
  iptables.add(corner)
  iptables.addSets(corner)
}

/** Looks first: nothing is to be written to nftables without need. What cannot be listed has nothing of ours. */
export async function removeTable(table: string, target: Target<never>): Promise<void> {
  if ((await listTable('inet', table).catch(() => null)) !== null) await target.cleanup()
}

const removeNftablesMasquerade = (): Promise<void> => removeTable(TABLE, new MasqueradeTarget(nftProcess))
const removeNftablesGuard = (): Promise<void> => removeTable(GUARD_TABLE, new GuardTarget(nftProcess, 0))
const removeIptablesMasquerade = (): Promise<void> => new IptablesMasqueradeTarget({ variant: 'nft' }).cleanup()
const removeIptablesGuard = (): Promise<void> => new IptablesGuardTarget(0, { variant: 'nft' }).cleanup()
