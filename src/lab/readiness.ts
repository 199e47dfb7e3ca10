/** Whether all that was asked for runs: every workload has its pods, every pod is ready or has done its work. */
import type { ApiObject, Fields } from './api/object.ts'
import type { Store } from './api/store.ts'
import { isReady } from './target.ts'

export class Readiness {
  /** Resolves once all pods without init containers are ready: what scripts of init containers wait for is there then. */
  readonly calm: Promise<boolean>
  readonly #store: Store
  readonly #waiting = new Set<() => void>()
  #isDue = false

  constructor(store: Store) {
    this.#store = store
    store.onChange(() => {
      if (this.#isDue || this.#waiting.size === 0) return
      this.#isDue = true
      setImmediate(() => {
        this.#isDue = false
        for (const look of this.#waiting) look()
      })
    })
    this.calm = this.#until(() => this.#isCalm(), CALM_MAX_MS)
  }

  /** False: not within that time, or what is lacking has failed already. */
  async wait(maxMs: number): Promise<boolean> {
    await this.#until(() => this.#lacking().length === 0 || this.#isStuck(), maxMs)
    return this.#lacking().length === 0
  }

  /** For people: how far it is, and what it waits for. */
  standing(): string {
    const pods = this.#store.list('pods')
    const lacking = this.#lacking()
    const shown =
      lacking.slice(0, SHOWN).join(', ') + (lacking.length > SHOWN ? `, and ${lacking.length - SHOWN} more` : '')
    return `${pods.filter(isDone).length} of ${pods.length} pods ready; waiting for ${shown || 'nothing'}`
  }

  #until(isSo: () => boolean, maxMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const finish = (answer: boolean): void => {
        clearTimeout(timer)
        this.#waiting.delete(look)
        resolve(answer)
      }
      const look = (): void => {
        if (isSo()) finish(true)
      }
      const timer = setTimeout(() => finish(false), maxMs)
      this.#waiting.add(look)
      look()
    })
  }

  #isCalm(): boolean {
    const lacking = this.#workloads()
    const pods = this.#store.list('pods').filter((pod) => !pod['spec']?.initContainers?.length)
    return this.#store.list('pods').length > 0 && lacking.length === 0 && pods.every(isDone)
  }

  #lacking(): string[] {
    return [...this.#workloads(), ...this.#unready().map(why)]
  }

  /** All that is lacking is pods that have failed and are tried again: they may never be ready. */
  #isStuck(): boolean {
    return this.#workloads().length === 0 && this.#unready().every(hasFailed)
  }

  #unready(): ApiObject[] {
    return this.#store.list('pods').filter((pod) => !isDone(pod) && pod.metadata.deletionTimestamp === undefined)
  }

  /** Workloads that do not have all their pods yet. */
  #workloads(): string[] {
    return KINDS.flatMap(([resource, wanted, has]) =>
      this.#store
        .list(resource)
        .filter((object) => isBehind(object) || has(object) < wanted(object))
        .map((object) => `${object.kind} ${object.metadata.name}`),
    )
  }
}

function isBehind(object: ApiObject): boolean {
  return (object['status']?.observedGeneration ?? 0) < (object.metadata.generation ?? 1)
}

function isDone(pod: ApiObject): boolean {
  const { phase } = pod['status'] ?? {}
  const isJobs = pod.metadata.ownerReferences?.some(({ kind }) => kind === 'Job') === true
  return isReady(pod) || phase === 'Succeeded' || (isJobs && (phase === 'Running' || phase === 'Failed'))
}

function hasFailed(pod: ApiObject): boolean {
  return statusesOf(pod).some(
    ({ restartCount, state }) =>
      restartCount >= FAILED_RESTARTS || state?.waiting?.reason === 'CreateContainerConfigError',
  )
}

function statusesOf(pod: ApiObject): Fields[] {
  return [...(pod['status']?.initContainerStatuses ?? []), ...(pod['status']?.containerStatuses ?? [])]
}

function why(pod: ApiObject): string {
  const waiting = statusesOf(pod).find(({ ready }) => !ready)
  const reason =
    waiting?.['state']?.waiting?.reason ?? (waiting?.['state']?.running ? `${waiting['name']} not ready` : '')
  return pod.metadata.name + (reason ? ` (${reason})` : '')
}

type Count = (object: ApiObject) => number
const KINDS: readonly (readonly [string, Count, Count])[] = [
  ['deployments', (o) => o['spec']?.replicas ?? 1, (o) => o['status']?.replicas ?? 0],
  ['statefulsets', (o) => o['spec']?.replicas ?? 1, (o) => o['status']?.replicas ?? 0],
  ['daemonsets', (o) => o['status']?.desiredNumberScheduled ?? 0, (o) => o['status']?.currentNumberScheduled ?? 0],
]
const CALM_MAX_MS = 20_000
const SHOWN = 3
const FAILED_RESTARTS = 2
