/** The objects of one resource in one namespace, by name. Listing is frequent, new names are not: their order is kept. */
import type { ApiObject } from './object.ts'

export class Space {
  readonly #objects = new Map<string, ApiObject>()
  #sorted: string[] | null = null

  get size(): number {
    return this.#objects.size
  }

  get(name: string): ApiObject | undefined {
    return this.#objects.get(name)
  }

  set(name: string, object: ApiObject): void {
    if (!this.#objects.has(name)) this.#sorted = null
    this.#objects.set(name, object)
  }

  delete(name: string): void {
    if (this.#objects.delete(name)) this.#sorted = null
  }

  /** Sorted by name. */
  list(): ApiObject[] {
    this.#sorted ??= [...this.#objects.keys()].toSorted()
    return this.#sorted.map((name) => this.#objects.get(name)!)
  }
}
