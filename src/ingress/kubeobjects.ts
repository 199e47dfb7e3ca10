/** Objects of an API server that controllers write, and read back: Secrets of certificates, Leases. One by one, by name. */
import { json } from 'node:stream/consumers'
import type { Connection } from '../cluster/source/kube/connection.ts'
import { isRecord, type Raw } from '../cluster/raw.ts'

/** The API server cannot be asked, or says no. */
export class StoreError extends Error {
  readonly remedy: string

  constructor(message: string, remedy: string) {
    super(message)
    this.remedy = remedy
  }
}

export interface Collection {
  /** `/api/v1` */
  readonly root: string
  /** `secrets` */
  readonly plural: string
  /** The file that allows it. */
  readonly manifest: string
}

export const SECRETS: Collection = { root: '/api/v1', plural: 'secrets', manifest: 'manifests/rbac-ingress-acme.yaml' }
export const LEASES: Collection = {
  root: '/apis/coordination.k8s.io/v1',
  plural: 'leases',
  manifest: 'manifests/rbac-ingress.yaml, for ACME rbac-ingress-acme.yaml',
}

/** Those of all namespaces. */
export class KubeObjects {
  readonly #connection: Connection
  readonly #collection: Collection

  constructor(connection: Connection, collection: Collection) {
    this.#connection = connection
    this.#collection = collection
  }

  /** null: there is none. Each rejects with a StoreError. */
  get(path: string, signal: AbortSignal): Promise<Raw | null> {
    return this.#ask('GET', this.#at(path), signal, [404])
  }

  /** null: there is one already. */
  create(path: string, body: object, signal: AbortSignal): Promise<Raw | null> {
    const at = this.#at(path)
    return this.#ask('POST', at.slice(0, at.lastIndexOf('/')), signal, [409], body)
  }

  /** As a merge patch (RFC 7396). null: there is none, or somebody changed it since the resourceVersion in `body`. */
  patch(path: string, body: object, signal: AbortSignal): Promise<Raw | null> {
    return this.#ask('PATCH', this.#at(path), signal, [404, 409], body)
  }

  async drop(path: string, signal: AbortSignal): Promise<void> {
    await this.#ask('DELETE', this.#at(path), signal, [404])
  }

  /** Those of a namespace with a label, page by page. */
  async list(namespace: string, label: string, value: string, signal: AbortSignal): Promise<Raw[]> {
    const found: Raw[] = []
    let token = ''
    for (let pages = 0; pages < PAGES_MAX; pages++) {
      const query = new URLSearchParams({ labelSelector: `${label}=${value}`, limit: String(PAGE) })
      if (token !== '') query.set('continue', token)
      const at = this.#at(`${namespace}/`).replace(/\/$/, '')
      const page = await this.#ask('GET', `${at}?${query}`, signal, [])
      const items: unknown = page?.['items']
      if (Array.isArray(items)) found.push(...items.filter(isRecord))
      const metadata = page?.['metadata']
      token = isRecord(metadata) && typeof metadata['continue'] === 'string' ? metadata['continue'] : ''
      if (token === '') break
    }
    return found
  }

  #at(path: string): string {
    const slash = path.indexOf('/')
    const [namespace, name] = [path.slice(0, slash), path.slice(slash + 1)].map(encodeURIComponent)
    const { root, plural } = this.#collection
    return `${root}/namespaces/${namespace}/${plural}/${name}`
  }

  async #ask(
    method: Method,
    at: string,
    signal: AbortSignal,
    absent: readonly number[],
    body?: object,
  ): Promise<Raw | null> {
    const contentType = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json'
    const answer = await this.#connection.request(at, { method, signal, ...(body && { body, contentType }) })
    signal.throwIfAborted()
    if (answer.kind === 'failed') {
      const { status, message, remedy } = answer.problem
      if (status !== null && absent.includes(status)) return null
      throw new StoreError(message, status === 403 ? this.#allow(method, at) : remedy || AGAIN)
    }
    try {
      const found: unknown = await json(answer.body)
      return isRecord(found) ? found : null
    } catch (error) {
      throw new StoreError(`${this.#connection.server}: ${(error as Error).message}`, AGAIN)
    }
  }

  #allow(method: Method, at: string): string {
    const namespace = /\/namespaces\/([^/?]*)/.exec(at)?.[1] ?? ''
    const verb = method === 'GET' && at.includes('?') ? 'list' : VERBS[method]
    const { plural, manifest } = this.#collection
    return `allow "${verb}" on ${plural} in namespace ${decodeURIComponent(namespace)} (RBAC, ${manifest})`
  }
}

type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE'

const VERBS = { GET: 'get', POST: 'create', PATCH: 'patch', DELETE: 'delete' } as const
const AGAIN = 'it is tried again'
const PAGE = 500
const PAGES_MAX = 1_000
