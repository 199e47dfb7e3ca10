import { access, readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { readKubeconfig } from './kubeconfig.ts'

/** Where an API server is and how to be let in. Files are named, not read: they are read again at each use, so they may rotate. */
export interface Settings {
  /** `https://host:port[/path]`, `http://...`, or `unix:///path/of/socket`. */
  readonly server: string
  readonly tls: TlsSettings
  readonly auth: Auth
}

export interface TlsSettings {
  readonly ca: Pem | null
  readonly cert: Pem | null
  readonly key: Pem | null
  /** Expected in the certificate instead of the host of `server`. */
  readonly serverName: string | null
  readonly insecure: boolean
}

export type Pem = { readonly file: string } | { readonly data: string }

export type Auth =
  | { readonly kind: 'none' }
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'token-file'; readonly path: string }
  | { readonly kind: 'basic'; readonly user: string; readonly password: string }
  /** An exec plugin or an auth provider: left to @kubernetes/client-node. `config`: a kubeconfig with one context. */
  | { readonly kind: 'plugin'; readonly config: object }

export type Found =
  | { readonly kind: 'found'; readonly settings: Settings; readonly from: string }
  | { readonly kind: 'problem'; readonly message: string; readonly remedy: string }

export interface Wanted {
  /** Replaces the address that the kubeconfig or the pod's environment gives: `unix://`, `http://`, `https://` or `host:port`. */
  readonly server?: string
  readonly kubeconfig?: string
  readonly context?: string
  readonly tlsServerName?: string
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly home?: string
  /** Where a pod finds its service account. */
  readonly accountFolder?: string
}

/** In the order of client-go: what was asked for, $KUBECONFIG, the pod's service account, ~/.kube/config. */
export async function findSettings(wanted: Wanted = {}): Promise<Found> {
  const env = wanted.env ?? process.env
  const server = wanted.server === undefined ? undefined : normalize(wanted.server)
  if (server !== undefined && (server.startsWith('unix:') || server.startsWith('http:'))) {
    return { kind: 'found', settings: { server, tls: NO_TLS, auth: { kind: 'none' } }, from: server }
  }
  const found = await findPlain(wanted, env)
  if (found.kind === 'problem') return found
  const { settings } = found
  const tls = wanted.tlsServerName === undefined ? settings.tls : { ...settings.tls, serverName: wanted.tlsServerName }
  return { ...found, settings: { ...settings, server: server ?? settings.server, tls } }
}

async function findPlain(wanted: Wanted, env: Readonly<Record<string, string | undefined>>): Promise<Found> {
  if (wanted.kubeconfig !== undefined) return readKubeconfig([wanted.kubeconfig], wanted.context)
  const listed = (env['KUBECONFIG'] ?? '').split(':').filter((path) => path !== '')
  if (listed.length > 0) return readKubeconfig(listed, wanted.context)
  const folder = wanted.accountFolder ?? ACCOUNT_FOLDER
  const host = env['KUBERNETES_SERVICE_HOST'] ?? ''
  if ((host !== '' || wanted.server !== undefined) && (await exists(join(folder, 'token')))) {
    return inCluster(folder, host, env['KUBERNETES_SERVICE_PORT'] ?? '443')
  }
  const own = join(wanted.home ?? homedir(), '.kube', 'config')
  if (await exists(own)) return readKubeconfig([own], wanted.context)
  return {
    kind: 'problem',
    message: 'no API server: neither a kubeconfig nor a service account of a pod was found',
    remedy: 'give --kubeconfig FILE or --api-server ADDRESS, or set KUBECONFIG',
  }
}

function inCluster(folder: string, host: string, port: string): Found {
  const address = host.includes(':') ? `[${host}]` : host
  const tls = { ...NO_TLS, ca: { file: join(folder, 'ca.crt') } }
  const auth = { kind: 'token-file', path: join(folder, 'token') } as const
  return {
    kind: 'found',
    settings: { server: `https://${address}:${port}`, tls, auth },
    from: `service account in ${folder}`,
  }
}

function normalize(server: string): string {
  const whole = /^[a-z]+:\/\//.test(server) ? server : `https://${server}`
  return whole.replace(/\/+$/, '')
}

/** The PEM text, read now. */
export async function readPem(pem: Pem): Promise<string> {
  return 'data' in pem ? pem.data : readFile(pem.file, 'utf8')
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

export const NO_TLS: TlsSettings = { ca: null, cert: null, key: null, serverName: null, insecure: false }
const ACCOUNT_FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount'
