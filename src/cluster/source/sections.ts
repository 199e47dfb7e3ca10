import { hash } from 'node:crypto'
import { parseManifest, type Manifests, type Problem } from '../manifest.ts'

/** A text as stretches that say the same wherever they stand, so that after a save only new ones need parsing. */
export interface Sections {
  readonly sections: readonly Section[]
  /** By digest, what those say that were not known. Lines are counted from the section's first, which is 1. */
  readonly fresh: ReadonlyMap<string, Manifests>
}

export interface Section {
  /** Of its text. */
  readonly digest: string
  /** Its first line in the file, from 1. */
  readonly line: number
}

/**
 * Reads a text, of which sections that are `known` are not parsed; or says why it cannot be read. The answer depends on
 * the text alone, and is that of parsing it in one go: where a part may not stand for itself (directives; aliases, whose
 * bounds are those of the file; anything broken), the text is one section.
 */
export function readSections(
  text: string,
  file: string,
  known: (digest: string) => boolean,
): Sections | readonly Problem[] {
  const cuts = cut(text)
  const sections: Section[] = []
  const fresh = new Map<string, Manifests>()
  for (const { text: part, line } of cuts) {
    const digest = hash('sha256', part, 'base64')
    sections.push({ digest, line })
    if (known(digest) || fresh.has(digest)) continue
    const manifests = parseManifest(part, file)
    if (cuts.length > 1 && (manifests.broken || manifests.aliased)) return readWhole(text, file)
    if (manifests.broken) return manifests.problems
    fresh.set(digest, manifests)
  }
  return { sections, fresh }
}

/** The text of one of `count` sections. */
export const sectionText = (text: string, index: number, count: number): string =>
  count === 1 ? text : cut(text)[index]!.text

function readWhole(text: string, file: string): Sections | readonly Problem[] {
  const manifests = parseManifest(text, file)
  if (manifests.broken) return manifests.problems
  const digest = hash('sha256', text, 'base64')
  return { sections: [{ digest, line: 1 }], fresh: new Map([[digest, manifests]]) }
}

interface Cut {
  readonly text: string
  readonly line: number
}

/** At each `---` at the beginning of a line: no YAML scalar can contain one there. */
function cut(text: string): readonly Cut[] {
  const first = text.trimStart()[0]
  const isJson = first === '{' || first === '['
  if (isJson || text.startsWith('%') || text.includes('\n%') || text.includes('\n...')) return [{ text, line: 1 }]
  const cuts: Cut[] = []
  let [start, startLine, line] = [0, 1, 1]
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) {
    line++
    if (!text.startsWith('---', at + 1) || !AFTER_MARKER.has(text[at + 4])) continue
    cuts.push({ text: text.slice(start, at + 1), line: startLine })
    ;[start, startLine] = [at + 1, line]
  }
  cuts.push({ text: text.slice(start), line: startLine })
  return cuts
}

const AFTER_MARKER: ReadonlySet<string | undefined> = new Set([' ', '\t', '\r', '\n', undefined])
