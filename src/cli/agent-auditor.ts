/** What is looked at when somebody else changed the ruleset, and who is told to look. */
import type { Binding } from '../core/binding.ts'
import { RulesetMonitor } from '../kernel/monitor.ts'
import type { Log } from '../status/log.ts'

export type Audited = Pick<Binding, 'audit'>

/** `why`: there may be something to find; null: something was done. */
export function auditor(bindings: () => readonly Audited[], log: Log): (why: string | null) => void {
  return (why) => {
    if (why !== null) log.warn('the ruleset is looked through', { why })
    for (const binding of bindings()) void binding.audit().catch(() => {}) // whoever looks says so
  }
}

/** What somebody else does to the ruleset is repaired. `bindings`: of all that is in it. */
export function watchRuleset(bindings: () => readonly Audited[], log: Log, signal: AbortSignal): RulesetMonitor {
  const audit = auditor(bindings, log)
  return new RulesetMonitor({ signal, onForeignChange: () => audit(null), onGap: audit })
}
