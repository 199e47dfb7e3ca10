/** Where a process reads the cluster from: an API server, or files. */
import { join } from 'node:path'
import type { Command } from 'commander'
import type { AnyInlet } from '../cluster/inlet.ts'
import { describeProblem } from '../cluster/manifest.ts'
import type { Rejection } from '../cluster/rejection.ts'
import { selectorText, type Selector } from '../cluster/selector.ts'
import { directorySource } from '../cluster/source/directory.ts'
import {
  connect,
  Copies,
  createEvents,
  findSettings,
  kubeSource,
  type Answered,
  type Posted,
  type PostEvent,
  type Connection,
  type KindState,
  type Settings,
} from '../cluster/source/kube.ts'
import type { InputTable } from '../core/table.ts'
import type { Log } from '../status/log.ts'
import { Failure } from './failure.ts'
import { version } from './version.ts'

export interface SourceOptions {
  readonly apiServer?: string
  readonly kubeconfig?: string
  readonly context?: string
  readonly directory?: readonly string[]
  /** '': the last known state is kept nowhere. */
  readonly stateDir: string
}

/** All but --state-dir, whose default is each command's own. */
export function addSourceOptions(command: Command): Command {
  return command
    .option(
      '--api-server <url>',
      'address of the API server: https://..., unix:///...; default: as the kubeconfig or the pod says',
    )
    .option('--kubeconfig <file>', "default: $KUBECONFIG, the pod's service account, ~/.kube/config")
    .option('--context <name>', 'context of the kubeconfig')
    .option('--directory <path...>', 'read the cluster from YAML and JSON files instead of an API server')
}

export interface SourceParts {
  /** What is filled. */
  readonly inlets: readonly AnyInlet[]
  /** By kind (`Service`): only those with such labels. */
  readonly selectors?: Readonly<Record<string, Selector>>
  readonly rejections: InputTable<Rejection>
  /** Who tells Events: `fairlead-agent`, and on which node or in which pod. */
  readonly component: string
  readonly host: string
  readonly log: Log
  readonly signal: AbortSignal
  /** Told of each answer of an API server. */
  readonly onAnswer?: (answer: Answered) => void
}

export interface Source {
  /** For people. */
  readonly from: string
  readonly states: () => Iterable<KindState>
  /** Where there is no API server, nobody reads Events: they are said to be posted. */
  readonly post: PostEvent
  readonly done: Promise<void>
  /** null: there is no API server. */
  readonly connection: Connection | null
  /** Another connection to it, for as many watches as wanted; the caller's to close. null: there is no API server. */
  readonly reconnect: (() => Connection) | null
}

/** Where a source reads from, once that is known to be there. */
export type Way =
  | { readonly kind: 'directory'; readonly paths: readonly string[] }
  | { readonly kind: 'server'; readonly settings: Settings; readonly from: string }

/** Throws when there is no way to the cluster. */
export async function startSource(options: SourceOptions, parts: SourceParts): Promise<Source> {
  return sourceBy(await findWay(options), options.stateDir === '' ? null : join(options.stateDir, 'objects'), parts)
}

/** Throws a Failure when there is none. */
export async function findWay(options: Omit<SourceOptions, 'stateDir'>): Promise<Way> {
  const { apiServer, kubeconfig, context, directory } = options
  if (directory) return { kind: 'directory', paths: directory }
  const found = await findSettings({
    ...(apiServer && { server: apiServer }),
    ...(kubeconfig && { kubeconfig }),
    ...(context && { context }),
  })
  if (found.kind === 'problem') throw new Failure(`${found.message}: ${found.remedy}`)
  return { kind: 'server', settings: found.settings, from: found.from }
}

/** `folder`: where the last known state is kept; null: nowhere. */
export function sourceBy(way: Way, folder: string | null, parts: SourceParts): Source {
  return way.kind === 'directory' ? readFiles(way.paths, parts) : followServer(way, folder, parts)
}

function readFiles(paths: readonly string[], { inlets, signal, log, rejections, selectors = {} }: SourceParts): Source {
  const { done } = directorySource({
    ...{ paths, inlets, signal, rejections, selectors },
    onProblem: (problem) => log.warn('a file cannot be used', { problem: describeProblem(problem) }),
  })
  const post = (): Promise<Posted> => Promise.resolve({ kind: 'posted' })
  return { from: paths.join(' '), states: () => [], post, done, connection: null, reconnect: null }
}

function followServer(
  { settings, from }: Way & { kind: 'server' },
  folder: string | null,
  { inlets, signal, log, selectors = {}, component, host, onAnswer }: SourceParts,
): Source {
  const connection = connect(settings, onAnswer && { onAnswer })
  const copies = folder === null ? null : new Copies(folder, version)
  const wanted = Object.entries(selectors).map(([kind, selector]) => [kind, { labelSelector: selectorText(selector) }])
  const { states, done } = kubeSource({
    ...{ connection, inlets, signal, log, copies },
    selectors: Object.fromEntries(wanted) as Readonly<Record<string, { labelSelector: string }>>,
  })
  const post = createEvents(connection, { signal, component, host })
  return {
    from,
    states: () => states().values(),
    post,
    done: done.then(() => connection.close()),
    connection,
    reconnect: () => connect(settings, { connections: WATCHES_MAX }),
  }
}

/** HTTP/1.1 takes a connection for each. */
const WATCHES_MAX = 1_000
