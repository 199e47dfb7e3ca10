/** What the ingress controller is made of: cluster -> tables -> the carrier, and status that reads them all. */
import { Connection } from '../carrier/connection.ts'
import type { Log } from '../status/log.ts'
import { Observer } from '../status/observer.ts'
import { sayRejections } from '../status/rejections.ts'
import { CarrierNews } from './carrier-news.ts'
import { publish, type LeaderWords } from './ingress-leader.ts'
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
  const ending = new AbortController()
  const { signal } = ending
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => ending.abort())
  const observer = new Observer(log)
  const news = new CarrierNews(podTitle(options.name, 'default'), log)
  const carrier = new Connection({ path: options.socket, onEvent: news.hear })
  const parts = { carrier, problems: news.problems, observer, log, signal, name: options.name }
  const service = await IngressService.start(told, options, parts)
  const connecting = carrier.run(signal)
  sayRejections(service.rejections, log)
  const status = await serveIngressStatus({ options, service, observer, log })
  log.info('ingress controller started', {
    name: options.name,
    version,
    controllers: told.controllers,
    cluster: service.source.from,
  })
  await publish(service, options, log, signal)
  if (!signal.aborted) await new Promise((done) => signal.addEventListener('abort', done, { once: true }))
  await service.end()
  await connecting
  await status.close()
  log.info('ingress controller ended; the carrier serves on', { name: options.name })
}
