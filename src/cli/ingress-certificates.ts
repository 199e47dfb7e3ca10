/** What becomes of the certificates that are ordered: log, metrics, Events, status. */
import type { Happening } from '../ingress/acme/world.ts'
import { showNothing } from '../ingress/acme/shown.ts'
import type { Rejection } from '../cluster/rejection.ts'
import type { PostEvent } from '../cluster/source/kube.ts'
import { InputTable } from '../core/table.ts'
import type { Log } from '../status/log.ts'
import type { Counter, Metrics } from '../status/metrics.ts'
import type { CertificateReport } from '../status/report.ts'

export class CertificateNews {
  readonly shown = showNothing()
  /** Why this ingress orders none. */
  readonly refused = new InputTable<Rejection>('another ingress with ACME')
  readonly #log: Log
  readonly #post: PostEvent
  readonly #orders: Counter
  readonly #issued: Counter
  readonly #failures: Counter

  constructor(metrics: Metrics, log: Log, post: PostEvent) {
    this.#log = log
    this.#post = post
    this.refused.markSynced()
    this.#orders = metrics.counter('fairlead_acme_orders_total', 'Orders made at the ACME server')
    this.#issued = metrics.counter('fairlead_acme_certificates_issued_total', 'Certificates that came of them')
    this.#failures = metrics.counter(
      'fairlead_acme_failures_total',
      'What went wrong with an order, by type: of RFC 8555 6.7, or unreachable, replica, store',
      ['type'],
    )
    const labels = ['secret', 'issuer']
    const expiry = metrics.gauge('fairlead_acme_certificate_expiry_timestamp_seconds', 'When it ends', labels)
    const renewal = metrics.gauge('fairlead_acme_certificate_renewal_timestamp_seconds', 'When it is renewed', labels)
    const missing = metrics.gauge('fairlead_acme_certificates_missing', 'Wanted, and not there yet')
    const failing = metrics.gauge('fairlead_acme_certificates_failing', 'Wanted, and cannot be had as things are')
    metrics.onCollect(() => {
      for (const gauge of [expiry, renewal]) gauge.clear()
      let absent = 0
      for (const [, { secret, issuer, notAfter, renewAt }] of this.shown.status.entries()) {
        if (notAfter === null) absent++
        else expiry.set(notAfter / 1000, secret, issuer)
        if (renewAt !== null) renewal.set(renewAt / 1000, secret, issuer)
      }
      missing.set(absent)
      failing.set(this.shown.problems.size)
    })
  }

  readonly hear = (event: Happening): void => {
    const { secret } = event
    switch (event.kind) {
      case 'step':
        if (event.step === 'order') this.#orders.add(1)
        return this.#log.debug('a step to a certificate', { certificate: secret, step: event.step })
      case 'failed': {
        const { type, problem, remedy, retryAt } = event
        this.#failures.add(1, TYPE.test(type) ? type : 'other')
        const again = retryAt > 0 ? { retryAt: new Date(retryAt).toISOString() } : {}
        return this.#log.warn('no certificate', { certificate: secret, type, reason: problem, remedy, ...again })
      }
      case 'issued': {
        this.#issued.add(1)
        const until = new Date(event.notAfter).toISOString()
        const ingress = this.shown.status.get(secret)?.ingress ?? ''
        const [namespace = '', name = ''] = ingress.split('/')
        const message = `certificate ${secret} for ${event.names.slice(0, NAMES_SAID).join(', ')}, until ${until}`
        const regarding = { apiVersion: 'networking.k8s.io/v1', kind: 'Ingress', namespace, name }
        if (ingress !== '') void this.#post({ regarding, type: 'Normal', reason: 'Issued', message })
        return this.#log.info('a certificate', { certificate: secret, names: event.names.slice(0, NAMES_SAID), until })
      }
      default:
        event satisfies never
    }
  };

  *reports(): Iterable<CertificateReport> {
    for (const [, { notAfter, renewAt, ...rest }] of this.shown.status.entries())
      yield { ...rest, notAfter: isoOf(notAfter), renewAt: isoOf(renewAt) }
  }
}

const isoOf = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString())

/** A server may say anything; a label may not. */
const TYPE = /^[a-zA-Z]{1,40}$/
const NAMES_SAID = 10
