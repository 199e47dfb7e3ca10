import type { Stage } from '../../inlet.ts'
import type { Kind } from '../../kind.ts'
import type { Connection } from './connection.ts'
import { Items } from './items.ts'
import { explain, fromError, type Problem } from './problem.ts'

export type Listed =
  | { readonly kind: 'listed'; readonly resourceVersion: string; readonly count: number; readonly pages: number }
  | { readonly kind: 'failed'; readonly problem: Problem }

export interface Selector {
  readonly labelSelector?: string
  readonly fieldSelector?: string
}

export interface ListOptions {
  readonly connection: Connection
  readonly kind: Kind<unknown>
  readonly selector: Selector
  /** Objects a page. */
  readonly limit: number
  readonly begin: () => Stage
  readonly signal: AbortSignal
}

/**
 * Lists all objects of a kind, page by page, each parsed as its bytes arrive, and commits them together: in place, so what
 * did not change is no change. The list is a consistent read (no resourceVersion): never older than what was known before.
 */
export async function list(options: ListOptions): Promise<Listed> {
  const paged = await listPages(options, options.limit)
  // The server forgot the snapshot that the next page belongs to (410): once more in a single piece, as client-go does.
  if (paged.kind === 'failed' && paged.problem.status === 410) return listPages(options, 0)
  return paged
}

/** Path of a kind, `/apis/GROUP/VERSION/PLURAL` with the query. */
export function pathOf(kind: Kind<unknown>, query: Readonly<Record<string, string | undefined>>): string {
  const root = kind.group === '' ? `/api/${kind.version}` : `/apis/${kind.group}/${kind.version}`
  const params = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) if (value !== undefined && value !== '') params.set(name, value)
  return params.size === 0 ? `${root}/${kind.plural}` : `${root}/${kind.plural}?${params}`
}

async function listPages(options: ListOptions, limit: number): Promise<Listed> {
  const { connection, kind, selector, signal } = options
  const stage = options.begin()
  let resourceVersion = ''
  let token = ''
  let count = 0
  for (let pages = 1; ; pages++) {
    const path = pathOf(kind, { ...selector, limit: limit > 0 ? `${limit}` : '', continue: token })
    const answer = await connection.request(path, { signal })
    if (answer.kind === 'failed') return { kind: 'failed', problem: explain(answer.problem, 'list', kind) }
    try {
      const { metadata } = await readPage(answer.body, (object) => {
        stage.add(object)
        count++
      })
      // The first page's: should a server answer later pages from a later state, the watch tells the difference again.
      if (pages === 1) resourceVersion = String(metadata?.resourceVersion ?? '')
      token = String(metadata?.continue ?? '')
    } catch (error) {
      return { kind: 'failed', problem: fromError(error, connection.server) }
    }
    if (token === '') {
      stage.commit()
      return { kind: 'listed', resourceVersion, count, pages }
    }
  }
}

async function readPage(body: AsyncIterable<Uint8Array>, add: (object: unknown) => void): Promise<Record<string, any>> {
  const items = new Items(OBJECT_MAX_BYTES)
  const item = (json: string): void => add(JSON.parse(json))
  for await (const chunk of body) items.push(chunk, item)
  return items.end()
}

/** etcd refuses more than 1.5 MiB a request by default; somebody may have raised it. */
export const OBJECT_MAX_BYTES = 16 * 1024 * 1024
