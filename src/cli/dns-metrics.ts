/** What the DNS controller counts under CoreDNS's names (plugin/reload, plugin/kubernetes): served on the carrier's :9153, too. */
import type { EndpointSlice } from '../cluster/endpointslice.ts'
import type { Service } from '../cluster/service.ts'
import type { Answered } from '../cluster/source/kube.ts'
import type { Readable } from '../core/table.ts'
import { exponential, type Histogram, type Metrics } from '../status/metrics.ts'

export interface DnsMetrics {
  /** A Corefile that cannot be used. */
  reloadFailed(): void
  /** A Corefile by its SHA-512. */
  inForce(digest: string): void
  /** Seconds from a change of endpoints to the carrier's answers, by the kind of their Service. */
  readonly programming: Histogram
  /** An answer of the API server. */
  answered(answer: Answered): void
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
  const requests = metrics.counter(
    'coredns_kubernetes_rest_client_requests_total',
    'Number of HTTP requests, partitioned by status code, method, and host.',
    ['code', 'method', 'host'],
  )
  const durations = metrics.histogram(
    'coredns_kubernetes_rest_client_request_duration_seconds',
    'Request latency in seconds. Broken down by verb and host.',
    DEFAULT_BUCKETS,
    ['verb', 'host'],
  )
  return {
    reloadFailed: () => failed.add(1),
    inForce(digest) {
      info.clear()
      info.set(1, 'sha512', digest)
    },
    programming,
    answered({ method, host, status, seconds }) {
      // client-go's word where there was no answer.
      requests.add(1, status === null ? '<error>' : String(status), method, host)
      durations.observe(seconds, method, host)
    },
  }
}

/**
 * CoreDNS's label service_kind of endpoints; null: their Service is not known (object.EndpointLatencyRecorder), and nothing
 * can be told.
 */
export function serviceKind(services: Readable<Service>): (slice: EndpointSlice) => string | null {
  return ({ namespace, service }) => {
    const held = services.get(`${namespace}/${service}`)
    return held === undefined ? null : held.headless ? 'headless_with_selector' : 'cluster_ip'
  }
}

/** prometheus.DefBuckets. */
const DEFAULT_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
