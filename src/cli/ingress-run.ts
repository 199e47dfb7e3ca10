/** What the ingress controller is made of: cluster -> tables -> the carrier, and status that reads them all. */
import { once } from 'node:events'
import { Connection } from '../carrier/connection.ts'
import type { Log } from '../status/log.ts'
import { Metrics } from '../status/metrics.ts'
import { Observer } from '../status/observer.ts'
import { sayRejections } from '../status/rejections.ts'
import { union } from '../core/union.ts'
import type { IngressOptions } from '../ingress/options.ts'
import { CarrierNews } from './carrier-news.ts'
import { authoritiesOf } from './ingress-acme-options.ts'
import { CertificateNews } from './ingress-certificates.ts'
import { statusDuty, takeTurns, type Led, type LeaderWords } from './ingress-leader.ts'
import { ingressOptions, type IngressWords } from './ingress-options.ts'
import { IngressService } from './ingress-service.ts'
import { serveIngressStatus } from './ingress-status.ts'
import { podTitle } from './pod.ts'
import type { SourceOptions } from './source.ts'
import { version } from './version.ts'

export interface IngressCommandOptions extends SourceOptions, IngressWords, LeaderWords {
  /** Of the carrier. */
  readonly socket: string
  readonly publishService?: string
  readonly statusBindAddress: string
  readonly statusSocket?: string
}

/** Runs until SIGTERM or SIGINT. The carrier serves on. */
export async function runIngress(options: IngressCommandOptions, log: Log): Promise<void> {
  const told = ingressOptions(options)
  const authorities = await authoritiesOf(options)
  const ending = new AbortController()
  const { signal } = ending
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => ending.abort())
  const observer = new Observer(log)
  const news = new CarrierNews(podTitle(options.name, 'default'), log)
  const carrier = new Connection({ path: options.socket, onEvent: news.hear })
  const metrics = new Metrics()
  const certificates = new CertificateNews(metrics, log, (event) => service.source.post(event))
  const problems = union('problems of the ingress', [news.problems, certificates.shown.problems, certificates.refused])
  const parts = { carrier, problems, observer, log, signal, name: options.name }
  const service = await IngressService.start(told, options, parts)
  const connecting = carrier.run(signal)
  sayRejections(service.rejections, log)
  const status = await serveIngressStatus({ options, service, observer, log, metrics, certificates })
  log.info('ingress controller started', {
    name: options.name,
    version,
    controllers: told.controllers,
    cluster: service.source.from,
  })
  await lead({ service, told, options, authorities, certificates, carrier, log, signal })
  if (!signal.aborted) await once(signal, 'abort')
  await service.end()
  await connecting
  await status.close()
  log.info('ingress controller ended; the carrier serves on', { name: options.name })
}

interface Leading {
  readonly service: IngressService
  readonly told: IngressOptions
  readonly options: IngressCommandOptions
  readonly authorities: string | null
  readonly certificates: CertificateNews
  readonly carrier: Connection
  readonly log: Log
  readonly signal: AbortSignal
}

/** What one of several controllers does, while it is this one. Resolves when the signal has aborted, or there is nothing to do. */
async function lead({
  service,
  told,
  options,
  authorities,
  certificates,
  carrier,
  log,
  signal,
}: Leading): Promise<void> {
  const connection = service.source.reconnect?.() ?? null
  if (connection === null || options.trial) {
    if (told.acme !== null) log.info('no certificates are ordered on trial')
    return connection?.close()
  }
  const parts = { connection, words: options, log, signal }
  const duties: Led[] = []
  const status = statusDuty(service, parts)
  if (status !== null) duties.push(status)
  let done: Promise<void> | null = null
  if (told.acme !== null) {
    // Only now: what talks with ACME servers is 16 MB that others do not need.
    const { startAcme } = await import('./ingress-acme.ts')
    const more = { service, told, authorities, news: certificates, isServing: () => carrier.connected }
    const acme = startAcme({ ...parts, ...more, words: options })
    duties.push(acme)
    done = acme.done
  }
  if (duties.length > 0) await takeTurns(duties, parts)
  await done
  await connection.close()
}
