import type { AnyInlet } from '../inlet.ts'
import { isRecord } from '../raw.ts'

/** A source that says what it is told: for tests. */
export interface MemorySource {
  /** Creates or changes an object (raw, as JSON); `kind` in it says where it goes. */
  put(...objects: readonly unknown[]): void
  drop(...objects: readonly unknown[]): void
  /** A new list of one kind, e.g. `EndpointSlice`. */
  replace(kind: string, objects: Iterable<unknown>): void
  /** The first lists of the named kinds (default: all) are complete. */
  synced(...kinds: readonly string[]): void
}

export function memorySource(inlets: readonly AnyInlet[]): MemorySource {
  const byKind = new Map(inlets.map((inlet) => [inlet.kind.kind, inlet]))
  const inletOf = (kind: unknown): AnyInlet => {
    const inlet = byKind.get(kind as string)
    if (inlet === undefined) throw new Error(`the memory source has no inlet for the kind ${String(kind)}`)
    return inlet
  }
  const kindOf = (object: unknown) => (isRecord(object) ? object['kind'] : undefined)
  return {
    put: (...objects) => objects.forEach((object) => inletOf(kindOf(object)).put(object)),
    drop: (...objects) => objects.forEach((object) => inletOf(kindOf(object)).drop(object)),
    replace: (kind, objects) => inletOf(kind).replace(objects),
    synced: (...kinds) => (kinds.length === 0 ? [...byKind.keys()] : kinds).forEach((kind) => inletOf(kind).synced()),
  }
}
