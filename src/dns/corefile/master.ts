import type { Place, Problems } from './problem.ts'

/** A record or a directive of a master file (RFC 1035 5.1), in words: comments, brackets and quotes are taken off. */
export interface Entry extends Place {
  readonly words: readonly { readonly text: string; readonly quoted: boolean }[]
  /** White space stands before it: its owner is that of the one before. */
  readonly indented: boolean
}

export function masterEntries(text: string, file: string, problems: Problems): readonly Entry[] {
  const entries: Entry[] = []
  let words: Entry['words'][number][] = []
  let start = { file, line: 1, column: 1 }
  let indented = false
  let depth = 0
  let line = 1
  let from = 0
  const end = (): void => {
    if (words.length > 0) entries.push({ ...start, words, indented })
    words = []
  }
  WORD.lastIndex = 0
  for (let match = WORD.exec(text); match !== null; match = WORD.exec(text)) {
    const [found, quoted, plain] = match
    const place = { file, line, column: match.index - from + 1 }
    if (quoted !== undefined || plain !== undefined) {
      if (words.length === 0) [start, indented] = [place, match.index > from]
      words.push(quoted === undefined ? { text: plain!, quoted: false } : { text: unescape(quoted), quoted: true })
      if (quoted !== undefined && found.length < quoted.length + 2)
        problems.report(place, 'the quote is not closed', 'end it with "')
      line += found.split('\n').length - 1
    } else if (found === '(') {
      if (words.length === 0) [start, indented] = [place, match.index > from]
      depth++
    } else if (found === ')') {
      if (depth === 0) problems.report(place, 'no ( is open here', 'remove the )')
      depth = Math.max(0, depth - 1)
    } else if (found === '\n') {
      line++
      from = match.index + 1
      if (depth === 0) end()
    }
    if (entries.length > ENTRIES_MAX) {
      problems.report(place, `the file has more than ${ENTRIES_MAX} records`, 'split the zone')
      return entries
    }
  }
  if (depth > 0) problems.report(start, 'a ( is not closed', 'write ) where the record ends')
  end()
  return entries
}

/** In quotes: `\"` and `\DDD`. */
const unescape = (text: string): string =>
  text.replace(/\\([0-9]{3}|.)/gs, (_, it: string) => (it.length === 3 ? String.fromCharCode(Number(it) & 255) : it))

// White space and comments are passed over; what else there is matches one of these.
const WORD = /(?:[ \t\r\f\v]|;[^\n]*)+|"((?:[^"\\]|\\.)*)"?|((?:[^\s"();\\]|\\.)+)|[()\n\\]/gs
const ENTRIES_MAX = 500_000
