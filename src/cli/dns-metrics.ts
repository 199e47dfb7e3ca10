/** What the DNS controller counts under CoreDNS's names (plugin/reload, plugin/kubernetes): served on the carrier's :9153, too. */
import { exponential, type Histogram, type Metrics } from '../status/metrics.ts'

export interface DnsMetrics {
  /** A Corefile that cannot be used. */
  reloadFailed(): void
  /** A Corefile by its SHA-512. */
  inForce(digest: string): void
  /** Seconds from a change of endpoints to the carrier's answers. */
  readonly programming: Histogram
}

export function dnsMetrics(metrics: Metrics): DnsMetrics {
  const failed = metrics.counter('coredns_reload_failed_total', 'Counter of the number of failed reload attempts.')
  const info = metrics.gauge(
    'coredns_reload_version_info',
    "A metric with a constant '1' value labeled by hash, and value which type of hash generated.",
    ['hash', 'value'],
  )
  const programming = metrics.histogram(
    'coredns_kubernetes_dns_programming_duration_seconds',
    'Histogram of the time (in seconds) it took to program a dns instance.',
    exponential(0.001, 2, 20),
    ['service_kind'],
  )
  return {
    reloadFailed: () => failed.add(1),
    inForce(digest) {
      info.clear()
      info.set(1, 'sha512', digest)
    },
    // CoreDNS has no other kind, either.
    programming: { observe: (seconds) => programming.observe(seconds, 'headless_with_selector') },
  }
}
