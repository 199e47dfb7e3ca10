/** What the DNS controller is made of: Corefile and cluster -> tables -> the carrier, and status that reads them all. */
import { resolve } from 'node:path'
import { Connection } from '../carrier/connection.ts'
import type { Rejection } from '../cluster/rejection.ts'
import { systemClock } from '../core/clock.ts'
import { InputTable, type Readable } from '../core/table.ts'
import { union } from '../core/union.ts'
import type { Configuration } from '../dns/corefile/configuration.ts'
import { disk } from '../dns/corefile/disk.ts'
import { bindLocal } from '../dns/corefile/localip.ts'
import { sentence, type Problem } from '../dns/corefile/problem.ts'
import { CorefileWatcher, type Reading } from '../dns/corefile/watcher.ts'
import type { Log } from '../status/log.ts'
import { Metrics } from '../status/metrics.ts'
import type { CorefileReport } from '../status/dnsreport.ts'
import { Observer } from '../status/observer.ts'
import { CarrierNews } from './carrier-news.ts'
import { dnsMetrics, type DnsMetrics } from './dns-metrics.ts'
import { findWays, type Ways } from './dns-clusters.ts'
import { DnsService } from './dns-service.ts'
import { serveDnsStatus } from './dns-status.ts'
import { Failure } from './failure.ts'
import { podTitle } from './pod.ts'
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
  const news = new CarrierNews(podTitle(options.name), log)
  const carrier = new Connection({ path: options.socket, onEvent: news.hear })
  const connecting = carrier.run(signal)
  const corefileProblems = new InputTable<Rejection>('Corefile')
  corefileProblems.markSynced()
  const problems = union('problems of the pod', [corefileProblems, news.problems])
  const metrics = new Metrics()
  const counted = dnsMetrics(metrics)
  const parts = { counted, carrier, observer, log, signal, name: options.name, problems }
  let service: DnsService | null = null
  let read: CorefileReport = { digest: null, error: null }
  const shown = { options, service: () => service, corefile: () => read, carrier, metrics, problems, observer, log }
  const status = await serveDnsStatus(shown)
  const corefile = new CorefileWatcher(resolve(options.corefile), disk, systemClock, Math.random)
  log.info('DNS controller started', { name: options.name, version, corefile: options.corefile })
  for await (const reading of corefile.readings(signal)) {
    const given = await waysOf(reading, service, options)
    if ('again' in given) corefile.again()
    corefileProblems.replace(problemsOf(given, options, { problems: corefileProblems, log, counted }))
    read =
      'problems' in given
        ? { ...read, error: sentence(given.problems[0]!) }
        : { digest: given.configuration.digest, error: null }
    if ('problems' in given) continue
    const servers = bindLocal(given.configuration.servers, options.localip)
    const configuration = { ...given.configuration, servers }
    if (service?.follow(configuration)) continue
    await service?.end()
    service = new DnsService(configuration, given.ways, options.stateDir, { ...parts, before: service })
  }
  if (!signal.aborted) await new Promise((done) => signal.addEventListener('abort', done, { once: true }))
  await service?.end()
  await connecting
  await status.close()
  log.info('DNS controller ended; the carrier answers on', { name: options.name })
}

/** A Corefile, and how the clusters are reached that it is about. `again`: what is wrong may be mended elsewhere. */
type Given =
  | { readonly configuration: Configuration; readonly ways: Ways }
  | { readonly problems: readonly Problem[]; readonly again?: true }

/** Throws when there never was a way to a cluster: whoever started this process sees it at once, and starts it again. */
async function waysOf(reading: Reading, before: DnsService | null, options: DnsOptions): Promise<Given> {
  if ('problems' in reading) return reading
  const { configuration } = reading
  try {
    return { configuration, ways: await findWays(configuration.kubernetes, options) }
  } catch (error) {
    if (!(error instanceof Failure) || before === null) throw error
    const problem = `kubernetes has no way to a cluster: ${error.message}`
    const at = { file: resolve(options.corefile), line: 1, column: 1 }
    return { problems: [{ ...at, problem, remedy: 'it is tried again as `reload` says' }], again: true }
  }
}

/** What was in force stays while a Corefile is wrong. */
function problemsOf(
  given: Given,
  { name }: DnsOptions,
  { problems, log, counted }: { problems: Readable<Rejection>; log: Log; counted: DnsMetrics },
): readonly [string, Rejection][] {
  const told = new Set([...problems.entries()].map(([, each]) => each.problem))
  const isWrong = 'problems' in given
  if (isWrong) counted.reloadFailed()
  else counted.inForce(given.configuration.digest)
  const all = isWrong ? given.problems : given.configuration.warnings
  for (const each of all) {
    if ('again' in given && told.has(each.problem)) continue
    if (isWrong) log.error('the Corefile cannot be used: what was in force stays', { problem: sentence(each) })
    else log.warn('the Corefile', { problem: sentence(each) })
  }
  const object = podTitle(name)
  return all.map((each, i) => [
    `Corefile ${i}`,
    { object, field: `${each.file}:${each.line}:${each.column}`, problem: each.problem, remedy: each.remedy },
  ])
}
