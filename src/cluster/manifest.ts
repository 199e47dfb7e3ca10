import { readFile } from 'node:fs/promises'
import { constructFromEvents, CORE_SCHEMA, EVENT_ID, mergeTag, parseEvents, YAMLException, type Event } from 'js-yaml'
import { findManifests } from './manifests.ts'
import { isRecord, type Raw } from './raw.ts'
import { show } from './rejection.ts'

/** An object as a file has it, and where. Lists (kind List, ServiceList...) are taken apart. */
export interface Manifest {
  readonly object: Raw
  readonly file: string
  /** Line of the document the object is in, from 1. */
  readonly line: number
}

/** What is wrong with a file. */
export interface Problem {
  readonly file: string
  /** From 1; 0: the whole file. */
  readonly line: number
  readonly problem: string
  readonly remedy: string
}

export interface Manifests {
  readonly objects: readonly Manifest[]
  readonly problems: readonly Problem[]
  /** The text as a whole could not be read: `objects` is empty for that reason only. */
  readonly broken: boolean
}

/** What one text says. */
export interface ParsedText extends Manifests {
  /** It has aliases: their bounds are those of the whole text. */
  readonly aliased: boolean
}

/** `FILE:LINE: what is wrong: what to do`, for people. */
export const describeProblem = ({ file, line, problem, remedy }: Problem): string =>
  `${file}${line === 0 ? '' : `:${line}`}: ${problem}: ${remedy}`

/** Reads files and folders once. Never rejects for what is in them, or missing: that is in `problems`. */
export async function readManifests(paths: readonly string[]): Promise<Manifests> {
  const found = findManifests(paths)
  const objects: Manifest[] = []
  const problems: Problem[] = [...found.problems]
  let broken = problems.length > 0
  for (const { file } of found.files) {
    const read = await readManifest(file)
    objects.push(...read.objects)
    problems.push(...read.problems)
    broken ||= read.broken
  }
  return { objects, problems, broken }
}

async function readManifest(file: string): Promise<Manifests> {
  const read = await readText(file)
  return typeof read === 'string' ? parseManifest(read, file) : { objects: [], problems: [read], broken: true }
}

/** A file's text, or why there is none. */
export async function readText(file: string): Promise<string | Problem> {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(await readFile(file))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_ENCODING_INVALID_ENCODED_DATA')
      return { file, line: 0, problem: 'is not UTF-8 text', remedy: 'save it as UTF-8' }
    const problem = `cannot be read: ${(error as Error).message}`
    return { file, line: 0, problem, remedy: 'check that it exists and may be read' }
  }
}

/** YAML (any number of documents) or JSON. Never throws. */
export function parseManifest(text: string, file: string): ParsedText {
  const problems: Problem[] = []
  const objects: Manifest[] = []
  const complain = (line: number, problem: string, remedy: string) => problems.push({ file, line, problem, remedy })
  try {
    const { documents, aliased } = parseDocuments(text, file)
    for (const { document, line } of documents) {
      for (const object of flatten(document, (problem, remedy) => complain(line, problem, remedy))) {
        objects.push({ object, file, line })
      }
    }
    return { objects, problems, broken: false, aliased }
  } catch (error) {
    if (error instanceof YAMLException) {
      const line = error.mark ? error.mark.line + 1 : 0
      complain(line, `is not valid YAML: ${error.reason}`, 'mend this line or the one before it')
    } else if (error instanceof Unusable) complain(0, error.message, 'write it out without aliases')
    else complain(0, `cannot be parsed: ${show((error as Error).message)}`, 'check that it is YAML or JSON')
    return { objects: [], problems, broken: true, aliased: false }
  }
}

interface Document {
  readonly document: unknown
  readonly line: number
}

function parseDocuments(text: string, file: string): { documents: readonly Document[]; aliased: boolean } {
  const first = text.trimStart()[0]
  if (first === '{' || first === '[') {
    try {
      return { documents: [{ document: JSON.parse(text), line: 1 }], aliased: false }
    } catch {
      // Several documents, or broken: YAML holds JSON, and its errors have lines.
    }
  }
  const events = parseEvents(text, { filename: file, maxDepth: DEPTH_MAX })
  const documents = constructFromEvents(events, {
    source: text,
    schema: SCHEMA,
    filename: file,
    maxAliases: ALIASES_MAX,
  })
  const lines = documentLines(events, text)
  const aliased = events.some((event) => event.type === EVENT_ID.ALIAS)
  if (aliased) assertBounded(documents)
  // A YAML string is a slice that keeps the text of the whole file alive: rows must not hold those.
  const copy = (document: unknown): unknown => JSON.parse(JSON.stringify(document))
  return { documents: documents.map((document, i) => ({ document: copy(document), line: lines[i] ?? 1 })), aliased }
}

/** Of each document, the line its first value is on. */
function documentLines(events: readonly Event[], text: string): readonly number[] {
  const lines: number[] = []
  let line = 1
  let at = 0
  for (const [i, event] of events.entries()) {
    if (event.type !== EVENT_ID.DOCUMENT) continue
    const next = events[i + 1]
    const start = next === undefined ? at : 'start' in next ? next.start : 'valueStart' in next ? next.valueStart : at
    for (; at < start; at++) if (text.charCodeAt(at) === NEWLINE) line++
    lines.push(line)
  }
  return lines
}

/** Aliases can spell a gigabyte in a kilobyte, or a circle. */
function assertBounded(documents: readonly unknown[]): void {
  let nodes = 0
  const visit = (value: unknown, depth: number): void => {
    if (typeof value !== 'object' || value === null) return
    if (depth > DEPTH_MAX) throw new Unusable('is nested too deeply, or contains itself, through its aliases')
    for (const item of Object.values(value)) {
      if (++nodes > ALIASED_NODES_MAX)
        throw new Unusable(`has over ${ALIASED_NODES_MAX} values when its aliases are spelled out`)
      visit(item, depth + 1)
    }
  }
  for (const document of documents) visit(document, 0)
}

class Unusable extends Error {}

type Complain = (problem: string, remedy: string) => void

function* flatten(value: unknown, complain: Complain, depth = 0): Iterable<Raw> {
  if (value === null) return // an empty document
  if (!isRecord(value)) {
    complain(`holds ${show(value)}, not an object`, 'write a Kubernetes object')
    return
  }
  const missing = (['kind', 'apiVersion'] as const).find((it) => typeof value[it] !== 'string' || value[it] === '')
  const kind = value['kind'] as string
  if (missing !== undefined) {
    complain(`holds an object without ${missing}; left out`, `add a line like ${EXAMPLES[missing]}`)
  } else if (!kind.endsWith('List') || !Array.isArray(value['items'])) yield value
  else if (depth > LIST_DEPTH_MAX) complain('has lists in lists in lists; left out', 'write the objects in one list')
  else {
    // The items of a typed list (ServiceList) may leave their type to the list.
    const type = kind === 'List' ? {} : { apiVersion: value['apiVersion'], kind: kind.slice(0, -'List'.length) }
    for (const item of value['items']) yield* flatten(isRecord(item) ? { ...type, ...item } : item, complain, depth + 1)
  }
}

// As kubectl reads manifests, `<<` merges; the rest is YAML 1.2, so that `yes` and `on` stay text.
const SCHEMA = CORE_SCHEMA.withTags(mergeTag)
const NEWLINE = 10
const DEPTH_MAX = 100
const LIST_DEPTH_MAX = 3
const ALIASES_MAX = 10_000
const ALIASED_NODES_MAX = 1_000_000
const EXAMPLES = { kind: '"kind: Service"', apiVersion: '"apiVersion: v1"' }
