/** iptables of this host, as all rooms of an agent in --mode iptables write and watch it. */
import type { IptablesCorner } from '../kernel/iptables-corner.ts'
import type { Family, Variant } from '../kernel/iptables.ts'
import type { RulesetMonitor } from '../kernel/monitor.ts'
import { hasNftables, type Nft } from '../kernel/nft.ts'
import { SetMonitor } from '../kernel/set-monitor.ts'
import { XtablesMonitor } from '../kernel/xtables.ts'
import { hostVariant } from '../service/iptables/target.ts'
import type { Log } from '../status/log.ts'
import { auditor, type Audited } from './agent-auditor.ts'
import { Failure } from './failure.ts'

/** How many entries of a table of legacy iptables are a target's. */
export interface Counted {
  entries(family: Family, table: string): number
}

export interface HostIptables {
  readonly variant: Variant
  /** Told of each text that will change the kernel; what it returns is called when that is done. */
  readonly onWrite: () => () => void
  /** Each change of somebody else's is judged with regard to these, too. */
  add(part: Counted): void
  /** What rules look in is watched, too. */
  addSets(corner: IptablesCorner): void
  /** Whether this host has nftables, too. */
  readonly hasNftables: boolean
}

export interface IptablesParts {
  /** What is looked at when somebody else changed something. */
  readonly guards: () => readonly Audited[]
  /** Of nftables: asked for in the variant that writes there. */
  readonly monitor: () => RulesetMonitor
  readonly log: Log
  readonly signal: AbortSignal
}

/** Throws when neither variant works. */
export async function openIptables({ guards, monitor, log, signal }: IptablesParts): Promise<HostIptables> {
  const variant = await hostVariant(signal).catch((error: Error) => {
    throw new Failure(`--mode iptables: ${error.message}`)
  })
  log.info('iptables as this host uses it', { variant })
  const audit = auditor(guards, log)
  const watch = { signal, onForeignChange: () => audit(null), onGap: audit }
  const parts: Counted[] = []
  return {
    variant,
    onWrite: variant === 'nft' ? counted(monitor()) : watchTables(),
    add: (part) => void parts.push(part),
    addSets: (corner) =>
      void new SetMonitor({ ...watch, names: corner.sets, members: (name) => corner.members().get(name) }),
    hasNftables: await hasNftables(signal),
  }

  function watchTables(): () => () => void {
    const ours = (family: Family, table: string): number =>
      parts.reduce((sum, part) => sum + part.entries(family, table), 0)
    const tables = new XtablesMonitor({ ...watch, tables: TABLES, ours })
    return () => tables.writing()
  }
}

/** Where anything of ours may be. */
const TABLES = ['raw', 'mangle', 'nat', 'filter']

/** Counts what is written between two moments as one transaction of ours. */
function counted(monitor: RulesetMonitor): () => () => void {
  return () => {
    const over = Promise.withResolvers<void>()
    const writer: Nft = { run: () => over.promise.then(() => ({ kind: 'committed' })), close: () => {} }
    void monitor.count(writer).run('')
    return over.resolve
  }
}
