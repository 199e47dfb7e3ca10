/** Conntrack as an agent keeps it: no flow that leads nowhere, and how strictly TCP is looked at. */
import type { Binding } from '../core/binding.ts'
import { beLiberal, type Cleaned } from '../kernel/conntrack.ts'
import type { Feature } from '../kernel/features.ts'
import type { KubeProxyMetrics } from '../status/kubeproxy.ts'
import type { Log } from '../status/log.ts'
import type { Observer } from '../status/observer.ts'

/** While rules were missing, flows began that none translated: each full load after the first is one of the flows', too. */
export function followLoads(rules: Binding, flows: Binding, observer: Observer): void {
  const { target } = rules.status()
  let loads = 0
  observer.onEvent((event) => {
    if (event.target !== target || event.kind !== 'applied' || event.from !== 0) return
    // The flows' own first load has waited for the rules'.
    if (loads++ > 0) flows.recover('the rules were loaded anew')
  })
}

/** Tells log and metrics that conntrack was looked through. A failure is told by who tries again. */
export function tellCleaned(cleaned: Cleaned, log: Log, counters: KubeProxyMetrics): void {
  if (cleaned.kind === 'failed') return
  for (const { family, scanned, deleted, seconds } of cleaned.families) {
    counters.conntrackDeleted.add(deleted, family)
    counters.conntrackSeconds.observe(seconds, family)
    if (deleted > 0) log.info('stale flows deleted', { family, deleted, scanned, ms: (seconds * 1000).toFixed(1) })
  }
}

/**
 * Makes the kernel liberal about TCP: now, or once the first rules make it track connections. Returns what status says of
 * it. Services work without: a failure is told, and the agent goes on.
 */
export async function makeLiberal(log: Log, observer: Observer): Promise<() => readonly Feature[]> {
  let feature: Feature = { name: NAME, present: false, remedy: 'waits until connections are tracked here' }
  let isDone = false
  const set = async (): Promise<void> => {
    const result = await beLiberal()
    if (result.kind === 'untracked' || isDone) return
    isDone = true
    if (result.kind === 'failed') {
      log.error('TCP is tracked strictly, though --conntrack-tcp-be-liberal', result)
      feature = { name: NAME, present: false, remedy: `${result.reason}: ${result.remedy}` }
    } else {
      log.info('TCP is tracked liberally, as --conntrack-tcp-be-liberal says')
      feature = { name: NAME, present: true, remedy: 'set, as --conntrack-tcp-be-liberal says' }
    }
  }
  observer.onEvent(({ kind }) => {
    if (kind === 'applied' && !isDone) void set()
  })
  await set()
  return () => [feature]
}

const NAME = 'tcp_be_liberal'
