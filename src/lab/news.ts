/** Says what changes in the running lab: pods that come, become ready, go, and how long that took. */
import type { Change } from './api/history.ts'
import type { ApiObject } from './api/object.ts'
import type { Store } from './api/store.ts'
import { seconds, type Progress } from './progress.ts'
import { isReady } from './target.ts'

export function followNews(store: Store, progress: Progress): void {
  const news = new News(store, progress)
  store.onChange((change) => news.hear(change))
}

class News {
  readonly #progress: Progress
  /** Since when the pod is there, and since when it is leaving: ms of performance.now(). */
  readonly #since = new Map<string, number>()

  constructor(store: Store, progress: Progress) {
    this.#progress = progress
    for (const pod of store.list('pods')) this.#since.set(pod.metadata.uid, performance.now())
  }

  hear({ type, object, previous }: Change): void {
    if (object.kind === 'Pod') this.#pod(type, object, previous)
    if (object.kind === 'Event' && object['type'] === 'Warning' && type === 'ADDED') {
      const { kind, name } = object['involvedObject'] ?? {}
      this.#progress.news(`${kind} ${name}: ${object['reason']}: ${object['message']}`)
    }
    const replicas = object['spec']?.replicas as unknown
    const was = previous?.['spec']?.replicas as unknown
    if (object.kind === 'Deployment' && previous !== null && replicas !== was)
      this.#progress.news(`deploy/${object.metadata.name}: from ${was} to ${replicas} replicas`)
  }

  #pod(type: Change['type'], pod: ApiObject, previous: ApiObject | null): void {
    const { uid, name, deletionTimestamp } = pod.metadata
    if (type === 'ADDED') this.#since.set(uid, performance.now())
    const tookMs = performance.now() - (this.#since.get(uid) ?? performance.now())
    if (type === 'DELETED') {
      this.#since.delete(uid)
      this.#progress.news(`pod ${name} is gone after ${seconds(tookMs)}`)
    } else if (deletionTimestamp !== undefined && previous?.metadata.deletionTimestamp === undefined) {
      this.#since.set(uid, performance.now())
      this.#progress.news(`pod ${name} is told to end`)
    } else if (previous !== null && isReady(pod) !== isReady(previous) && deletionTimestamp === undefined) {
      if (!isReady(pod)) this.#since.set(uid, performance.now())
      const where = `on ${pod['spec']?.nodeName} at ${pod['status']?.podIP}`
      this.#progress.news(
        isReady(pod) ? `pod ${name} is ready ${where} after ${seconds(tookMs)}` : `pod ${name} is not ready`,
      )
    }
  }
}
