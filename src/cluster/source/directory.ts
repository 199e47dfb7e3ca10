import type { watch } from 'node:fs'
import type { InputTable } from '../../core/table.ts'
import type { AnyInlet } from '../inlet.ts'
import { apiVersion } from '../kind.ts'
import type { Problem } from '../manifest.ts'
import { identity } from '../metadata.ts'
import { isRecord, type Raw } from '../raw.ts'
import { show, type Rejection } from '../rejection.ts'
import { matches, type Selector } from '../selector.ts'
import { watchManifests, type Watched } from './files.ts'
import type { Change } from './holdings.ts'

export interface DirectoryOptions {
  /** YAML or JSON files, and folders of them. */
  readonly paths: readonly string[]
  readonly inlets: readonly AnyInlet[]
  /** By kind (`Service`): only those with such labels. */
  readonly selectors?: Readonly<Record<string, Selector>>
  readonly signal: AbortSignal
  /** Called once when a problem with a file appears. */
  readonly onProblem: (problem: Problem) => void
  /** Where problems with files are to stand beside those with objects. */
  readonly rejections?: InputTable<Rejection>
  /** For tests. */
  readonly watchFolder?: typeof watch
  readonly doubtMs?: number
}

/** A source that reads manifest files and follows their changes. Kinds without an inlet are none of its business. */
export function directorySource({ inlets, rejections, selectors = {}, ...options }: DirectoryOptions): Watched {
  const byKind = new Map(inlets.map((inlet) => [inlet.kind.kind, inlet]))
  const inletOf = (object: { readonly kind: unknown }) => byKind.get(object.kind as string)!
  let first = true
  const fill = ({ put }: Change) => {
    for (const inlet of inlets) {
      inlet.replace(put.filter(({ object }) => object['kind'] === inlet.kind.kind).map(({ object }) => object))
      inlet.synced()
    }
  }
  const follow = ({ put, drop }: Change) => {
    for (const object of drop) inletOf(object).drop(object)
    for (const { object } of put) byKind.get(object['kind'] as string)!.put(object)
  }
  return watchManifests({
    ...options,
    onProblems: (problems) => rejections && reportFiles(problems, rejections),
    identify: (object) => (isWanted(object, selectors) ? identify(object, byKind) : null),
    onChange: (change) => {
      if (first) fill(change)
      else follow(change)
      first = false
    },
  })
}

function isWanted(object: Raw, selectors: Readonly<Record<string, Selector>>): boolean {
  const selector = selectors[String(object['kind'])]
  if (selector === undefined) return true
  const { metadata } = object
  const labels = isRecord(metadata) && isRecord(metadata['labels']) ? metadata['labels'] : {}
  return matches(selector, new Map(Object.entries(labels) as [string, string][]))
}

function identify(object: Raw, byKind: ReadonlyMap<string, AnyInlet>) {
  const inlet = byKind.get(object['kind'] as string)
  const version = object['apiVersion'] as string
  if (inlet === undefined) return null
  const wanted = apiVersion(inlet.kind)
  if (version === wanted) return `${inlet.kind.kind} ${identity(object, inlet.kind.namespaced)}`
  // Of another group: another kind that happens to have the name (serving.knative.dev has Services too).
  if (groupOf(version) !== inlet.kind.group) return null
  const problem = `has a ${inlet.kind.kind} of version ${show(version)}; left out`
  return { problem, remedy: `write it as ${wanted}` }
}

function reportFiles(problems: readonly Problem[], rejections: InputTable<Rejection>): void {
  const rows = new Map(problems.map((it, i) => [`${FILE} ${i}`, rejectionOf(it)]))
  for (const key of [...rejections.entries()].map(([key]) => key)) {
    if (key.startsWith(`${FILE} `) && !rows.has(key)) rejections.drop(key)
  }
  for (const [key, row] of rows) rejections.put(key, row)
}

const rejectionOf = ({ file, line, problem, remedy }: Problem): Rejection => ({
  object: `${FILE} ${file}`,
  field: line === 0 ? '' : `line ${line}`,
  problem,
  remedy,
})

const groupOf = (version: string) => (version.includes('/') ? version.slice(0, version.indexOf('/')) : '')
const FILE = 'File'
