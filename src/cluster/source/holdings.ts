import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { parseManifest, type Manifest, type Manifests, type Problem } from '../manifest.ts'
import { identity } from '../metadata.ts'
import { isRecord, type Raw } from '../raw.ts'

/** Names an object: what is left of it when it is gone. */
export interface Reference {
  readonly apiVersion: unknown
  readonly kind: unknown
  readonly metadata: { readonly namespace?: unknown; readonly name: unknown }
}

/** What became different: never an object in both. */
export interface Change {
  readonly put: readonly Manifest[]
  readonly drop: readonly Reference[]
}

/** A name for an object that is equal for equal objects; null: nobody wants it; or what is wrong with it. */
export type Identify = (object: Raw) => string | null | { readonly problem: string; readonly remedy: string }

/** Wants every object. One without a namespace is taken to be in `default`, for kinds that have none too. */
export const anyObject: Identify = (object) => {
  const group = String(object['apiVersion']).replace(/(^|\/)[^/]*$/, '')
  return `${String(object['kind'])}.${group} ${identity(object, true)}`
}

export type Loaded = Manifests & { readonly text: string }

/**
 * What a set of files says, object by object. An object that several files have is taken from the first, in the order of
 * the paths; when that one loses it, the next one's stands. No objects are kept but by name: the texts they come from are,
 * packed, outside the heap of JavaScript.
 */
export class Holdings {
  readonly #identify: Identify
  readonly #files = new Map<string, Held>()
  /** Files that have an object, unordered. */
  readonly #holders = new Map<string, readonly string[]>()

  constructor(identify: Identify) {
    this.#identify = identify
  }

  has(file: string): boolean {
    return this.#files.has(file)
  }

  files(): Iterable<string> {
    return this.#files.keys()
  }

  /** `order`: every file there is. `loaded`: those that are new or changed, and could be read. `gone`: those to forget. */
  update(order: readonly string[], loaded: ReadonlyMap<string, Loaded>, gone: readonly string[]): Change {
    const rank = new Map(order.map((file, i) => [file, i]))
    const rankOf = (file: string) => rank.get(file) ?? Infinity
    const touched = new Map<string, Reference>()
    const fresh = new Map<string, ReadonlyMap<string, Manifest>>()
    for (const file of gone) this.#forget(file, touched)
    for (const [file, manifests] of loaded) {
      this.#forget(file, touched)
      fresh.set(file, this.#hold(file, manifests, touched))
    }
    const put: Manifest[] = []
    const drop: Reference[] = []
    for (const [id, reference] of touched) {
      const owner = [...(this.#holders.get(id) ?? [])].sort((a, b) => rankOf(a) - rankOf(b))[0]
      if (owner === undefined) {
        drop.push(reference)
        continue
      }
      let objects = fresh.get(owner)
      if (objects === undefined) {
        objects = this.#index(parseManifest(unpack(this.#files.get(owner)!.text), owner), [])
        fresh.set(owner, objects)
      }
      put.push(objects.get(id)!)
    }
    return { put, drop }
  }

  /** Objects that cannot be taken as they are, and objects that several files have. */
  problems(order: readonly string[]): readonly Problem[] {
    const problems: Problem[] = []
    const owners = new Map<string, string>()
    const contested = new Set([...this.#holders].flatMap(([id, files]) => (files.length > 1 ? [id] : [])))
    for (const file of order) {
      const held = this.#files.get(file)
      if (held === undefined) continue
      problems.push(...held.problems)
      if (contested.size === 0) continue
      for (const [id, { reference, line }] of held.objects) {
        if (!contested.has(id)) continue
        const owner = owners.get(id)
        if (owner === undefined) owners.set(id, `${file}:${line}`)
        else problems.push(duplicate(file, line, reference, owner))
      }
    }
    return problems
  }

  #hold(file: string, manifests: Loaded, touched: Map<string, Reference>): ReadonlyMap<string, Manifest> {
    const problems = [...manifests.problems]
    const objects = this.#index(manifests, problems)
    const names = new Map<string, { reference: Reference; line: number }>()
    for (const [id, { object, line }] of objects) {
      const reference = referenceTo(object)
      names.set(id, { reference, line })
      touched.set(id, reference)
      this.#holders.set(id, [...(this.#holders.get(id) ?? []), file])
    }
    this.#files.set(file, { objects: names, problems, text: pack(manifests.text) })
    return objects
  }

  #forget(file: string, touched: Map<string, Reference>): void {
    const held = this.#files.get(file)
    if (held === undefined) return
    this.#files.delete(file)
    for (const [id, { reference }] of held.objects) {
      touched.set(id, reference)
      const others = this.#holders.get(id)!.filter((other) => other !== file)
      if (others.length === 0) this.#holders.delete(id)
      else this.#holders.set(id, others)
    }
  }

  #index(manifests: Manifests, problems: Problem[]): ReadonlyMap<string, Manifest> {
    const objects = new Map<string, Manifest>()
    for (const manifest of manifests.objects) {
      const { file, line, object } = manifest
      const id = this.#identify(object)
      if (id === null) continue
      if (typeof id !== 'string') problems.push({ file, line, ...id })
      else if (!objects.has(id)) objects.set(id, manifest)
      else problems.push(duplicate(file, line, referenceTo(object), `${file}:${objects.get(id)!.line}`))
    }
    return objects
  }
}

interface Held {
  readonly objects: ReadonlyMap<string, { readonly reference: Reference; readonly line: number }>
  readonly problems: readonly Problem[]
  readonly text: Packed
}

/** Deflated when that is worth it. */
type Packed = { readonly raw: Buffer } | { readonly deflated: Buffer }

const pack = (text: string): Packed =>
  text.length < DEFLATE_MIN ? { raw: Buffer.from(text) } : { deflated: deflateRawSync(text, { level: 1 }) }

const unpack = (packed: Packed): string =>
  'raw' in packed ? packed.raw.toString() : inflateRawSync(packed.deflated).toString()

function referenceTo(object: Raw): Reference {
  const { namespace, name } = isRecord(object['metadata']) ? object['metadata'] : {}
  return {
    apiVersion: object['apiVersion'],
    kind: object['kind'],
    metadata: namespace === undefined ? { name } : { namespace, name },
  }
}

function duplicate(file: string, line: number, { kind, metadata }: Reference, winner: string): Problem {
  const name =
    metadata.namespace === undefined ? metadata.name : `${String(metadata.namespace)}/${String(metadata.name)}`
  const problem = `has ${String(kind)} ${String(name).slice(0, NAME_SHOWN_MAX)} again, which ${winner} has already; not used`
  return { file, line, problem, remedy: 'remove one of the two' }
}

const DEFLATE_MIN = 16 * 1024
const NAME_SHOWN_MAX = 100
