import type { Inlet } from '../inlet.ts'
import { apiVersion } from '../kind.ts'
import { Backoff } from './kube/backoff.ts'
import type { Connection } from './kube/connection.ts'
import { copiable, loadCopy, keepCopy, type Copies } from './kube/copy.ts'
import type { Selector } from './kube/list.ts'
import { Reflector, type KindState } from './kube/reflector.ts'

export { connect, type Answered, type Connection } from './kube/connection.ts'
export { Copies } from './kube/copy.ts'
export { createEvents, type ClusterEvent, type Posted, type PostEvent } from './kube/events.ts'
export { Followed, type Reference } from './kube/followed.ts'
export type { KindState } from './kube/reflector.ts'
export { findSettings, type Settings, type Wanted } from './kube/settings.ts'

/** The part of a log that this source needs. */
export interface SourceLog {
  info(message: string, fields?: Readonly<Record<string, unknown>>): void
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void
}

export interface KubeSourceOptions {
  readonly connection: Connection
  readonly inlets: readonly Inlet<any>[]
  readonly signal: AbortSignal
  readonly log?: SourceLog
  readonly onState?: (state: KindState) => void
  /** Copies on disk, loaded when the API server does not answer at the start; null: none. */
  readonly copies?: Copies | null
  /** By kind (`Pod`): what of it is wanted, e.g. only the pods of one node. */
  readonly selectors?: Readonly<Record<string, Selector>>
  /** Objects a page of a list. */
  readonly limit?: number
  /** How long the first list may take before the copy is used instead. */
  readonly copyAfterMs?: number
  readonly random?: () => number
}

export interface KubeSource {
  /** By kind. */
  states(): ReadonlyMap<string, KindState>
  /** Resolves when the signal has aborted and the copies are written. */
  readonly done: Promise<void>
}

/** Fills the inlets from an API server until the signal aborts. The connection stays the caller's, to close after `done`. */
export function kubeSource(options: KubeSourceOptions): KubeSource {
  const running = options.inlets.map((inlet) => reflect(inlet, options))
  return {
    states: () => new Map(running.map(({ reflector }) => [reflector.state.kind, reflector.state])),
    done: Promise.all(running.map(({ done }) => done)).then(() => {}),
  }
}

function reflect(inlet: Inlet<any>, options: KubeSourceOptions): { reflector: Reflector; done: Promise<void> } {
  const { connection, signal, log, copies = null, random = Math.random } = options
  const wanted = copies !== null && copiable(inlet.kind) ? copies : null
  let told: KindState | null = null
  let useCopy = (): void => {}
  const reflector = new Reflector({
    ...{ connection, inlet, signal, backoff: new Backoff({ random }) },
    selector: options.selectors?.[inlet.kind.kind] ?? {},
    limit: options.limit ?? LIMIT,
    onState: (state) => {
      if (log !== undefined) tell(log, inlet, state, told)
      told = state
      if (state.phase === 'retrying' && state.lists === 0) useCopy()
      options.onState?.(state)
    },
  })
  const work: Promise<void>[] = [reflector.run()]
  if (wanted !== null) {
    const timer = setTimeout(() => useCopy(), options.copyAfterMs ?? COPY_AFTER_MS).unref()
    useCopy = () => {
      useCopy = () => {}
      clearTimeout(timer)
      work.push(loadStale(inlet, wanted, reflector, log))
    }
    signal.addEventListener('abort', () => clearTimeout(timer), { once: true })
    work.push(
      keepCopy(inlet, wanted, { signal, fresh: () => reflector.state.lists > 0, onProblem: (text) => log?.warn(text) }),
    )
  }
  return { reflector, done: Promise.all(work).then(() => {}) }
}

/** Fills the inlet from its copy, unless the truth was quicker. */
async function loadStale(inlet: Inlet<any>, copies: Copies, reflector: Reflector, log?: SourceLog): Promise<void> {
  const copy = await loadCopy(inlet.kind, copies)
  if (copy.kind === 'none') return log?.info(`no copy of ${inlet.kind.plural} to start from: ${copy.reason}`)
  if (inlet.table.synced) return
  inlet.table.replace(copy.rows)
  inlet.synced()
  reflector.markStale()
  log?.warn(`acting on the last known ${inlet.kind.plural}: the API server has not told them yet`, {
    objects: copy.rows.size,
    saved: copy.saved,
  })
}

/** Says what a person should know, once: the first list, a new problem, its end. */
function tell(log: SourceLog, inlet: Inlet<any>, state: KindState, before: KindState | null): void {
  const { problem } = state
  const what = { kind: state.kind, apiVersion: apiVersion(inlet.kind) }
  if (problem !== null && problem.message !== before?.problem?.message) {
    const quiet = problem.status === 410 || (problem.status === 404 && inlet.kind.optional)
    log[quiet ? 'info' : 'warn'](problem.message, { ...what, ...(problem.remedy !== '' && { remedy: problem.remedy }) })
  }
  if (state.lists !== (before?.lists ?? 0))
    log.info(`listed ${inlet.kind.plural}`, { ...what, objects: inlet.table.size })
  else if (problem === null && before?.problem) log.info(`watching ${inlet.kind.plural} again`, what)
}

const LIMIT = 500
const COPY_AFTER_MS = 5_000
