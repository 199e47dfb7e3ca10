/** Stands in for the nodes: gives pods addresses, makes them ready and removes them, when the test says so. */
import type { ApiObject, Fields } from '../../src/lab/api/object.ts'
import { refOf, type Store } from '../../src/lab/api/store.ts'

export class FakeKubelet {
  readonly store: Store
  #next = 1

  constructor(store: Store) {
    this.store = store
  }

  addNode(name: string, zone?: string, more: Fields = {}): void {
    const labels = {
      'kubernetes.io/hostname': name,
      ...(zone && { 'topology.kubernetes.io/zone': zone }),
      ...more['labels'],
    }
    const status = { conditions: [{ type: 'Ready', status: 'True' }] }
    const made = this.store.create({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name, labels },
      spec: more['spec'] ?? {},
      status,
    })
    if (!made.ok) throw new Error(made.failure.message)
  }

  /** Pods on a node that have no address yet: they run, not ready. */
  run(pod: ApiObject): void {
    const n = this.#next++
    const podIPs = [{ ip: `10.244.${n >> 8}.${n & 255}` }, { ip: `fd00:10:244::${n.toString(16)}` }]
    this.#status(pod, { phase: 'Running', podIP: podIPs[0]!.ip, podIPs })
  }

  ready(pod: ApiObject, ready = true): void {
    if (!this.#now(pod)?.['status'].podIPs) this.run(pod)
    const lastTransitionTime = new Date(this.store.nowMs()).toISOString()
    this.#status(pod, { conditions: [{ type: 'Ready', status: ready ? 'True' : 'False', lastTransitionTime }] })
  }

  finish(pod: ApiObject, phase: 'Succeeded' | 'Failed'): void {
    const finishedAt = new Date(this.store.nowMs()).toISOString()
    this.#status(pod, { phase, conditions: [], containerStatuses: [{ state: { terminated: { finishedAt } } }] })
  }

  /** The last step of a pod that is being deleted. */
  remove(pod: ApiObject): void {
    this.store.delete(refOf('pods', pod), { graceSeconds: 0 })
  }

  /** What waits for a kubelet: to become ready, or to be gone. */
  pending(): ApiObject[] {
    return this.store.list('pods').filter((pod) => {
      if (pod.metadata.deletionTimestamp !== undefined) return true
      const isOver = ['Succeeded', 'Failed'].includes(pod['status'].phase)
      return pod['spec'].nodeName && !isOver && !isReady(pod)
    })
  }

  step(pod: ApiObject): void {
    if (pod.metadata.deletionTimestamp === undefined) this.ready(pod)
    else this.remove(pod)
  }

  #status(pod: ApiObject, change: Fields): void {
    const made = this.store.modify(refOf('pods', pod), (next) => Object.assign(next['status'], change), 'status')
    if (!made.ok) throw new Error(made.failure.message)
  }

  #now(pod: ApiObject): ApiObject | undefined {
    return this.store.get('pods', pod.metadata.namespace ?? '', pod.metadata.name)
  }
}

export function isReady(pod: ApiObject): boolean {
  return ((pod['status'].conditions ?? []) as Fields[]).some(
    ({ type, status }) => type === 'Ready' && status === 'True',
  )
}

/** Everything a kubelet can do, until there is nothing more to do. */
export function settleAll(
  { store, runner }: { store: Store; runner: { settle(): number } },
  kubelet = new FakeKubelet(store),
): void {
  for (let rounds = 0; rounds < 10_000; rounds++) {
    runner.settle()
    const [pod] = kubelet.pending()
    if (pod === undefined) return
    kubelet.step(pod)
  }
  throw new Error('the cluster does not settle')
}
