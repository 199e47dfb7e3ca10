/** Lists: filtered by selectors and cut into pages that all show one revision, as the API promises (limit, continue). */
import { badRequest, expired, type Failure } from './failure.ts'
import type { ApiObject, Fields } from './object.ts'
import type { Place } from './path.ts'
import { apiVersionOf } from './resource.ts'
import { matches, matchesFields, parseFieldSelector, parseLabelSelector } from './selector.ts'
import type { Store } from './store.ts'

export type Filter = (object: ApiObject) => boolean

/** What a list or watch is about, from its place and its query. */
export function filterOf(place: Place, query: URLSearchParams): Filter | { failure: Failure } {
  const labels = parseLabelSelector(query.get('labelSelector') ?? '')
  const fields = parseFieldSelector(query.get('fieldSelector') ?? '')
  if (labels === null) return { failure: badRequest(`not a labelSelector: ${query.get('labelSelector')}`) }
  if (fields === null) return { failure: badRequest(`not a fieldSelector: ${query.get('fieldSelector')}`) }
  const { namespace, name } = place
  return (object) =>
    (namespace === undefined || (object.metadata.namespace ?? '') === namespace) &&
    (name === undefined || object.metadata.name === name) &&
    matches(labels, object.metadata.labels) &&
    matchesFields(fields, object)
}

/** The pages that are still to be fetched: references to frozen objects, so they cost little; the oldest is forgotten. */
export class Pages {
  readonly #store: Store
  readonly #rest = new Map<string, { revision: number; items: readonly ApiObject[] }>()
  #next = 0

  constructor(store: Store) {
    this.#store = store
  }

  /** A metav1 List. */
  list(place: Place, query: URLSearchParams): Fields | { failure: Failure } {
    const limit = Number(query.get('limit') ?? 0) || Infinity
    const token = query.get('continue')
    const found = token ? this.#take(token) : this.#select(place, query)
    if ('failure' in found) return found
    const items = found.items.slice(0, limit)
    const rest = found.items.slice(limit)
    return {
      kind: `${place.resource.kind}List`,
      apiVersion: apiVersionOf(place.resource),
      metadata: {
        resourceVersion: String(found.revision),
        ...(rest.length > 0 && { continue: this.#keep(found.revision, rest), remainingItemCount: rest.length }),
      },
      items,
    }
  }

  #select(place: Place, query: URLSearchParams) {
    const filter = filterOf(place, query)
    if (typeof filter !== 'function') return filter
    const items = this.#store.list(place.resource.plural, place.namespace).filter(filter)
    return { revision: this.#store.revision, items }
  }

  #take(token: string) {
    return this.#rest.get(token) ?? { failure: expired('the continue token is too old; list from the start again') }
  }

  #keep(revision: number, items: readonly ApiObject[]): string {
    const token = Buffer.from(`${revision}:${this.#next++}`).toString('base64url')
    this.#rest.set(token, { revision, items })
    if (this.#rest.size > PAGES_MAX) this.#rest.delete(this.#rest.keys().next().value!)
    return token
  }
}

const PAGES_MAX = 256
