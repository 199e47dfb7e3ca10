import { readFile } from 'node:fs/promises'
import { readPem, type Auth, type TlsSettings } from './settings.ts'

/** What a connection shows the API server. Files and plugins are asked again in time: tokens and certificates rotate. */
export interface Credentials {
  /** Value of the header Authorization; null: none. Throws when a file or plugin fails. */
  authorization(): Promise<string | null>
  /** For the next TLS handshake; read anew each time. */
  tls(): Promise<TlsMaterial>
  /** The server said 401: what is remembered is wrong. */
  refused(): void
}

export interface TlsMaterial {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  readonly servername?: string
  readonly rejectUnauthorized?: boolean
}

export function createCredentials(auth: Auth, tls: TlsSettings, now: () => number = Date.now): Credentials {
  const shown = remember(() => show(auth), now)
  return {
    authorization: async () => (await shown.get()).authorization,
    refused: () => shown.forget(),
    tls: async () => ({
      ...(tls.ca && { ca: await readPem(tls.ca) }),
      ...(tls.cert && { cert: await readPem(tls.cert) }),
      ...(tls.key && { key: await readPem(tls.key) }),
      ...(tls.serverName !== null && { servername: tls.serverName }),
      ...(tls.insecure && { rejectUnauthorized: false }),
      ...(auth.kind === 'plugin' && (await shown.get()).tls),
    }),
  }
}

interface Shown {
  readonly authorization: string | null
  readonly tls?: TlsMaterial
}

async function show(auth: Auth): Promise<Shown> {
  switch (auth.kind) {
    case 'none':
      return { authorization: null }
    case 'token':
      return { authorization: `Bearer ${auth.token}` }
    case 'token-file':
      return { authorization: `Bearer ${await readToken(auth.path)}` }
    case 'basic':
      return { authorization: `Basic ${Buffer.from(`${auth.user}:${auth.password}`).toString('base64')}` }
    case 'plugin':
      return runPlugin(auth.config)
    default:
      return auth satisfies never
  }
}

async function readToken(path: string): Promise<string> {
  const token = (await readFile(path, 'utf8')).trim()
  if (token === '') throw new Error(`${path} is empty`)
  // A header cannot hold it, and an error of undici would show the token.
  if (!/^[\x21-\x7e]+$/.test(token)) throw new Error(`${path} does not hold a token`)
  return token
}

/** Imported only here: it costs 90 MB. A fresh KubeConfig each time, so that a refused token is not served from its cache. */
async function runPlugin(config: object): Promise<Shown> {
  const { KubeConfig } = await import('@kubernetes/client-node')
  const kubeConfig = new KubeConfig()
  kubeConfig.loadFromString(JSON.stringify(config))
  const options: { headers?: Record<string, unknown>; cert?: unknown; key?: unknown } = {}
  const work = kubeConfig.applyToHTTPSOptions(options as object)
  await within(PLUGIN_TIMEOUT_MS, work).catch((error: Error) => {
    throw new Error(`the credential plugin of the kubeconfig failed: ${error.message.trim() || 'it gave no reason'}`)
  })
  const authorization = options.headers?.['Authorization']
  return {
    authorization: typeof authorization === 'string' ? authorization : null,
    tls: {
      ...(typeof options.cert === 'string' && { cert: options.cert }),
      ...(typeof options.key === 'string' && { key: options.key }),
    },
  }
}

/** Keeps what `make` gave for a while, so that a burst of requests costs one read. */
function remember<T>(make: () => Promise<T>, now: () => number): { get(): Promise<T>; forget(): void } {
  let kept: Promise<T> | null = null
  let since = 0
  return {
    get: () => {
      if (kept !== null && now() - since < REMEMBER_MS) return kept
      const made = make()
      kept = made
      since = now()
      made.catch(() => {
        if (kept === made) kept = null // a failure is not worth keeping
      })
      return made
    },
    forget: () => {
      kept = null
    },
  }
}

async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms)
  try {
    return await Promise.race([work, promise])
  } finally {
    clearTimeout(timer)
  }
}

// client-go's: a rotated token is used at the latest this much later; the kubelet replaces it at 80 % of its life.
const REMEMBER_MS = 10_000
const PLUGIN_TIMEOUT_MS = 60_000
