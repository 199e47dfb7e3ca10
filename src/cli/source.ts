/** Where a process reads the cluster from: an API server, or files. */
import { join } from 'node:path'
import type { Command } from 'commander'
import type { AnyInlet } from '../cluster/inlet.ts'
import { describeProblem } from '../cluster/manifest.ts'
import type { Rejection } from '../cluster/rejection.ts'
import { directorySource } from '../cluster/source/directory.ts'
import {
  connect,
  Copies,
  createEvents,
  findSettings,
  kubeSource,
  type ClusterEvent,
  type Connection,
  type KindState,
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
  readonly rejections: InputTable<Rejection>
  /** Who tells Events: `fairlead-agent`, and on which node or in which pod. */
  readonly component: string
  readonly host: string
  readonly log: Log
  readonly signal: AbortSignal
}

export interface Source {
  /** For people. */
  readonly from: string
  readonly states: () => Iterable<KindState>
  readonly post: (event: ClusterEvent) => void
  readonly done: Promise<void>
  /** null: there is no API server. */
  readonly connection: Connection | null
  /** Another connection to it, for as many watches as wanted; the caller's to close. null: there is no API server. */
  readonly reconnect: (() => Connection) | null
}

export async function startSource(options: SourceOptions, parts: SourceParts): Promise<Source> {
  const { inlets, log, signal } = parts
  if (options.directory) {
    const { done } = directorySource({
      paths: options.directory,
      inlets,
      signal,
      rejections: parts.rejections,
      onProblem: (problem) => log.warn('a file cannot be used', { problem: describeProblem(problem) }),
    })
    return {
      from: options.directory.join(' '),
      states: () => [],
      post: () => {},
      done,
      connection: null,
      reconnect: null,
    }
  }
  const { apiServer, kubeconfig, context, stateDir } = options
  const found = await findSettings({
    ...(apiServer && { server: apiServer }),
    ...(kubeconfig && { kubeconfig }),
    ...(context && { context }),
  })
  if (found.kind === 'problem') throw new Failure(`${found.message}: ${found.remedy}`)
  const connection = connect(found.settings)
  const copies = stateDir === '' ? null : new Copies(join(stateDir, 'objects'), version)
  const { states, done } = kubeSource({ connection, inlets, signal, log, copies })
  const events = createEvents(connection, { signal, component: parts.component, host: parts.host })
  return {
    from: found.from,
    states: () => states().values(),
    post: (event) => void events.postEvent(event),
    done: done.then(() => connection.close()),
    connection,
    reconnect: () => connect(found.settings, { connections: WATCHES_MAX }),
  }
}

/** HTTP/1.1 takes a connection for each. */
const WATCHES_MAX = 1_000
