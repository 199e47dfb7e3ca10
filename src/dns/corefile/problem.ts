/** What is wrong in a Corefile or a file that it names, and where: all of it, up to PROBLEMS_MAX. */

/** Line and column from 1; columns count characters. */
export interface Place {
  readonly file: string
  readonly line: number
  readonly column: number
}

export interface Problem extends Place {
  /** What was wrong, with the word (shortened). */
  readonly problem: string
  /** What to do. */
  readonly remedy: string
}

export class Problems {
  readonly #list: Problem[] = []
  #unlisted = 0

  /** Null, so that a parser can give up in the same breath. */
  report(place: Place, problem: string, remedy: string): null {
    if (this.#list.length >= PROBLEMS_MAX) {
      this.#unlisted++
      return null
    }
    const { file, line, column } = place
    this.#list.push({ file, line, column, problem, remedy })
    return null
  }

  /** A word that is none of those that may stand there. `kind`: `option of cache`. */
  unknown(word: Place & { readonly text: string }, kind: string, known: readonly string[]): null {
    // Looking for a word costs more than all else here, and a file may be nothing but nonsense.
    if (this.#list.length >= PROBLEMS_MAX) return this.report(word, '', '')
    const meant = nearest(word.text, known)
    const remedy = meant === null ? `known: ${[...known].sort().join(', ')}` : `did you mean ${meant}?`
    return this.report(word, `${quote(word.text)} is no ${kind}`, remedy)
  }

  get any(): boolean {
    return this.#list.length > 0
  }

  /** In the order of the files and of their lines. */
  list(): readonly Problem[] {
    const files = [...new Set(this.#list.map(({ file }) => file))]
    const sorted = [...this.#list].sort(
      (a, b) => files.indexOf(a.file) - files.indexOf(b.file) || a.line - b.line || a.column - b.column,
    )
    const last = sorted.at(-1)
    if (last === undefined || this.#unlisted === 0) return sorted
    const problem = `${this.#unlisted} more problems are not listed`
    return [...sorted, { ...last, problem, remedy: 'mend those that are listed; the others then show' }]
  }
}

/** `Corefile:3:5: "chache" is no plugin; did you mean cache?` */
export const sentence = (it: Problem): string => `${it.file}:${it.line}:${it.column}: ${it.problem}; ${it.remedy}`

/** A word as it stands, cut to 60 characters, on one line. */
export const quote = (text: string): string =>
  JSON.stringify(text.length <= SHOWN_MAX ? text : `${text.slice(0, SHOWN_MAX)}...`)

/** The known word that is closest by spelling, when it is close: a third of its letters are wrong, or one more in its end. */
export function nearest(word: string, known: readonly string[]): string | null {
  const lower = word.slice(0, WORD_MAX).toLowerCase()
  if (lower === '') return null
  let best: string | null = null
  let least = Infinity
  for (const candidate of known) {
    const far = distance(lower, candidate)
    const start = lower.slice(0, 4) === candidate.slice(0, 4) ? 1 : 0
    if (far < least && far <= Math.max(1, Math.floor(candidate.length / 3) + start)) [best, least] = [candidate, far]
  }
  return best
}

/** Letters to insert, drop, change or swap with their neighbour. */
function distance(a: string, b: string): number {
  let before: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      let cost = Math.min(row[j - 1]! + 1, last[j]! + 1, change)
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, before[j - 2]! + 1)
      row.push(cost)
    }
    before = last
    last = row
  }
  return last[b.length]!
}

const PROBLEMS_MAX = 20
const SHOWN_MAX = 60
const WORD_MAX = 60
