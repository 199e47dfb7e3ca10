/**
 * No file of the repository names a place that is there for one person only: a folder of somebody's machine, or the host
 * of a package registry (a lock file that names one cannot be installed behind a mirror). `node test/lint/places.ts`
 * prints what does and exits 1.
 */
import { globSync, readFileSync, statSync } from 'node:fs'

export interface Found {
  readonly file: string
  /** From 1. */
  readonly line: number
  readonly problem: string
}

/** `files`: path from the top of the repository -> text. */
export function places(files: ReadonlyMap<string, string>): Found[] {
  const found: Found[] = []
  for (const [file, text] of files)
    for (const [problem, pattern] of PLACES)
      for (const match of text.matchAll(pattern))
        found.push({
          file,
          line: text.slice(0, match.index).split('\n').length,
          problem: `${problem}: ${match[0].trim()}`,
        })
  return found
}

const PLACES: readonly (readonly [string, RegExp])[] = [
  // At the start of a word only: ./work/, 10.0.0.0/home/ and https://host/home/ are no folders of a machine.
  ['a folder of one machine', /(?<![\w.:/+=-])\/(?:work|root|home|Users)\/[\w.-]*/g],
  [
    'the host of a registry',
    /\b(?:registry\.npmjs|registry\.yarnpkg|static\.crates|index\.crates|proxy\.golang)\.\w+/g,
  ],
  ['the host of a registry', /"resolved": *"http[^"]*/g],
]

// What is installed or built here, and git's own.
const NOT_OURS = /^(?:node_modules|native\/target|native\/fuzz\/target|\.git|\.cache|\.tap)(?:\/|$)/

if (import.meta.main) {
  const names = globSync(['**', '.*', '.*/**'], { exclude: (name) => NOT_OURS.test(name) })
  const files = new Map(
    names
      .filter((name) => !NOT_OURS.test(name) && statSync(name).isFile())
      .map((name) => [name, readFileSync(name, 'utf8')]),
  )
  const found = places(files)
  for (const { file, line, problem } of found) console.log(`${file}:${line}: ${problem}`)
  console.log(found.length === 0 ? `${files.size} files name no such place` : `${found.length} problems`)
  process.exitCode = found.length === 0 ? 0 : 1
}
