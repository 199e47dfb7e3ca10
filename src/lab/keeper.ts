/** Keeps one container of a pod: starts it, probes it, restarts it as its policy says, ends it. */
import { setTimeout as pause } from 'node:timers/promises'
import { Container, now, workOf, type Box, type Ended } from './container.ts'
import { WORKDIR, type Environment } from './env.ts'
import type { BoundedLog } from './log.ts'
import type { LabNode } from './node.ts'
import type { ContainerSpec } from './podspec.ts'
import type { ContainerView } from './podstatus.ts'
import { handle, watchHealth, type ProbeSubject } from './probe.ts'
import type { Shown } from './volumes.ts'

/** What a container needs of its pod. */
export interface Berth {
  readonly node: LabNode
  readonly restartPolicy: 'Always' | 'OnFailure' | 'Never'
  readonly graceMs: number
  readonly withProbeDelays: boolean
  /** Aborted when the pod's deletion begins: from then on nothing is started. */
  readonly ending: AbortSignal
  /** Address for probes. */
  host(): string
  box(): Omit<Box, 'binds'>
  volumes(spec: ContainerSpec): Shown
  environment(spec: ContainerSpec): Environment
  changed(): void
  event(type: 'Normal' | 'Warning', reason: string, message: string): void
}

export class ContainerKeeper {
  readonly view: ContainerView
  readonly log: BoundedLog
  readonly #berth: Berth
  readonly #started = Promise.withResolvers<void>()
  #container: Container | null = null

  constructor(spec: ContainerSpec, isInit: boolean, berth: Berth, log: BoundedLog) {
    const reason = isInit ? 'PodInitializing' : 'ContainerCreating'
    const state = { kind: 'waiting', reason, message: '' } as const
    this.view = { spec, isInit, state, last: null, restarts: 0, started: false, ready: false }
    this.#berth = berth
    this.log = log
  }

  /** Of the process that holds the container; 0: it does not run. */
  get pid(): number {
    return this.#container?.pid ?? 0
  }

  /** When it has started for the first time (its startup probe, if any, has succeeded). */
  get started(): Promise<void> {
    return this.#started.promise
  }

  /** Resolves when it is done for good, or the pod ends and it has ended. */
  async run(): Promise<void> {
    const { ending } = this.#berth
    let waitMs = 0 // the first restart is at once
    while (!ending.aborted) {
      const startMs = performance.now()
      const ended = await this.#runOnce()
      if (ending.aborted || (ended !== null && !this.#wantsMore(ended))) return
      if (performance.now() - startMs > RAN_WELL_MS) waitMs = 0
      if (ended !== null) this.#backOff(waitMs)
      await pause(ended === null ? Math.max(waitMs, BACKOFF_MIN_MS) : waitMs, undefined, { signal: ending }).catch(
        () => {},
      )
      if (ended !== null && !ending.aborted) this.view.restarts++
      waitMs = Math.min(Math.max(waitMs * 2, BACKOFF_MIN_MS), BACKOFF_MAX_MS)
    }
  }

  /** preStop and SIGTERM; who asks sees to the rest of the grace period. */
  async stop(graceMs: number): Promise<void> {
    const container = this.#container
    const { preStop } = this.view.spec.lifecycle ?? {}
    if (container === null) return
    if (preStop) {
      const deadline = pause(graceMs, undefined, { ref: false })
      const answer = await Promise.race([handle(preStop, this.#subject(container), graceMs), deadline])
      if (answer && !answer.ok) this.#berth.event('Warning', 'FailedPreStopHook', answer.detail)
    }
    container.signal('SIGTERM')
  }

  kill(): void {
    this.#container?.signal('SIGKILL')
  }

  #wantsMore({ exitCode }: Ended): boolean {
    const { spec, isInit } = this.view
    if (spec.restartPolicy === 'Always') return true // a sidecar
    const { restartPolicy } = this.#berth
    // An init container runs until it has succeeded once, unless the pod's policy is Never.
    return restartPolicy !== 'Never' && (exitCode !== 0 || (restartPolicy === 'Always' && !isInit))
  }

  #backOff(waitMs: number): void {
    const { view } = this
    if (view.state.kind !== 'terminated') return
    const message = `back-off ${waitMs / 1000} s restarting container ${view.spec.name}`
    view.last = view.state
    view.state = { kind: 'waiting', reason: 'CrashLoopBackOff', message }
    this.#berth.changed()
  }

  /** Null: it could not be started; the view says why. */
  async #runOnce(): Promise<Ended | null> {
    const { view } = this
    const berth = this.#berth
    const environment = berth.environment(view.spec)
    if (environment.kind === 'failed') return this.#cannotStart(environment.reason)
    const volumes = berth.volumes(view.spec)
    if (volumes.kind === 'failed') return this.#cannotStart(volumes.reason)
    const work = workOf(view.spec, environment.env)
    if (view.restarts === 0) {
      berth.event('Normal', 'Started', `container ${view.spec.name} ${work.detail}`)
      if (work.kind === 'command') for (const why of volumes.left) berth.event('Warning', 'VolumeNotShown', why)
    }
    // A stand-in reads none of them.
    const box = { ...berth.box(), binds: work.kind === 'command' ? volumes.binds : [] }
    const container = new Container(work, box, environment.env, view.spec.workingDir ?? WORKDIR, this.log)
    this.#container = container
    view.state = { kind: 'running', startedAt: container.startedAt }
    berth.changed()
    const over = new AbortController()
    await this.#watch(container, over.signal)
    const ended = await container.ended
    over.abort()
    this.#container = null
    const { exitCode, detail, finishedAt } = ended
    const reason = exitCode === 0 ? 'Completed' : 'Error'
    const message = exitCode === 0 ? '' : detail
    view.state = { kind: 'terminated', exitCode, reason, message, startedAt: container.startedAt, finishedAt }
    view.started = false
    view.ready = view.isInit && exitCode === 0
    berth.changed()
    return ended
  }

  #cannotStart(why: string): null {
    this.view.state = { kind: 'waiting', reason: 'CreateContainerConfigError', message: why }
    this.#berth.event('Warning', 'Failed', why)
    this.#berth.changed()
    return null
  }

  async #watch(container: Container, over: AbortSignal): Promise<void> {
    const { view } = this
    const { lifecycle, restartPolicy } = view.spec
    const subject = this.#subject(container)
    if (lifecycle?.postStart) await handle(lifecycle.postStart, subject, POST_START_MAX_MS)
    if (view.isInit && restartPolicy !== 'Always') return // runs to its end: no probes
    const started = (): void => {
      view.started = true
      this.#started.resolve()
      this.#berth.changed()
    }
    const ready = (isReady: boolean, detail: string): void => {
      if (view.ready && !isReady) this.#berth.event('Warning', 'Unhealthy', `readiness probe failed: ${detail}`)
      view.ready = isReady
      this.#berth.changed()
    }
    const failed = (which: string, detail: string): void => {
      const message = `container ${view.spec.name} failed its ${which} probe and is restarted: ${detail}`
      this.#berth.event('Warning', 'Unhealthy', message)
      container.signal('SIGTERM')
      const timer = setTimeout(() => container.signal('SIGKILL'), this.#berth.graceMs)
      void container.ended.then(() => clearTimeout(timer))
    }
    watchHealth(subject, { started, ready, failed }, over, this.#berth.ending)
  }

  #subject(container: Container): ProbeSubject {
    const { node, withProbeDelays } = this.#berth
    const { enter, prober } = node
    const { spec } = this.view
    return {
      container: spec,
      host: this.#berth.host(),
      enter,
      prober,
      withDelays: withProbeDelays,
      pid: () => container.pid,
    }
  }
}

/** Marks an init container that cannot run here as done, saying so. */
export function skip({ view }: ContainerKeeper, message: string): void {
  view.state = { kind: 'terminated', exitCode: 0, reason: 'Skipped', message, startedAt: now(), finishedAt: now() }
  view.ready = true
}

// As kubernetes with ReduceDefaultCrashLoopBackOffDecay (KEP-4603).
const BACKOFF_MIN_MS = 1000
const BACKOFF_MAX_MS = 60_000
const RAN_WELL_MS = 600_000
const POST_START_MAX_MS = 60_000
