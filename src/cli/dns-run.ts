/** What the DNS controller is made of: Corefile and cluster -> tables -> the carrier, and status that reads them all. */
import { resolve } from 'node:path'
import { Connection, type ConnectionEvent } from '../carrier/connection.ts'
import type { Rejection } from '../cluster/rejection.ts'
import { systemClock } from '../core/clock.ts'
import { InputTable } from '../core/table.ts'
import type { Configuration } from '../dns/corefile/configuration.ts'
import { disk } from '../dns/corefile/disk.ts'
import { bindLocal } from '../dns/corefile/localip.ts'
import { sentence, type Problem } from '../dns/corefile/problem.ts'
import { CorefileWatcher, type Reading } from '../dns/corefile/watcher.ts'
import type { Log } from '../status/log.ts'
import { Metrics } from '../status/metrics.ts'
import { Observer } from '../status/observer.ts'
import { dnsMetrics, type DnsMetrics } from './dns-metrics.ts'
import { DnsService } from './dns-service.ts'
import { serveDnsStatus } from './dns-status.ts'
import type { SourceOptions } from './source.ts'
import { version } from './version.ts'

export interface DnsOptions extends SourceOptions {
  readonly corefile: string
  /** Of the carrier. */
  readonly socket: string
  /** Canonical addresses. */
  readonly localip: readonly string[]
  readonly name: string
  readonly metricsBindAddress: string
  readonly statusSocket?: string
}

/** Runs until SIGTERM or SIGINT. The carrier answers on. */
export async function runDns(options: DnsOptions, log: Log): Promise<void> {
  const ending = new AbortController()
  const { signal } = ending
  for (const name of ['SIGTERM', 'SIGINT'] as const) process.once(name, () => ending.abort())
  const observer = new Observer(log)
  const carrier = new Connection({ path: options.socket, onEvent: (event) => tell(event, log) })
  const connecting = carrier.run(signal)
  const problems = new InputTable<Rejection>('Corefile')
  problems.markSynced()
  const metrics = new Metrics()
  const counted = dnsMetrics(metrics)
  const parts = { counted, carrier, observer, log, signal, name: options.name, problems }
  let service: DnsService | null = null
  const status = await serveDnsStatus({ options, service: () => service, carrier, metrics, problems, observer, log })
  const corefile = new CorefileWatcher(resolve(options.corefile), disk, systemClock, Math.random)
  log.info('DNS controller started', { name: options.name, version, corefile: options.corefile })
  for await (const reading of corefile.readings(signal)) {
    problems.replace(problemsOf(reading, options, log, counted))
    if ('problems' in reading) continue
    const servers = bindLocal(reading.configuration.servers, options.localip)
    const configuration = { ...reading.configuration, servers }
    if (service?.follow(configuration)) continue
    await service?.end()
    service = await DnsService.start(configuration, options, { ...parts, before: service })
  }
  if (!signal.aborted) await new Promise((done) => signal.addEventListener('abort', done, { once: true }))
  await service?.end()
  await connecting
  await status.close()
  log.info('DNS controller ended; the carrier answers on', { name: options.name })
}

function tell(event: ConnectionEvent, log: Log): void {
  if (event.kind === 'connected') log.info('talking with the carrier', { version: event.version })
  else log.warn('no carrier', { reason: event.reason, retryInMs: event.retryInMs })
}

/** What was in force stays while a Corefile is wrong. */
function problemsOf(
  reading: Reading,
  { name, corefile }: DnsOptions,
  log: Log,
  counted: DnsMetrics,
): readonly [string, Rejection][] {
  const isWrong = 'problems' in reading
  if (isWrong) counted.reloadFailed()
  else counted.inForce(reading.configuration.digest)
  const all = isWrong
    ? reading.problems
    : [...reading.configuration.warnings, ...unheeded(reading.configuration, corefile)]
  for (const each of all) {
    if (isWrong) log.error('the Corefile cannot be used: what was in force stays', { problem: sentence(each) })
    else log.warn('the Corefile', { problem: sentence(each) })
  }
  const object = `Pod ${process.env['POD_NAMESPACE'] ?? 'kube-system'}/${name}`
  return all.map((each, i) => [
    String(i),
    { object, field: `${each.file}:${each.line}:${each.column}`, problem: each.problem, remedy: each.remedy },
  ])
}

/** What of `kubernetes` this controller cannot do: said, for it answers more, or asks somebody else, than it is told to. */
function unheeded({ kubernetes }: Configuration, file: string): readonly Problem[] {
  const at = { file: resolve(file), line: 1, column: 1 }
  const labels = {
    ...at,
    problem: 'labels of kubernetes is not heeded: all Services are answered',
    remedy: 'use namespaces or namespace_labels',
  }
  const api = {
    ...at,
    problem: 'kubeconfig and endpoint of kubernetes are not heeded',
    remedy: 'pass --kubeconfig, --context or --api-server',
  }
  return [
    ...(kubernetes.some((set) => set.labels !== null) ? [labels] : []),
    ...(kubernetes.some((set) => set.api !== null) ? [api] : []),
  ]
}
