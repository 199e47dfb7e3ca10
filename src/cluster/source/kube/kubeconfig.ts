/**
 * A kubeconfig, read by ourselves: @kubernetes/client-node costs 90 MB when imported, and is needed only for plugins.
 * https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
 */
import { readFile, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import type { Auth, Found, Pem, TlsSettings } from './settings.ts'

/** Several files are merged as kubectl does: the first that names a cluster, user or context wins. */
export async function readKubeconfig(paths: readonly string[], context?: string): Promise<Found> {
  const merged: Merged = { clusters: new Map(), users: new Map(), contexts: new Map(), current: '' }
  for (const path of paths) {
    const wrong = await readInto(merged, path, paths.length > 1)
    if (wrong !== null) return problem(wrong, `mend ${path} or name another kubeconfig`)
  }
  const from = paths.join(':')
  const chosen = context ?? merged.current
  if (chosen === '') return problem(`${from} has no current-context`, 'choose one with --context')
  const pair = merged.contexts.get(chosen)
  if (pair === undefined) return problem(`${from} has no context ${chosen}`, `choose one of: ${list(merged.contexts)}`)
  const cluster = merged.clusters.get(text(pair.entry['cluster']))
  if (cluster === undefined) return problem(`${from}: context ${chosen} names a cluster that is not there`, 'add it')
  const user = merged.users.get(text(pair.entry['user'])) ?? { entry: {}, folder: '.' }
  return settle(from, cluster, user)
}

interface Entry {
  readonly entry: Record<string, unknown>
  /** Relative paths start here. */
  readonly folder: string
}

interface Merged {
  readonly clusters: Map<string, Entry>
  readonly users: Map<string, Entry>
  readonly contexts: Map<string, Entry>
  current: string
}

/** null, or what is wrong with the file. */
async function readInto(merged: Merged, path: string, mayMiss: boolean): Promise<string | null> {
  let whole: Record<string, unknown>
  try {
    if ((await stat(path)).size > FILE_MAX_BYTES) return `${path} is larger than ${FILE_MAX_BYTES} bytes`
    const { load } = await import('js-yaml')
    whole = record(load(await readFile(path, 'utf8'), { filename: path }))
  } catch (error) {
    if (mayMiss && (error as NodeJS.ErrnoException).code === 'ENOENT') return null
    return (error as Error).message
  }
  for (const [plural, singular] of SECTIONS) {
    const items = whole[plural]
    for (const item of Array.isArray(items) ? items : []) {
      const name = text(record(item)['name'])
      if (merged[plural].has(name)) continue
      merged[plural].set(name, { entry: record(record(item)[singular]), folder: dirname(resolve(path)) })
    }
  }
  if (merged.current === '') merged.current = text(whole['current-context'])
  return null
}

function settle(from: string, cluster: Entry, user: Entry): Found {
  const server = text(cluster.entry['server']).replace(/\/+$/, '')
  if (!/^(https?|unix):\/\/./.test(server))
    return problem(`${from}: the cluster's server is ${JSON.stringify(server)}`, 'write https://HOST:PORT')
  // Left out silently they would give more rights, or another way, than the person asked for.
  if (text(cluster.entry['proxy-url']) !== '')
    return problem(`${from}: proxy-url is not supported`, 'reach the API server directly')
  if (text(user.entry['as']) !== '')
    return problem(`${from}: impersonation (as) is not supported`, 'use credentials of that user')
  const tls: TlsSettings = {
    ca: pem(cluster, 'certificate-authority'),
    cert: pem(user, 'client-certificate'),
    key: pem(user, 'client-key'),
    serverName: text(cluster.entry['tls-server-name']) || null,
    insecure: cluster.entry['insecure-skip-tls-verify'] === true,
  }
  return { kind: 'found', settings: { server, tls, auth: authOf(cluster, user) }, from }
}

// The order in which client-go lets one win over the other: token file, token, basic; plugins only when nothing else is there.
function authOf(cluster: Entry, { entry, folder }: Entry): Auth {
  const tokenFile = text(entry['tokenFile'])
  if (tokenFile !== '') return { kind: 'token-file', path: resolve(folder, tokenFile) }
  if (text(entry['token']) !== '') return { kind: 'token', token: text(entry['token']) }
  if (text(entry['username']) !== '') {
    return { kind: 'basic', user: text(entry['username']), password: text(entry['password']) }
  }
  if (entry['exec'] === undefined && entry['auth-provider'] === undefined) return { kind: 'none' }
  const exec = record(entry['exec'])
  const command = text(exec['command'])
  // A path (not a bare name, which PATH finds) is relative to the kubeconfig.
  const plugin = command.includes('/') ? { ...exec, command: resolve(folder, command) } : exec
  const config = {
    ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'c' },
    clusters: [{ name: 'c', cluster: { server: cluster.entry['server'] } }],
    users: [{ name: 'u', user: entry['exec'] === undefined ? entry : { exec: plugin } }],
    contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
  }
  return { kind: 'plugin', config }
}

/** `NAME-data` (base64) wins over `NAME` (a file), as in client-go. */
function pem({ entry, folder }: Entry, name: string): Pem | null {
  const data = text(entry[`${name}-data`])
  if (data !== '') return { data: Buffer.from(data, 'base64').toString('utf8') }
  const file = text(entry[name])
  return file === '' ? null : { file: resolve(folder, file) }
}

const problem = (message: string, remedy: string): Found => ({ kind: 'problem', message, remedy })
const text = (value: unknown): string => (typeof value === 'string' ? value : '')
const record = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
const list = (map: ReadonlyMap<string, unknown>): string => [...map.keys()].slice(0, 20).join(', ') || '(none)'

const SECTIONS = [
  ['clusters', 'cluster'],
  ['users', 'user'],
  ['contexts', 'context'],
] as const
const FILE_MAX_BYTES = 4 * 1024 * 1024
