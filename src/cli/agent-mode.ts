/** What carries services in the kernel, as --mode says: a target, who watches over what it wrote, and the end of the other mode. */
import type { Binding } from '../core/binding.ts'
import type { Delta, Drift, Refused, Target } from '../core/delta.ts'
import type { Runner } from '../core/runner.ts'
import type { Readable } from '../core/table.ts'
import type { RulesetMonitor } from '../kernel/monitor.ts'
import { NftChannel } from '../kernel/nft-channel.ts'
import { isWithout, listNames, nftProcess } from '../kernel/nft.ts'
import { IptablesTarget, removeIptables } from '../service/iptables/target.ts'
import { addUdpFrontends } from '../service/nftables/inherited.ts'
import { FAMILY, TABLE } from '../service/nftables/names.ts'
import { NftTarget, type NftTargetOptions } from '../service/nftables/target.ts'
import type { FrontendAddress, ServiceRow } from '../service/rows.ts'
import type { HostIptables } from './agent-iptables.ts'

export type Mode = 'nftables' | 'iptables' | 'none'
export const MODES: readonly Mode[] = ['nftables', 'iptables', 'none']

export interface Carrying {
  readonly rows: Binding
  close(): void
}

export interface CarryOptions {
  readonly runner: Runner
  readonly table: Readable<ServiceRow>
  /** As NftTarget's. What the other mode left is in it, too: that goes once the rules of this one stand, and before this is called. */
  readonly inherit: NonNullable<NftTargetOptions['inherit']>
  /** Of all that is ours in nftables. Not asked for where there may be no nf_tables. */
  readonly monitor: () => RulesetMonitor
}

/** `iptables`: of mode iptables, and of no other. */
export function carryServices(mode: Mode, iptables: HostIptables | null, options: CarryOptions): Carrying {
  switch (mode) {
    case 'nftables':
      return byNftables(options)
    case 'iptables':
      return byIptables(iptables!, options)
    case 'none':
      return { rows: options.runner.attach(options.table, new NoServices()), close: () => {} }
    default:
      throw mode satisfies never
  }
}

/** Somebody else carries services: what an agent before left goes, once. */
class NoServices implements Target<ServiceRow> {
  readonly name = 'no services'

  async apply({ from }: Delta<ServiceRow>): Promise<readonly Refused[]> {
    if (from === 0) await cleanUp()
    return []
  }

  audit(): Promise<Drift> {
    return Promise.resolve({ clean: true })
  }

  cleanup(): Promise<void> {
    return cleanUp()
  }
}

/** Removes what an agent left in the kernel, in any mode. Throws what could not be removed. */
export async function cleanUp(): Promise<void> {
  await removeIptables()
  try {
    await new NftTarget({ changes: nftProcess, loads: nftProcess }).cleanup()
  } catch (error) {
    if (!isWithout((error as Error).message)) throw error
  }
}

/** Made when it is first asked for. */
export function onDemand<T>(make: () => T): () => T {
  let made: { readonly it: T } | null = null
  return () => (made ??= { it: make() }).it
}

function byNftables({ runner, table, inherit, monitor }: CarryOptions): Carrying {
  const changes = monitor().count(new NftChannel())
  const target = new NftTarget({
    changes,
    loads: monitor().count(nftProcess),
    inherit: async (before, ending) => inherit([...before, ...(await removeIptables(ending))], ending),
  })
  const rows = runner.attach(table, target)
  return { rows, close: () => changes.close() }
}

function byIptables(iptables: HostIptables, { runner, table, inherit }: CarryOptions): Carrying {
  const { variant, onWrite } = iptables
  const target = new IptablesTarget({
    variant,
    onWrite,
    inherit: async (before, ending) => inherit([...before, ...(await removeNftables(ending))], ending),
  })
  iptables.add(target)
  return { rows: runner.attach(table, target), close: () => {} }
}

/** The UDP frontends that were there. Without nft there is nothing of ours. */
export async function removeNftables(signal: AbortSignal): Promise<readonly FrontendAddress[]> {
  const names = await listNames(FAMILY, TABLE, signal).catch(() => null)
  if (names === null) return []
  const before = new Map<string, FrontendAddress>()
  await addUdpFrontends(before, names.maps, signal)
  await new NftTarget({ changes: nftProcess, loads: nftProcess }).cleanup()
  return [...before.values()]
}
