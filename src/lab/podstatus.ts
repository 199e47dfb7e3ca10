/** core/v1 PodStatus of a pod as its runner sees it. Pure. */
import type { ApiObject, Fields } from './api/object.ts'
import { specOf, type ContainerSpec } from './podspec.ts'

/** What is known of one container. */
export interface ContainerView {
  readonly spec: ContainerSpec
  readonly isInit: boolean
  state: ContainerState
  last: Terminated | null
  restarts: number
  started: boolean
  ready: boolean
}

export interface Terminated {
  readonly kind: 'terminated'
  readonly exitCode: number
  readonly reason: string
  readonly message: string
  readonly startedAt: string
  readonly finishedAt: string
}

export type ContainerState =
  | { readonly kind: 'waiting'; readonly reason: string; readonly message: string }
  | { readonly kind: 'running'; readonly startedAt: string }
  | Terminated

export interface PodView {
  readonly startTime: string
  readonly hostIPs: readonly string[]
  readonly ips: readonly string[]
  readonly hasSandbox: boolean
  readonly isInitialized: boolean
  readonly containers: readonly ContainerView[]
}

/** `previous` gives the times of transitions that did not happen again. */
export function statusOf(pod: ApiObject, view: PodView, now: string): Fields {
  const mains = view.containers.filter(({ isInit }) => !isInit)
  const phase = phaseOf(pod, mains)
  const allReady = mains.every(({ ready }) => ready)
  const isOver = phase === 'Succeeded' || phase === 'Failed'
  const unready = mains.filter(({ ready }) => !ready).map(({ spec }) => spec.name)
  const why = isOver ? (phase === 'Succeeded' ? 'PodCompleted' : 'PodFailed') : 'ContainersNotReady'
  const message = unready.length === 0 ? '' : `containers with unready status: [${unready.join(' ')}]`
  const condition = (type: string, isTrue: boolean, reason = '', text = ''): Fields =>
    conditionOf(pod, now, { type, status: isTrue ? 'True' : 'False', ...(!isTrue && { reason, message: text }) })
  return {
    ...pod['status'],
    phase,
    observedGeneration: pod.metadata.generation ?? 1,
    startTime: view.startTime,
    hostIP: view.hostIPs[0],
    hostIPs: view.hostIPs.map((ip) => ({ ip })),
    ...(view.ips.length > 0 && { podIP: view.ips[0], podIPs: view.ips.map((ip) => ({ ip })) }),
    conditions: [
      condition('PodScheduled', true),
      condition('PodReadyToStartContainers', view.hasSandbox),
      condition('Initialized', view.isInitialized, 'ContainersNotInitialized'),
      condition('ContainersReady', allReady && !isOver, why, message),
      condition('Ready', allReady && !isOver, why, message),
    ],
    ...(view.containers.length > mains.length && {
      initContainerStatuses: view.containers.filter(({ isInit }) => isInit).map(containerStatus),
    }),
    containerStatuses: mains.map(containerStatus),
  }
}

function phaseOf(pod: ApiObject, mains: readonly ContainerView[]): string {
  const { restartPolicy = 'Always' } = specOf(pod)
  const over = mains.filter(({ state }) => state.kind === 'terminated')
  if (over.length === mains.length && pod.metadata.deletionTimestamp === undefined) {
    const failed = over.some(({ state }) => state.kind === 'terminated' && state.exitCode !== 0)
    if (restartPolicy === 'Never' || (restartPolicy === 'OnFailure' && !failed)) return failed ? 'Failed' : 'Succeeded'
  }
  if (over.length === mains.length && pod.metadata.deletionTimestamp !== undefined && restartPolicy === 'Never') {
    return over.some(({ state }) => state.kind === 'terminated' && state.exitCode !== 0) ? 'Failed' : 'Succeeded'
  }
  const begun = mains.some(({ state, restarts }) => state.kind !== 'waiting' || restarts > 0)
  return begun ? 'Running' : 'Pending'
}

function conditionOf(pod: ApiObject, now: string, next: Fields): Fields {
  const was = (pod['status']?.conditions as Fields[] | undefined)?.find(({ type }) => type === next['type'])
  const since = was?.['status'] === next['status'] ? was!['lastTransitionTime'] : now
  return { ...next, lastTransitionTime: since ?? now }
}

function containerStatus(view: ContainerView): Fields {
  return {
    name: view.spec.name,
    image: view.spec.image ?? '',
    imageID: '',
    ready: view.ready,
    started: view.started,
    restartCount: view.restarts,
    state: stateOf(view.state),
    lastState: view.last === null ? {} : stateOf(view.last),
  }
}

function stateOf({ kind, ...rest }: ContainerState): Fields {
  return { [kind]: rest }
}
