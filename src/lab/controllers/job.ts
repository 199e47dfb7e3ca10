/** Jobs: pods that run until enough of them have succeeded (k8s.io/kubernetes/pkg/controller/job). */
import type { Change } from '../api/history.ts'
import { timestamp, type ApiObject, type Fields } from '../api/object.ts'
import { refOf, type Store } from '../api/store.ts'
import { objectAt, refAt, type Controller } from './controller.ts'
import { claim, condition, createPod, isActive, isReady, ownerKey, podOf, setCondition } from './pods.ts'
import { byWorth } from './worth.ts'

export const jobController: Controller = {
  name: 'job',

  *touched({ resource, object, previous }: Change): Iterable<string> {
    if (resource.plural === 'jobs') yield `${object.metadata.namespace}/${object.metadata.name}`
    if (resource.plural !== 'pods') return
    yield* ownerKey(object, 'Job')
    if (previous !== null) yield* ownerKey(previous, 'Job')
  },

  reconcile(key: string, store: Store): number | undefined {
    const job = objectAt(store, 'jobs', key)
    if (job === undefined || job.metadata.deletionTimestamp !== undefined) return
    const over = condition(job, 'Complete') ?? condition(job, 'Failed')
    if (over !== undefined) return tidy(store, job, over)
    const pods = claim(store, job, 'pods')
    const end = endOf(store, job, pods)
    const active = pods.filter(isActive)
    if (end !== null || job['spec'].suspend) for (const pod of active) remove(store, pod)
    const waitMs = end === null && !job['spec'].suspend ? drive(store, job, pods) : undefined
    report(store, key, end)
    return waitMs ?? deadlineMs(store, job)
  },
}

interface End {
  readonly type: 'Complete' | 'Failed'
  readonly reason: string
  readonly message: string
}

function endOf(store: Store, job: ApiObject, pods: readonly ApiObject[]): End | null {
  const { spec } = job
  const done = succeeded(job, pods)
  const isDone = spec.completions === undefined ? done > 0 && !pods.some(isActive) : done >= spec.completions
  if (isDone)
    return { type: 'Complete', reason: 'CompletionsReached', message: 'Reached expected number of succeeded pods' }
  if (failures(job, pods) > spec.backoffLimit) {
    return { type: 'Failed', reason: 'BackoffLimitExceeded', message: 'Job has reached the specified backoff limit' }
  }
  const left = deadlineMs(store, job)
  if (left === undefined || left > 0) return null
  return { type: 'Failed', reason: 'DeadlineExceeded', message: 'Job was active longer than specified deadline' }
}

/** As many pods at once as parallelism allows; after a failure only once its back-off is over. Returns how long that is. */
function drive(store: Store, job: ApiObject, pods: readonly ApiObject[]): number | undefined {
  const { spec } = job
  const active = pods.filter(isActive)
  const left = spec.completions === undefined ? Infinity : spec.completions - succeeded(job, pods)
  // A work queue (no completions) drains: once a pod succeeded no new ones start.
  const isDraining = spec.completions === undefined && succeeded(job, pods) > 0
  const wanted = isDraining ? active.length : Math.min(spec.parallelism, left)
  for (const pod of byWorth(active).slice(0, Math.max(0, active.length - wanted))) remove(store, pod)
  const missing = wanted - active.length
  if (missing <= 0) return undefined
  const waitMs = backoffMs(store, job, pods)
  if (waitMs > 0) return waitMs
  const free = freeIndexes(job, pods)
  for (let i = 0; i < missing; i++) if (!make(store, job, free?.[i])) break
  return undefined
}

function make(store: Store, job: ApiObject, index: number | undefined): boolean {
  const { name } = job.metadata
  if (index === undefined) {
    return createPod(store, job, podOf(job, job['spec'].template, { generateName: `${name}-` }))
  }
  const annotations = { [INDEX]: String(index) }
  const labels = { [INDEX]: String(index) }
  const pod = podOf(job, job['spec'].template, { generateName: `${name}-${index}-`, annotations, labels })
  pod['spec'].hostname = `${name}-${index}`
  for (const container of pod['spec'].containers as Fields[]) {
    container['env'] = [...(container['env'] ?? []), { name: 'JOB_COMPLETION_INDEX', value: String(index) }]
  }
  return createPod(store, job, pod)
}

function report(store: Store, key: string, end: End | null): void {
  const job = objectAt(store, 'jobs', key)!
  const pods = claim(store, job, 'pods')
  const nowMs = store.nowMs()
  store.modify(
    refAt('jobs', key),
    (next) => {
      const status: Fields = {
        ...next['status'],
        startTime: next['status']?.startTime ?? timestamp(nowMs),
        active: pods.filter(isActive).length,
        ready: pods.filter((pod) => isActive(pod) && isReady(pod)).length,
        succeeded: succeeded(job, pods),
        failed: pods.filter((pod) => pod['status']?.phase === 'Failed').length,
      }
      if (end !== null) setCondition(status, nowMs, { ...end, status: 'True' })
      if (end?.type === 'Complete') status['completionTime'] = timestamp(nowMs)
      next['status'] = status
    },
    'status',
  )
}

/** ttlSecondsAfterFinished: the Job goes by itself. */
function tidy(store: Store, job: ApiObject, over: Fields): number | undefined {
  const ttlSeconds: number | undefined = job['spec'].ttlSecondsAfterFinished
  if (ttlSeconds === undefined) return undefined
  const leftMs = Date.parse(over['lastTransitionTime']) + ttlSeconds * 1000 - store.nowMs()
  if (leftMs > 0) return leftMs
  store.delete(refOf('jobs', job))
  return undefined
}

/** Indexed: how many indexes; else how many pods. */
function succeeded(job: ApiObject, pods: readonly ApiObject[]): number {
  const done = pods.filter((pod) => pod['status']?.phase === 'Succeeded')
  return job['spec'].completionMode === 'Indexed' ? new Set(done.map(indexOf)).size : done.length
}

/** Failed pods, and restarts of those that restart in place. */
function failures(job: ApiObject, pods: readonly ApiObject[]): number {
  const restarts = (pod: ApiObject): number =>
    ((pod['status']?.containerStatuses ?? []) as Fields[]).reduce(
      (sum, status) => sum + (status['restartCount'] ?? 0),
      0,
    )
  const failed = pods.filter((pod) => pod['status']?.phase === 'Failed').length
  if (job['spec'].template.spec.restartPolicy !== 'OnFailure') return failed
  return failed + pods.filter(isActive).reduce((sum, pod) => sum + restarts(pod), 0)
}

/** 10 s after the first failure in a row, doubled for each further one (backoff_utils.go). */
function backoffMs(store: Store, job: ApiObject, pods: readonly ApiObject[]): number {
  const failed = pods.filter((pod) => pod['status']?.phase === 'Failed')
  if (failed.length === 0 || job['spec'].completionMode === 'Indexed') return 0
  const last = Math.max(...failed.map(finishedAt))
  const lastSuccess = Math.max(0, ...pods.filter((pod) => pod['status']?.phase === 'Succeeded').map(finishedAt))
  const inARow = failed.filter((pod) => finishedAt(pod) > lastSuccess).length
  if (inARow === 0) return 0
  return Math.max(0, last + Math.min(BACKOFF_MS * 2 ** (inARow - 1), BACKOFF_MAX_MS) - store.nowMs())
}

function finishedAt(pod: ApiObject): number {
  const ends = ((pod['status']?.containerStatuses ?? []) as Fields[]).map((s) =>
    Date.parse(s['state']?.terminated?.finishedAt ?? ''),
  )
  const known = ends.filter((end) => !Number.isNaN(end))
  return known.length > 0 ? Math.max(...known) : Date.parse(pod.metadata.creationTimestamp)
}

function freeIndexes(job: ApiObject, pods: readonly ApiObject[]): number[] | undefined {
  if (job['spec'].completionMode !== 'Indexed') return undefined
  const taken = new Set(pods.filter((pod) => pod['status']?.phase !== 'Failed').map(indexOf))
  const all = Array.from({ length: job['spec'].completions ?? 0 }, (_, index) => index)
  return all.filter((index) => !taken.has(index))
}

function indexOf(pod: ApiObject): number {
  return Number(pod.metadata.annotations?.[INDEX] ?? -1)
}

function deadlineMs(store: Store, job: ApiObject): number | undefined {
  const seconds: number | undefined = job['spec'].activeDeadlineSeconds
  const start: string | undefined = job['status']?.startTime
  if (seconds === undefined) return undefined
  return start === undefined ? seconds * 1000 : Date.parse(start) + seconds * 1000 - store.nowMs()
}

function remove(store: Store, pod: ApiObject): void {
  store.delete(refOf('pods', pod), { uid: pod.metadata.uid })
}

const INDEX = 'batch.kubernetes.io/job-completion-index'
const BACKOFF_MS = 10_000
const BACKOFF_MAX_MS = 600_000
