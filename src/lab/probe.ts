/**
 * Startup, readiness and liveness of one container. periodSeconds, thresholds and timeouts are the API's. Two liberties,
 * so that a lab is up in seconds: initialDelaySeconds counts as 0 unless asked for, and until the first success startup
 * and readiness are also tried in between (such early failures are not counted).
 */
import { setTimeout as pause } from 'node:timers/promises'
import { describe, exec } from '../kernel/exec.ts'
import { askHttps } from './https.ts'
import { portOf, type ContainerSpec, type Handler, type ProbeSpec } from './podspec.ts'
import type { ProbeAnswer, Prober } from './prober.ts'
import { CARRIER } from './program.ts'

export interface ProbeSubject {
  readonly container: ContainerSpec
  /** Address the kubelet probes: the pod's, or the node's for pods of the host network. */
  readonly host: string
  readonly enter: readonly [string, ...string[]]
  readonly prober: Prober
  readonly withDelays: boolean
  /** Of the container's process; 0 when it has ended. */
  pid(): number
}

export interface ProbeEvents {
  started(): void
  ready(isReady: boolean, detail: string): void
  /** The container must be restarted. */
  failed(which: 'startup' | 'liveness', detail: string): void
}

/** Runs until `signal`; liveness and startup until `ending`, readiness goes on through termination (KEP-1669). */
export function watchHealth(
  subject: ProbeSubject,
  events: ProbeEvents,
  signal: AbortSignal,
  ending: AbortSignal,
): void {
  const { startupProbe, readinessProbe, livenessProbe } = subject.container
  const alive = AbortSignal.any([signal, ending])
  const afterStart = (): void => {
    events.started()
    if (readinessProbe) repeat(readinessProbe, subject, signal, true, (ok, detail) => (events.ready(ok, detail), false))
    else events.ready(true, '')
    if (livenessProbe)
      repeat(livenessProbe, subject, alive, false, (ok, detail) => (ok || events.failed('liveness', detail), !ok))
  }
  if (startupProbe === undefined) return afterStart()
  repeat(startupProbe, subject, alive, true, (ok, detail) => {
    if (ok) afterStart()
    else events.failed('startup', detail)
    return true
  })
}

/** Carries out a probe or a lifecycle handler once. Never rejects. */
export async function handle(handler: Handler, subject: ProbeSubject, timeoutMs: number): Promise<ProbeAnswer> {
  const { container, host, prober } = subject
  if (handler.exec) {
    const pid = subject.pid()
    if (pid === 0) return { ok: false, detail: 'the container is not running' }
    const command = [
      ...subject.enter,
      CARRIER,
      'enter',
      '--pid',
      String(pid),
      '--',
      ...(handler.exec.command ?? []),
    ] as const
    const result = await exec([...command] as [string, ...string[]], { timeoutMs })
    return result.kind === 'done' ? { ok: true, detail: '' } : { ok: false, detail: describe(result) }
  }
  if (handler.httpGet) {
    const { path = '/', port, scheme = 'HTTP', httpHeaders = [] } = handler.httpGet
    const number = portOf(container, port)
    if (number === null) return { ok: false, detail: `no port of the container is named ${port}` }
    const headers = Object.fromEntries(httpHeaders.map(({ name, value }) => [name, value]))
    const target = { host: handler.httpGet.host ?? host, port: number, path, scheme: scheme.toLowerCase() }
    const request = { type: 'http', ...target, headers, timeoutMs } as const
    return target.scheme === 'https' ? askHttps(subject.enter, request) : prober.ask(request)
  }
  if (handler.tcpSocket) {
    const number = portOf(container, handler.tcpSocket.port)
    if (number === null) return { ok: false, detail: `no port of the container is named ${handler.tcpSocket.port}` }
    return prober.ask({ type: 'tcp', host: handler.tcpSocket.host ?? host, port: number, timeoutMs })
  }
  if (handler.grpc) {
    const { port, service = '' } = handler.grpc
    return prober.ask({ type: 'grpc', host, port, service, timeoutMs })
  }
  if (handler.sleep) await pause(Math.min(handler.sleep.seconds * 1000, timeoutMs))
  return { ok: true, detail: '' }
}

/** `tell` hears every change of mind (threshold reached), and each further one; it answers whether to stop. */
function repeat(
  spec: ProbeSpec,
  subject: ProbeSubject,
  signal: AbortSignal,
  eager: boolean,
  tell: (ok: boolean, detail: string) => boolean,
): void {
  const periodMs = (spec.periodSeconds ?? 10) * 1000
  const timeoutMs = (spec.timeoutSeconds ?? 1) * 1000
  const delayMs = (spec.initialDelaySeconds ?? 0) * 1000
  const needed = { ok: spec.successThreshold ?? 1, failed: spec.failureThreshold ?? 3 }
  const loop = async (): Promise<void> => {
    if (subject.withDelays && delayMs > 0) await pause(delayMs, undefined, { signal })
    else if (!eager) await pause(periodMs, undefined, { signal })
    let known: boolean | null = null
    let run = { ok: true, length: 0 }
    let countedMs = -Infinity
    for (let early = EARLY_MS; ;) {
      const { ok, detail } = await handle(spec, subject, timeoutMs)
      if (signal.aborted) return
      const isEarly = eager && !subject.withDelays && known === null
      const nowMs = performance.now()
      if (ok || !isEarly || nowMs - countedMs >= periodMs) {
        run = { ok, length: run.ok === ok ? run.length + 1 : 1 }
        countedMs = nowMs
      }
      if (run.ok === ok && run.length >= (ok ? needed.ok : needed.failed) && known !== ok) {
        known = ok
        if (tell(ok, detail)) return
      }
      await pause(isEarly && !ok ? Math.min(early, periodMs) : periodMs, undefined, { signal })
      early = Math.min(early * 2, periodMs)
    }
  }
  loop().catch((error: unknown) => {
    if (!signal.aborted) throw error
  })
}

const EARLY_MS = 20
