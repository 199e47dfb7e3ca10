/** Runs one pod on its node, from its network namespace to its last container's end, and tells its status. */
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { ApiObject } from './api/object.ts'
import type { Store } from './api/store.ts'
import { Container, now, workOf, type Box, type Ended } from './container.ts'
import { environmentOf } from './env.ts'
import type { HostsFiles } from './hostsfiles.ts'
import type { Limit } from './limit.ts'
import { BoundedLog } from './log.ts'
import type { LabNode } from './node.ts'
import { specOf, type ContainerSpec } from './podspec.ts'
import { statusOf, type ContainerView, type PodView } from './podstatus.ts'
import { handle, watchHealth, type ProbeSubject } from './probe.ts'
import { makeSandbox, type Sandbox } from './sandbox.ts'

/** What a pod's runner needs of the lab around it. */
export interface Surroundings {
  readonly store: Store
  readonly place: string
  readonly node: LabNode
  readonly hosts: HostsFiles
  readonly withProbeDelays: boolean
  /** How many pods are set up at once. */
  readonly setUps: Limit
  /** Pods with init containers start after it. */
  readonly calm: Promise<unknown>
  /** The status of this pod changed. */
  changed(runner: PodRunner): void
  event(pod: ApiObject, type: 'Normal' | 'Warning', reason: string, message: string): void
}

type MutableView = { -readonly [F in keyof PodView]: PodView[F] }

export class PodRunner {
  #pod: ApiObject
  readonly #around: Surroundings
  readonly #view: MutableView
  readonly #running = new Map<ContainerView, Container>()
  readonly #keeping: Promise<void>[] = []
  /** Deletion has begun. */
  readonly #ending = new AbortController()
  #sandbox: Sandbox | null = null
  #hostsPath = ''
  #termination: Promise<void> | null = null
  #killTimer: NodeJS.Timeout | undefined
  #setUp: Promise<void> = Promise.resolve()

  constructor(pod: ApiObject, around: Surroundings) {
    this.#pod = pod
    this.#around = around
    const { initContainers = [], containers } = specOf(pod)
    const { ipv4, ipv6 } = around.node.plan
    this.#view = {
      startTime: now(),
      hostIPs: [ipv4, ipv6],
      ips: [],
      hasSandbox: false,
      isInitialized: initContainers.length === 0,
      containers: [
        ...initContainers.map((spec) => viewOf(spec, true)),
        ...containers.map((spec) => viewOf(spec, false)),
      ],
    }
  }

  get pod(): ApiObject {
    return this.#pod
  }

  get cniMs(): number {
    return this.#sandbox?.cniMs ?? 0
  }

  /** PodStatus now. */
  status(): Record<string, unknown> {
    return statusOf(this.#pod, this.#view, now())
  }

  /** Process that holds the named container (default: the first that runs), in the lab's numbers; 0: none runs. */
  pidOf(containerName?: string): number {
    for (const [view, container] of this.#running)
      if (containerName === undefined ? !view.isInit : view.spec.name === containerName) return container.pid
    return 0
  }

  log(containerName?: string): BoundedLog {
    const name = containerName ?? specOf(this.#pod).containers[0]!.name
    const { namespace = 'default', name: pod } = this.#pod.metadata
    return new BoundedLog(join(this.#around.place, 'logs', 'pods', `${namespace}_${pod}_${name}.log`))
  }

  start(): void {
    this.#setUp = this.#run().catch((error: unknown) => {
      if (!this.#ending.signal.aborted) throw error
    })
  }

  /** A newer state of the object; a deletionTimestamp begins the end. `isGone`: it is no longer in the store. */
  update(pod: ApiObject, isGone: boolean): void {
    this.#pod = pod
    const seconds = isGone ? 0 : pod.metadata.deletionGracePeriodSeconds
    if (!isGone && pod.metadata.deletionTimestamp === undefined) return
    this.#armKill((seconds ?? 30) * 1000)
    this.#termination ??= this.#terminate((seconds ?? 30) * 1000)
  }

  async #run(): Promise<void> {
    const { initContainers = [], containers } = specOf(this.#pod)
    this.#around.changed(this)
    if (initContainers.length > 0) await Promise.race([this.#around.calm, aborted(this.#ending.signal)])
    if (!(await this.#makeSandbox())) return
    for (const view of this.#view.containers.filter(({ isInit }) => isInit)) {
      if (view.spec.restartPolicy === 'Always') await this.#startSidecar(view)
      else if (!(await this.#initialize(view))) return
    }
    this.#view.isInitialized = true
    for (const view of this.#view.containers.slice(-containers.length)) this.#keeping.push(this.#keep(view, () => {}))
    this.#around.changed(this)
  }

  async #makeSandbox(): Promise<boolean> {
    const { signal } = this.#ending
    for (let waitMs = 200; !signal.aborted; waitMs = Math.min(waitMs * 2, BACKOFF_MAX_MS)) {
      const answer = await this.#around.setUps.run(() => makeSandbox(this.#around.node, this.#pod))
      if (answer.kind === 'done') {
        this.#sandbox = answer.sandbox
        this.#view.hasSandbox = true
        this.#view.ips = answer.sandbox.ips
        this.#hostsPath = this.#around.hosts.add(this.#pod, answer.sandbox.ips)
        return !signal.aborted
      }
      this.#around.event(this.#pod, 'Warning', 'FailedCreatePodSandBox', answer.reason)
      await pause(waitMs, undefined, { signal })
    }
    return false
  }

  /** An init container runs to its end before the next begins. False: the pod has failed or is ending. */
  async #initialize(view: ContainerView): Promise<boolean> {
    const work = workOf(view.spec, PATH)
    if (work.kind !== 'command') {
      const program = view.spec.command?.[0] ?? view.spec.image ?? ''
      const message = `init container ${view.spec.name} skipped: ${program} is not on this machine`
      this.#around.event(this.#pod, 'Warning', 'InitContainerSkipped', message)
      view.state = { ...over(now(), { exitCode: 0, detail: message, finishedAt: now() }), reason: 'Skipped' }
      view.ready = true
      return true
    }
    await this.#keep(view, () => {})
    return view.state.kind === 'terminated' && view.state.exitCode === 0
  }

  async #startSidecar(view: ContainerView): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#keeping.push(this.#keep(view, resolve))
    await Promise.race([promise, aborted(this.#ending.signal)])
  }

  /** Starts a container, again and again as its restart policy says, until it is done or the pod ends. */
  async #keep(view: ContainerView, onStarted: () => void): Promise<void> {
    const { signal } = this.#ending
    const policy = view.spec.restartPolicy ?? specOf(this.#pod).restartPolicy ?? 'Always'
    for (let waitMs = BACKOFF_MIN_MS; !signal.aborted;) {
      const startedMs = performance.now()
      const ended = await this.#runOnce(view, onStarted)
      if (ended !== null && signal.aborted) return
      const wantsMore = view.isInit && view.spec.restartPolicy !== 'Always' ? 'OnFailure' : policy
      if (ended !== null && (policy === 'Never' || (wantsMore === 'OnFailure' && ended.exitCode === 0))) return
      if (performance.now() - startedMs > RAN_WELL_MS) waitMs = BACKOFF_MIN_MS
      if (ended !== null && view.state.kind === 'terminated') {
        view.last = view.state
        const message = `back-off ${waitMs / 1000} s restarting failed container=${view.spec.name}`
        view.state = { kind: 'waiting', reason: 'CrashLoopBackOff', message }
        this.#around.changed(this)
      }
      await pause(waitMs, undefined, { signal }).catch(() => {})
      if (ended !== null && !signal.aborted) view.restarts++
      waitMs = Math.min(waitMs * 2, BACKOFF_MAX_MS)
    }
  }

  /** Null: it could not be started; the view says why. */
  async #runOnce(view: ContainerView, onStarted: () => void): Promise<Ended | null> {
    const { spec } = view
    const environment = this.#environment(spec)
    if (environment.kind === 'failed') {
      view.state = { kind: 'waiting', reason: 'CreateContainerConfigError', message: environment.reason }
      this.#around.event(this.#pod, 'Warning', 'Failed', environment.reason)
      this.#around.changed(this)
      return null
    }
    const work = workOf(spec, environment.env['PATH'] ?? PATH)
    if (view.restarts === 0) this.#around.event(this.#pod, 'Normal', 'Started', `container ${spec.name} ${work.detail}`)
    const container = new Container(work, this.#box(), environment.env, spec.workingDir, this.log(spec.name))
    this.#running.set(view, container)
    view.state = { kind: 'running', startedAt: container.startedAt }
    const stop = new AbortController()
    const subject = this.#subject(view, container)
    if (spec.lifecycle?.postStart) await handle(spec.lifecycle.postStart, subject, POST_START_MAX_MS)
    if (view.isInit && spec.restartPolicy !== 'Always') this.#around.changed(this)
    else this.#watch(view, container, subject, stop.signal, onStarted)
    const ended = await container.ended
    stop.abort()
    this.#running.delete(view)
    view.state = over(container.startedAt, ended)
    view.started = false
    view.ready = view.isInit && ended.exitCode === 0
    this.#around.changed(this)
    return ended
  }

  #watch(
    view: ContainerView,
    container: Container,
    subject: ProbeSubject,
    signal: AbortSignal,
    onStarted: () => void,
  ): void {
    const changed = (): void => this.#around.changed(this)
    const events = {
      started: () => {
        view.started = true
        onStarted()
        changed()
      },
      ready: (isReady: boolean, detail: string) => {
        if (view.ready && !isReady)
          this.#around.event(this.#pod, 'Warning', 'Unhealthy', `readiness probe failed: ${detail}`)
        view.ready = isReady
        changed()
      },
      failed: (which: string, detail: string) => {
        const message = `container ${view.spec.name} failed its ${which} probe and is restarted: ${detail}`
        this.#around.event(this.#pod, 'Warning', 'Unhealthy', message)
        container.signal('SIGTERM')
        const graceMs = (specOf(this.#pod).terminationGracePeriodSeconds ?? 30) * 1000
        const timer = setTimeout(() => container.signal('SIGKILL'), graceMs)
        void container.ended.then(() => clearTimeout(timer))
      },
    }
    watchHealth(subject, events, signal, this.#ending.signal)
  }

  /** preStop, SIGTERM, the rest of the grace period, SIGKILL, CNI DEL, and the object's last deletion. */
  async #terminate(graceMs: number): Promise<void> {
    this.#ending.abort()
    this.#around.changed(this)
    const isForced = graceMs === 0
    await Promise.all(
      [...this.#running].map(async ([view, container]) => {
        const { preStop } = view.spec.lifecycle ?? {}
        const deadline = pause(graceMs, undefined, { ref: false })
        if (preStop && !isForced)
          await Promise.race([handle(preStop, this.#subject(view, container), graceMs), deadline])
        container.signal(isForced ? 'SIGKILL' : 'SIGTERM')
      }),
    )
    await this.#setUp // one that was just starting is told as well
    for (const container of this.#running.values()) container.signal(isForced ? 'SIGKILL' : 'SIGTERM')
    await Promise.all(this.#keeping)
    clearTimeout(this.#killTimer)
    await this.#sandbox?.remove()
    this.#around.hosts.remove(this.#pod)
    const { namespace = '', name, uid } = this.#pod.metadata
    this.#around.store.delete({ resource: 'pods', namespace, name }, { graceSeconds: 0, uid })
  }

  #armKill(ms: number): void {
    clearTimeout(this.#killTimer)
    this.#killTimer = setTimeout(() => {
      for (const container of this.#running.values()) container.signal('SIGKILL')
    }, ms)
  }

  #environment(spec: ContainerSpec): ReturnType<typeof environmentOf> {
    const { node, store } = this.#around
    const { namespace = 'default' } = this.#pod.metadata
    return environmentOf(spec, {
      pod: this.#pod,
      nodeName: node.plan.name,
      hostIP: node.plan.ipv4,
      podIPs: this.#view.ips,
      read: (resource, name) => {
        const object = store.get(resource, namespace, name)
        if (object === undefined) return undefined
        const secret = Object.entries((object['data'] ?? {}) as Record<string, string>)
        if (resource === 'configmaps') return object['data'] ?? {}
        return Object.fromEntries([
          ...secret.map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]),
          ...Object.entries(object['stringData'] ?? {}),
        ]) as Record<string, string>
      },
    })
  }

  #box(): Box {
    const { node } = this.#around
    const spec = specOf(this.#pod)
    return {
      enter: node.enter,
      netns: this.#sandbox!.netns,
      hostname: spec.hostNetwork ? node.plan.name : (spec.hostname ?? this.#pod.metadata.name).slice(0, HOSTNAME_MAX),
      hosts: this.#hostsPath,
      resolv: '/run/resolv.conf',
    }
  }

  #subject(view: ContainerView, container: Container): ProbeSubject {
    const { node, withProbeDelays } = this.#around
    const [host = ''] = this.#view.ips
    return {
      container: view.spec,
      host,
      enter: node.enter,
      prober: node.prober,
      withDelays: withProbeDelays,
      pid: () => container.pid,
    }
  }
}

function viewOf(spec: ContainerSpec, isInit: boolean): ContainerView {
  const reason = isInit ? 'PodInitializing' : 'ContainerCreating'
  const state = { kind: 'waiting', reason, message: '' } as const
  return { spec, isInit, state, last: null, restarts: 0, started: false, ready: false }
}

function over(
  startedAt: string,
  { exitCode, detail, finishedAt }: Ended,
): ContainerView['state'] & { kind: 'terminated' } {
  const reason = exitCode === 0 ? 'Completed' : 'Error'
  return { kind: 'terminated', exitCode, reason, message: exitCode === 0 ? '' : detail, startedAt, finishedAt }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

const PATH = process.env['PATH'] ?? ''
// As kubernetes with ReduceDefaultCrashLoopBackOffDecay (KEP-4603).
const BACKOFF_MIN_MS = 1000
const BACKOFF_MAX_MS = 60_000
const RAN_WELL_MS = 600_000
const POST_START_MAX_MS = 60_000
/** HOST_NAME_MAX is 64 with the final zero byte; kubelet cuts at 63. */
const HOSTNAME_MAX = 63
