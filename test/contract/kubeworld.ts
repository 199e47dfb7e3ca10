import type { Test } from 'tap'
import type { Inlet } from '../../src/cluster/inlet.ts'
import { createInlets, createTables, type Tables } from '../../src/cluster/tables.ts'
import {
  connect,
  findSettings,
  kubeSource,
  type KubeSource,
  type KubeSourceOptions,
  type KindState,
  type Settings,
} from '../../src/cluster/source/kube.ts'
import { startApiServer, type ApiServer } from '../cluster/apiserver.ts'
import { whyNotBuilt } from '../cluster/build.ts'
import { until } from '../cluster/process.ts'

/** One API server for a test file; null (and the file skipped) where it has not been built: see test/cluster/build.ts. */
export async function sharedApiServer(t: Test, flags: readonly string[] = []): Promise<ApiServer | null> {
  t.setTimeout(570_000)
  const missing = await whyNotBuilt()
  if (missing !== null) {
    t.test('on a real API server', { skip: `there is none to test with: ${missing}` }, () => {})
    return null
  }
  const api = await startApiServer({ flags, say: (line) => t.comment(line) })
  t.teardown(() => api.stop())
  return api
}

export interface World {
  readonly tables: Tables
  readonly source: KubeSource
  state(kind: string): KindState
  /** Commits of all tables so far: a relist that changes nothing adds none. */
  commits(): number
  until(what: string, condition: () => boolean): Promise<void>
  stop(): Promise<void>
}

export interface WorldOptions extends Partial<KubeSourceOptions> {
  readonly silenceMs?: number
  readonly pick?: (inlets: ReturnType<typeof createInlets>) => readonly Inlet<any>[]
}

/** A kube source with tables of its own, stopped with the test. Retries come soon: a tenth of the usual jitter. */
export function startWorld(t: Test, settings: Settings, options: WorldOptions = {}): World {
  const tables = createTables()
  const all = createInlets(tables)
  const inlets = options.inlets ?? options.pick?.(all) ?? [all.services, all.slices]
  const abort = new AbortController()
  const connection = connect(settings, { ...(options.silenceMs && { silenceMs: options.silenceMs }) })
  const source = kubeSource({ random: () => Math.random() / 10, ...options, connection, inlets, signal: abort.signal })
  let stopped: Promise<void> | null = null
  const end = async (): Promise<void> => {
    abort.abort()
    await source.done
    await connection.close()
  }
  const stop = (): Promise<void> => (stopped ??= end())
  t.teardown(stop)
  return {
    ...{ tables, source, stop },
    state: (kind) => source.states().get(kind)!,
    commits: () => inlets.reduce((sum, { table }) => sum + table.number, 0),
    until: async (what, condition) => {
      await until(what, condition, { everyMs: 5 })
      t.pass(what)
    },
  }
}

/** As the administrator, by the kubeconfig's token. `server`: another way there, e.g. through a proxy. */
export async function adminSettings(api: ApiServer, server?: string): Promise<Settings> {
  const found = await findSettings({ kubeconfig: api.kubeconfig, env: {}, ...(server !== undefined && { server }) })
  if (found.kind === 'problem') throw new Error(found.message)
  return found.settings
}

export const SLICES = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices'
export const SERVICES = '/api/v1/namespaces/default/services'
