/** Everything that runs inside the lab, put together: store, kubelets, agents, files. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { Agent } from './agent.ts'
import { Announcer } from './announce.ts'
import { applyObjects } from './api/apply.ts'
import { tell } from './api/event.ts'
import type { ApiObject } from './api/object.ts'
import type { Store } from './api/store.ts'
import { Authority } from './authority.ts'
import type { ControlAnswers, Entry } from './control.ts'
import { dnsObjects } from './dns.ts'
import { followFiles, makeControlPlane, type ControlPlane, type FollowedFiles } from './controlplane.ts'
import { Kubelet } from './kubelet.ts'
import { ingressObjects } from './ingress.ts'
import { Limit } from './limit.ts'
import { nodeObject, type LabNode } from './node.ts'
import { followNews } from './news.ts'
import type { LabOptions } from './outer.ts'
import { pageOf } from './page.ts'
import type { PodRunner } from './pod.ts'
import { authorityIn, dnsIn } from './place.ts'
import { PodFiles } from './podfiles.ts'
import { CARRIER } from './program.ts'
import { seconds, type Progress } from './progress.ts'
import { Publisher, type Published } from './publish.ts'
import { Readiness } from './readiness.ts'
import { targetOf } from './target.ts'

export class Cluster implements ControlAnswers {
  readonly store: Store
  readonly options: LabOptions
  readonly kubelets: Kubelet[] = []
  readonly #plane: ControlPlane
  readonly #progress: Progress
  readonly #readiness: Readiness
  #publisher: Publisher | null = null
  #files: FollowedFiles | null = null
  #nodes: readonly LabNode[] = []
  #agents: readonly Agent[] = []

  constructor(options: LabOptions, progress: Progress) {
    this.options = options
    this.#progress = progress
    const authority = new Authority()
    writeFileSync(authorityIn(options.place), authority.certificate)
    this.#plane = makeControlPlane(progress, authority)
    this.store = this.#plane.store
    this.#readiness = new Readiness(this.store)
  }

  /** Nodes join, files are applied, pods start. Resolves when the files are applied. */
  async start(nodes: readonly LabNode[]): Promise<void> {
    this.#nodes = nodes
    for (const node of nodes) this.store.create(nodeObject(node.plan))
    if (process.env['FAIRLEAD_LAB_NO_AGENT'] !== '1') this.#agents = nodes.map((node) => this.#startAgent(node))
    const calm = this.#readiness.calm.then(() => this.#programmed(PROGRAMMED_MAX_MS))
    const setUps = new Limit(SET_UPS_MAX)
    const files = new PodFiles(this.options)
    for (const node of nodes) {
      const { place, withProbeDelays } = this.options
      const event = (pod: ApiObject, type: 'Normal' | 'Warning', reason: string, message: string): void =>
        tell(this.store, pod, { type, reason, message, from: `kubelet, ${node.plan.name}` })
      this.kubelets.push(new Kubelet({ store: this.store, place, node, files, withProbeDelays, setUps, calm, event }))
    }
    const plans = nodes.map(({ plan }) => plan)
    new Announcer(this.store, plans, (problem) => this.#progress.warn(problem)).start()
    const addresses = plans.map(({ ipv4 }) => ipv4)
    this.#publisher = new Publisher(this.store, this.options.publish, addresses, (problem) =>
      this.#progress.warn(problem),
    )
    this.#publisher.start()
    this.#plane.start()
    mkdirSync(dnsIn(this.options.place), { recursive: true })
    applyObjects(this.store, [...dnsObjects(this.options)], { owner: 'dns' })
    applyObjects(this.store, [...ingressObjects(this.options)], { owner: 'ingress' })
    this.#files = followFiles(this.store, this.options.files, this.#progress)
    await this.#files.applied
  }

  /** Resolves when all that was asked for runs, or when that takes too long. */
  async settled(): Promise<void> {
    const startMs = performance.now()
    const standing = setInterval(() => this.#progress.standing(this.#readiness.standing()), STANDING_MS)
    const isReady = await this.#readiness.wait(READY_MAX_MS)
    clearInterval(standing)
    const pods = this.store.list('pods').length
    if (isReady) this.#progress.done(`${pods} pods ready${this.#cniTimes()}`, performance.now() - startMs)
    else
      this.#progress.warn(
        `not all is ready after ${seconds(performance.now() - startMs)}: ${this.#readiness.standing()}; see: fairlead get events`,
      )
    await this.#settleAgents()
  }

  /** From now on says what changes. */
  tellNews(): void {
    followNews(this.store, this.#progress)
  }

  enter(words: string, { namespace, container }: { namespace: string; container: string | undefined }): Entry {
    const target = targetOf(
      this.store,
      words,
      this.#nodes.map(({ plan }) => plan.name),
      namespace,
    )
    if (target.kind === 'unknown') return { kind: 'unknown', message: target.reason }
    if (target.kind === 'outside') return { kind: 'done', command: ['nsenter', '--net=/run/netns/outside', '--'] }
    if (target.kind === 'node') {
      const node = this.#nodes.find(({ plan }) => plan.name === target.name)!
      return { kind: 'done', command: node.enter }
    }
    const runner = this.#runner(target.pod)
    const pid = runner?.pidOf(container) ?? 0
    if (pid !== 0) return { kind: 'done', command: [CARRIER, 'enter', '--pid', String(pid), '--'] }
    const what = container === undefined ? 'no container that runs' : `no running container ${container}`
    return { kind: 'unknown', message: `pod ${target.pod.metadata.name} has ${what}; see: fairlead get pods` }
  }

  page(): string {
    return pageOf(this, this.#progress)
  }

  problems(): string[] {
    return this.#files?.problems() ?? []
  }

  /** Ports of the machine that lead into the cluster. */
  published(): Published[] {
    return this.#publisher?.published() ?? []
  }

  #runner(pod: ApiObject): PodRunner | undefined {
    return this.kubelets.map((kubelet) => kubelet.runner(pod.metadata.uid)).find((runner) => runner !== undefined)
  }

  async #settleAgents(): Promise<void> {
    if (this.#agents.length === 0) return
    const startMs = performance.now()
    if (await this.#programmed(PROGRAMMED_MAX_MS))
      this.#progress.done('every node has programmed its services', performance.now() - startMs)
    else this.#progress.warn('not every node has programmed its services; see: fairlead status')
  }

  /** All that the agents know is in the kernel of every node. */
  async #programmed(maxMs: number): Promise<boolean> {
    const settled = await Promise.all(this.#agents.map((agent) => agent.settled(maxMs)))
    return settled.every(Boolean)
  }

  #startAgent(node: LabNode): Agent {
    const { name } = node.plan
    return new Agent(node, this.options, (how) =>
      this.#progress.warn(`the agent of ${name} ended (${how}) and is started again; see: fairlead logs node/${name}`),
    )
  }

  #cniTimes(): string {
    const times = this.kubelets.flatMap((kubelet) => kubelet.cniTimes()).toSorted((a, b) => a - b)
    if (times.length === 0) return ''
    return ` (CNI ADD: median ${Math.round(times[times.length >> 1]!)} ms, most ${Math.round(times.at(-1)!)} ms)`
  }
}

/** Twice the cores of a small machine: half of a set-up is waiting for the kernel. */
const SET_UPS_MAX = 4
const STANDING_MS = 1000
/** Init containers often ask a Service once, then sleep for seconds: they start after its rules are in place, or this. */
const PROGRAMMED_MAX_MS = 10_000
const READY_MAX_MS = 90_000
