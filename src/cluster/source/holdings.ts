import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { parseManifest, type Manifest, type Manifests, type Problem } from '../manifest.ts'
import { identity } from '../metadata.ts'
import { isRecord, type Raw } from '../raw.ts'
import { show } from '../rejection.ts'
import { readSections, sectionText, type Section } from './sections.ts'

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

/** What a file that could be read says. */
export interface Loaded {
  readonly text: string
  readonly sections: readonly Placed[]
  /** The objects of sections that were not known. */
  readonly fresh: ReadonlyMap<Named, Manifest>
}

/**
 * What a set of files says, object by object. An object that several files have is taken from the first, in the order of
 * the paths; when that one loses it, the next one's stands. A change costs what changed: of each section of a file, the
 * names of its objects are remembered, and only sections with another text are parsed. No objects are kept but by name: the
 * texts they come from are, packed, outside the heap of JavaScript.
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

  /** What is new in a text, against the file's last good one; or why it cannot be read. Changes nothing. */
  read(file: string, text: string): Loaded | readonly Problem[] {
    const known = new Map(this.#files.get(file)?.sections.map(({ digest, said }) => [digest, said]))
    const read = readSections(text, file, (digest) => known.has(digest))
    if (!('sections' in read)) return read
    const fresh = new Map<Named, Manifest>()
    for (const [digest, manifests] of read.fresh) known.set(digest, this.#understand(manifests, fresh))
    const sections = read.sections.map(({ digest, line }) => ({ digest, line, said: known.get(digest)! }))
    const placed = new Map<Named, Manifest>()
    for (const { said, line } of sections) {
      for (const named of said.objects) {
        const manifest = fresh.get(named)
        if (manifest && !placed.has(named)) placed.set(named, { ...manifest, line: line + named.line - 1 })
      }
    }
    return { text, sections, fresh: placed }
  }

  /** `order`: every file there is. `loaded`: those that are new or changed, and could be read. `gone`: those to forget. */
  update(order: readonly string[], loaded: ReadonlyMap<string, Loaded>, gone: readonly string[]): Change {
    const rank = new Map(order.map((file, i) => [file, i]))
    const rankOf = (file: string) => rank.get(file) ?? Infinity
    const touched = new Map<string, Touched>()
    for (const file of gone) this.#hold(file, null, touched)
    for (const [file, it] of loaded) this.#hold(file, hold(file, it), touched)
    const put: Manifest[] = []
    const drop: Reference[] = []
    for (const [id, { reference, changed, lost }] of touched) {
      const owner = [...(this.#holders.get(id) ?? [])].sort((a, b) => rankOf(a) - rankOf(b))[0]
      if (owner === undefined) drop.push(reference)
      else if (lost || changed.has(owner)) put.push(this.#objectOf(owner, id, loaded.get(owner)))
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
      for (const [id, { line, named }] of linesOf(held.sections, contested)) {
        const owner = owners.get(id)
        if (owner === undefined) owners.set(id, `${file}:${line}`)
        else problems.push(duplicate(file, line, named.reference, owner))
      }
    }
    return problems
  }

  /** Keeps what a file says now (null: it is gone), and notes which objects that touches. */
  #hold(file: string, held: Held | null, touched: Map<string, Touched>): void {
    const touch = (id: string, reference: Reference): Touched =>
      touched.getOrInsertComputed(id, () => ({ reference, changed: new Set(), lost: false }))
    const before = this.#files.get(file)?.objects ?? new Map<string, Named>()
    const after = held?.objects ?? new Map<string, Named>()
    for (const [id, { reference }] of before) {
      if (after.has(id)) continue
      touch(id, reference).lost = true
      const others = this.#holders.get(id)!.filter((other) => other !== file)
      if (others.length === 0) this.#holders.delete(id)
      else this.#holders.set(id, others)
    }
    for (const [id, named] of after) {
      const known = before.get(id)
      if (known === named) continue
      touch(id, named.reference).changed.add(file)
      if (known === undefined) this.#holders.set(id, [...(this.#holders.get(id) ?? []), file])
    }
    if (held === null) this.#files.delete(file)
    else this.#files.set(file, held)
  }

  /** From what was just parsed or, in the rare case that an object comes to stand that was there before, from the text. */
  #objectOf(file: string, id: string, loaded: Loaded | undefined): Manifest {
    const { objects, sections, text } = this.#files.get(file)!
    const named = objects.get(id)!
    const fresh = loaded?.fresh.get(named)
    if (fresh !== undefined) return fresh
    const i = sections.findIndex(({ said }) => said.objects.includes(named))
    const again = parseManifest(sectionText(unpack(text), i, sections.length), file)
    const { object } = again.objects.find((it) => this.#identify(it.object) === id)!
    return { object, file, line: sections[i]!.line + named.line - 1 }
  }

  /** What a section says, without its objects: those come into `fresh`. */
  #understand(manifests: Manifests, fresh: Map<Named, Manifest>): Said {
    const objects: Named[] = []
    const unusable: Problem[] = []
    for (const manifest of manifests.objects) {
      const { file, line, object } = manifest
      const id = this.#identify(object)
      if (id === null) continue
      if (typeof id !== 'string') {
        unusable.push({ file, line, ...id })
        continue
      }
      const named = { id, reference: referenceTo(object), line }
      objects.push(named)
      fresh.set(named, manifest)
    }
    // Copies are of just the size that is needed, and there may be very many.
    const problems = [...manifests.problems, ...unusable]
    return { objects: objects.slice(), problems: problems.length === 0 ? NONE : problems }
  }
}

/** What a section of a file says; lines are its own, from 1. */
interface Said {
  readonly objects: readonly Named[]
  readonly problems: readonly Problem[]
}

/** What is left of an object. The same one as long as its section has the same text. */
interface Named {
  readonly id: string
  readonly reference: Reference
  readonly line: number
}

interface Placed extends Section {
  readonly said: Said
}

interface Held {
  readonly sections: readonly Placed[]
  /** Of each name the first object. */
  readonly objects: ReadonlyMap<string, Named>
  readonly problems: readonly Problem[]
  readonly text: Packed
}

interface Touched {
  readonly reference: Reference
  /** Files that have another object of this name than before, or for the first time. */
  readonly changed: Set<string>
  /** A file has none any more. */
  lost: boolean
}

function hold(file: string, { sections, text }: Loaded): Held {
  const objects = new Map<string, Named>()
  const problems = sections.flatMap(({ said, line }) =>
    said.problems.map((problem) => ({ ...problem, line: line + problem.line - 1 })),
  )
  const again: { readonly named: Named; readonly line: number }[] = []
  for (const { said, line } of sections) {
    for (const named of said.objects) {
      if (!objects.has(named.id)) objects.set(named.id, named)
      else again.push({ named, line: line + named.line - 1 })
    }
  }
  if (again.length > 0) {
    const lines = linesOf(sections, new Set(again.map(({ named }) => named.id)))
    for (const { named, line } of again)
      problems.push(duplicate(file, line, named.reference, `${file}:${lines.get(named.id)!.line}`))
  }
  return { sections, objects, problems: problems.sort((a, b) => a.line - b.line), text: pack(text) }
}

/** Where the objects with these names are first. */
function linesOf(sections: readonly Placed[], ids: ReadonlySet<string>): Map<string, { line: number; named: Named }> {
  const first = new Map<string, { line: number; named: Named }>()
  for (const { said, line } of sections) {
    for (const named of said.objects) {
      if (ids.has(named.id) && !first.has(named.id)) first.set(named.id, { line: line + named.line - 1, named })
    }
  }
  return first
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
  const name = [metadata.namespace, metadata.name].flatMap((part) => (part === undefined ? [] : [text(part)])).join('/')
  const problem = `has ${text(kind)} ${name.slice(0, NAME_SHOWN_MAX)} again, which ${winner} has already; not used`
  return { file, line, problem, remedy: 'remove one of the two' }
}

/** String() throws of what has a `toString` of its own. */
const text = (value: unknown): string => (typeof value === 'string' ? value : show(value))
const NONE: readonly Problem[] = []
const DEFLATE_MIN = 16 * 1024
const NAME_SHOWN_MAX = 100
