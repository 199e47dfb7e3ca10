/** The pods of one node: a runner for each, from the store's pods, and their status back into the store. */
import type { ApiObject } from './api/object.ts'
import type { Change } from './api/history.ts'
import { refOf, type Store } from './api/store.ts'
import type { LabNode } from './node.ts'
import { PodRunner, type Surroundings } from './pod.ts'
import { specOf } from './podspec.ts'

export class Kubelet {
  readonly node: LabNode
  readonly #store: Store
  readonly #around: Surroundings
  /** By uid. */
  readonly #runners = new Map<string, PodRunner>()
  readonly #news = new Map<string, { pod: ApiObject; isGone: boolean }>()
  readonly #changed = new Set<PodRunner>()
  #isDue = false

  constructor(around: Omit<Surroundings, 'changed'>) {
    this.node = around.node
    this.#store = around.store
    this.#around = { ...around, changed: (runner) => this.#mark(() => this.#changed.add(runner)) }
    this.#store.onChange((change) => this.#hear(change))
    for (const pod of this.#store.list('pods')) this.#hear({ type: 'ADDED', object: pod })
  }

  runner(uid: string): PodRunner | undefined {
    return this.#runners.get(uid)
  }

  /** What CNI ADD took for each pod that has a network of its own, in ms. */
  cniTimes(): number[] {
    return [...this.#runners.values()].map(({ cniMs }) => cniMs).filter((ms) => ms > 0)
  }

  /** Called within a commit: marks only. */
  #hear(change: Pick<Change, 'type' | 'object'>): void {
    const { object: pod, type } = change
    if (pod.kind !== 'Pod' || specOf(pod).nodeName !== this.node.plan.name) return
    this.#mark(() => this.#news.set(pod.metadata.uid, { pod, isGone: type === 'DELETED' }))
  }

  #mark(note: () => void): void {
    note()
    if (this.#isDue) return
    this.#isDue = true
    setImmediate(() => this.#act())
  }

  #act(): void {
    this.#isDue = false
    const news = [...this.#news]
    this.#news.clear()
    for (const [uid, { pod, isGone }] of news) this.#follow(uid, pod, isGone)
    const changed = [...this.#changed]
    this.#changed.clear()
    for (const runner of changed) this.#publish(runner)
  }

  #follow(uid: string, pod: ApiObject, isGone: boolean): void {
    const runner = this.#runners.get(uid)
    if (runner !== undefined) {
      runner.update(pod, isGone)
      if (isGone) this.#runners.delete(uid)
      return
    }
    if (isGone) return
    const { phase } = pod['status'] ?? {}
    if (phase === 'Succeeded' || phase === 'Failed') return
    const made = new PodRunner(pod, this.#around)
    this.#runners.set(uid, made)
    if (pod.metadata.deletionTimestamp === undefined) made.start()
    else made.update(pod, false)
  }

  #publish(runner: PodRunner): void {
    const current = this.#store.get('pods', runner.pod.metadata.namespace ?? '', runner.pod.metadata.name)
    if (current?.metadata.uid !== runner.pod.metadata.uid) return
    const outcome = this.#store.modify(refOf('pods', current), (next) => (next['status'] = runner.status()), 'status')
    if (!outcome.ok) throw new Error(`status of pod ${current.metadata.name}: ${outcome.failure.message}`)
  }
}
