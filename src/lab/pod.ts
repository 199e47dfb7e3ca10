/** Runs one pod on its node, from its network namespace to its last container's end, and tells its status. */
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import type { ApiObject, Fields } from './api/object.ts'
import type { Store } from './api/store.ts'
import { now, workOf, type Box } from './container.ts'
import { environmentOf, type Environment } from './env.ts'
import { ContainerKeeper, skip, type Berth } from './keeper.ts'
import type { Limit } from './limit.ts'
import { BoundedLog } from './log.ts'
import type { LabNode } from './node.ts'
import type { PodFiles } from './podfiles.ts'
import { specOf, type ContainerSpec } from './podspec.ts'
import { statusOf } from './podstatus.ts'
import { makeSandbox, type Sandbox } from './sandbox.ts'
import { Volumes } from './volumes.ts'

/** What a pod's runner needs of the lab around it. */
export interface Surroundings {
  readonly store: Store
  readonly place: string
  readonly node: LabNode
  readonly files: PodFiles
  readonly withProbeDelays: boolean
  /** How many pods are set up at once. */
  readonly setUps: Limit
  /** Pods with init containers start after it. */
  readonly calm: Promise<unknown>
  /** The status of this pod changed. */
  changed(runner: PodRunner): void
  event(pod: ApiObject, type: 'Normal' | 'Warning', reason: string, message: string): void
}

export class PodRunner {
  #pod: ApiObject
  readonly #around: Surroundings
  readonly #startTime = now()
  readonly #inits: readonly ContainerKeeper[]
  readonly #mains: readonly ContainerKeeper[]
  readonly #volumes: Volumes
  readonly #running: Promise<void>[] = []
  /** Aborted when deletion begins. */
  readonly #ending = new AbortController()
  #sandbox: Sandbox | null = null
  #files = ''
  #isInitialized: boolean
  #setUp: Promise<void> = Promise.resolve()
  #isEnding = false
  #killTimer: NodeJS.Timeout | undefined

  constructor(pod: ApiObject, around: Surroundings) {
    this.#pod = pod
    this.#around = around
    this.#volumes = new Volumes(pod, around.store, around.place)
    const { initContainers = [], containers } = specOf(pod)
    const berth = this.#berth()
    const keep = (spec: ContainerSpec, isInit: boolean): ContainerKeeper =>
      new ContainerKeeper(spec, isInit, berth, this.#log(spec.name))
    this.#inits = initContainers.map((spec) => keep(spec, true))
    this.#mains = containers.map((spec) => keep(spec, false))
    this.#isInitialized = initContainers.length === 0
  }

  get pod(): ApiObject {
    return this.#pod
  }

  get cniMs(): number {
    return this.#sandbox?.cniMs ?? 0
  }

  /** PodStatus now. */
  status(): Fields {
    const { ipv4, ipv6 } = this.#around.node.plan
    const view = {
      startTime: this.#startTime,
      hostIPs: [ipv4, ipv6],
      ips: this.#sandbox?.ips ?? [],
      hasSandbox: this.#sandbox !== null,
      isInitialized: this.#isInitialized,
      containers: [...this.#inits, ...this.#mains].map((keeper) => keeper.view),
    }
    return statusOf(this.#pod, view, now())
  }

  /** Process that holds the named container (default: the first that runs), in the lab's numbers; 0: none runs. */
  pidOf(containerName?: string): number {
    const candidates =
      containerName === undefined
        ? this.#mains
        : [...this.#inits, ...this.#mains].filter(({ view }) => view.spec.name === containerName)
    return candidates.find(({ pid }) => pid !== 0)?.pid ?? 0
  }

  start(): void {
    this.#setUp = this.#run().catch((error: unknown) => {
      if (!this.#ending.signal.aborted) throw error
    })
  }

  /** A newer state of the object; a deletionTimestamp begins the end. `isGone`: it is no longer in the store. */
  update(pod: ApiObject, isGone: boolean): void {
    this.#pod = pod
    if (!isGone && pod.metadata.deletionTimestamp === undefined) return
    const graceMs = isGone ? 0 : (pod.metadata.deletionGracePeriodSeconds ?? GRACE_SECONDS) * 1000
    clearTimeout(this.#killTimer)
    this.#killTimer = setTimeout(() => this.#kill(), graceMs)
    if (this.#isEnding) return
    this.#isEnding = true
    void this.#terminate(graceMs)
  }

  async #run(): Promise<void> {
    this.#around.changed(this)
    if (this.#inits.length > 0) await Promise.race([this.#around.calm, aborted(this.#ending.signal)])
    if (!(await this.#makeSandbox())) return
    for (const init of this.#inits) if (!(await this.#initialize(init))) return
    this.#isInitialized = true
    for (const main of this.#mains) this.#running.push(main.run())
  }

  async #makeSandbox(): Promise<boolean> {
    const { signal } = this.#ending
    const { setUps, node, files } = this.#around
    for (let waitMs = SANDBOX_RETRY_MS; !signal.aborted; waitMs = Math.min(waitMs * 2, SANDBOX_RETRY_MAX_MS)) {
      const answer = await setUps.run(() => makeSandbox(node, this.#pod))
      if (answer.kind === 'done') {
        this.#sandbox = answer.sandbox
        this.#files = files.add(this.#pod, answer.sandbox.ips)
        this.#around.changed(this)
        return !signal.aborted
      }
      this.#around.event(this.#pod, 'Warning', 'FailedCreatePodSandBox', answer.reason)
      await pause(waitMs, undefined, { signal })
    }
    return false
  }

  /** An init container runs to its end before the next begins, a sidecar only has to start. False: no further. */
  async #initialize(init: ContainerKeeper): Promise<boolean> {
    const { spec } = init.view
    const { signal } = this.#ending
    if (spec.restartPolicy === 'Always') {
      this.#running.push(init.run())
      await Promise.race([init.started, aborted(signal)])
      return !signal.aborted
    }
    if (workOf(spec, { PATH: process.env['PATH'] ?? '' }).kind !== 'command') {
      const program = spec.command?.[0] ?? spec.image ?? 'it'
      const message = `init container ${spec.name} skipped: ${program} is not on this machine`
      this.#around.event(this.#pod, 'Warning', 'InitContainerSkipped', message)
      skip(init, message)
      return true
    }
    await init.run()
    return !signal.aborted && init.view.ready
  }

  /** preStop, SIGTERM, the rest of the grace period, SIGKILL, CNI DEL, and the object's last deletion. */
  async #terminate(graceMs: number): Promise<void> {
    this.#ending.abort()
    this.#around.changed(this)
    const keepers = [...this.#inits, ...this.#mains]
    if (graceMs > 0) await Promise.all(keepers.map((keeper) => keeper.stop(graceMs)))
    else this.#kill()
    await this.#setUp
    await Promise.all(this.#running)
    clearTimeout(this.#killTimer)
    await this.#sandbox?.remove()
    this.#around.files.remove(this.#pod)
    this.#volumes.remove()
    const { namespace = '', name, uid } = this.#pod.metadata
    this.#around.store.delete({ resource: 'pods', namespace, name }, { graceSeconds: 0, uid })
  }

  #kill(): void {
    for (const keeper of [...this.#inits, ...this.#mains]) keeper.kill()
  }

  #log(container: string): BoundedLog {
    const { namespace = 'default', name } = this.#pod.metadata
    return new BoundedLog(join(this.#around.place, 'logs', 'pods', `${namespace}_${name}_${container}.log`))
  }

  #berth(): Berth {
    const { node, withProbeDelays } = this.#around
    const { restartPolicy = 'Always', terminationGracePeriodSeconds = GRACE_SECONDS } = specOf(this.#pod)
    return {
      node,
      restartPolicy,
      withProbeDelays,
      graceMs: terminationGracePeriodSeconds * 1000,
      ending: this.#ending.signal,
      host: () => this.#sandbox?.ips[0] ?? '',
      box: () => this.#box(),
      volumes: (spec) => this.#volumes.shownTo(spec),
      environment: (spec) => this.#environment(spec),
      changed: () => this.#around.changed(this),
      event: (type, reason, message) => this.#around.event(this.#pod, type, reason, message),
    }
  }

  #box(): Omit<Box, 'binds'> {
    const { node } = this.#around
    const { hostNetwork, hostname = this.#pod.metadata.name } = specOf(this.#pod)
    return {
      enter: node.enter,
      netns: this.#sandbox!.netns,
      hostname: hostNetwork ? node.plan.name : hostname.slice(0, HOSTNAME_MAX),
      files: this.#files,
    }
  }

  #environment(spec: ContainerSpec): Environment {
    const { node, store } = this.#around
    const { namespace = 'default' } = this.#pod.metadata
    return environmentOf(spec, {
      pod: this.#pod,
      nodeName: node.plan.name,
      hostIP: node.plan.ipv4,
      podIPs: this.#sandbox?.ips ?? [],
      read: (resource, name) => store.get(resource, namespace, name),
    })
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve()
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

const GRACE_SECONDS = 30
const SANDBOX_RETRY_MS = 200
const SANDBOX_RETRY_MAX_MS = 30_000
/** HOST_NAME_MAX is 64 with the final zero byte; kubelet cuts at 63. */
const HOSTNAME_MAX = 63
