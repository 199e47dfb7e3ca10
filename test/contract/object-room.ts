import { createInlets, createTables, type Tables } from '../../src/cluster/tables.ts'
import type { Cursor } from '../../src/core/cursor.ts'
import type { Delta } from '../../src/core/delta.ts'
import { Graph } from '../../src/core/graph.ts'
import type { Raw } from './service-objects.ts'

/** Raw objects into the tables of the cluster, for a room that derives from them. */
export class ObjectRoom {
  readonly tables: Tables = createTables()
  readonly graph = new Graph()
  readonly #inlets: ReturnType<typeof createInlets>

  constructor(options: Parameters<typeof createInlets>[1] = {}) {
    this.#inlets = createInlets(this.tables, options)
  }

  put(...objects: readonly Raw[]): this {
    for (const object of objects) this.#inlet(object).put(structuredClone(object))
    return this
  }

  drop(...objects: readonly Raw[]): this {
    for (const object of objects) this.#inlet(object).drop(object)
    return this
  }

  protected markSynced(): void {
    for (const inlet of Object.values(this.#inlets)) inlet.synced()
  }

  #inlet({ kind }: Raw) {
    const inlet = Object.values(this.#inlets).find((each) => each.kind.kind === kind)
    if (inlet === undefined) throw new Error(`no inlet for ${kind}`)
    return inlet
  }
}

/** Gives `apply` what is new; returns the keys that were put and dropped. */
export function land<Row>(
  cursor: Cursor<Row>,
  apply: (delta: Delta<Row>) => unknown,
): { put: string[]; drop: string[] } {
  const delta = cursor.take()
  if (delta === null) return { put: [], drop: [] }
  const keys = { put: [...delta.put.keys()].sort(), drop: [...delta.drop].sort() }
  void apply(delta)
  cursor.landed([])
  return keys
}
