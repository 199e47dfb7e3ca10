import type { Place, Problems } from './problem.ts'

/**
 * The words of a Corefile, as caddyfile/lexer.go of coredns/caddy finds them: a byte order mark is dropped; white space (of
 * Unicode) separates; `#` starts a comment, within a word too; `"` opens a quoted word only where a word starts, which may
 * span lines and in which only `\"` is an escape. A quote that is not closed is a problem here, there it ends with the file;
 * and `{}` is two braces.
 */
export interface Token extends Place {
  readonly text: string
  /** Of its last character: a quoted word may span lines. */
  readonly endLine: number
  /** What it is when it is a brace by itself, without quotes. */
  readonly brace: '{' | '}' | null
}

/** `env`: of `{$NAME}` and `{%NAME%}`, which are put in after the words are found; null is empty. */
export function tokens(
  text: string,
  file: string,
  env: (name: string) => string | undefined,
  problems: Problems,
): Token[] {
  const found: Token[] = []
  const scan = new Scan(text)
  for (let word = scan.next(); word !== null; word = scan.next()) {
    const { raw, line, column, quoted } = word
    const place = { file, line, column }
    if (word.open) problems.report(place, 'the quote is not closed', 'end it with "')
    if (found.length >= TOKENS_MAX) {
      problems.report(place, `the file has more than ${TOKENS_MAX} words`, 'split it')
      break
    }
    const braces = quoted ? null : BRACES.get(raw)
    if (braces) found.push(...braces.map((brace) => ({ ...place, text: brace, endLine: line, brace })))
    else found.push({ ...place, text: expand(raw, env), endLine: word.endLine, brace: null })
  }
  return found
}

interface Word {
  readonly raw: string
  readonly line: number
  readonly column: number
  readonly endLine: number
  readonly quoted: boolean
  /** Its quote has no end. */
  readonly open: boolean
}

class Scan {
  readonly #text: string
  #at = 0
  #line = 1
  #column = 1

  constructor(text: string) {
    this.#text = text
    if (text.charCodeAt(0) === 0xfeff) this.#at = 1
  }

  next(): Word | null {
    this.#skip()
    if (this.#at >= this.#text.length) return null
    return this.#text[this.#at] === '"' ? this.#quoted() : this.#plain()
  }

  /** White space, comments. A carriage return is nothing at all, not even within a word. */
  #skip(): void {
    let comment = false
    for (; this.#at < this.#text.length; this.#step()) {
      const code = this.#text.charCodeAt(this.#at)
      if (code === NEWLINE) comment = false
      else if (code === HASH) comment = true
      else if (!comment && !isSpace(code)) return
    }
  }

  #plain(): Word {
    const [line, column] = [this.#line, this.#column]
    let raw = ''
    let from = this.#at
    for (; this.#at < this.#text.length; this.#step()) {
      const code = this.#text.charCodeAt(this.#at)
      if (code === RETURN) {
        raw += this.#text.slice(from, this.#at)
        from = this.#at + 1
      } else if (code === HASH || isSpace(code)) break
    }
    raw += this.#text.slice(from, this.#at)
    return { raw, line, column, endLine: line, quoted: false, open: false }
  }

  #quoted(): Word {
    const [line, column] = [this.#line, this.#column]
    const parts: string[] = []
    this.#step()
    let from = this.#at
    let open = true
    for (; this.#at < this.#text.length; this.#step()) {
      const code = this.#text.charCodeAt(this.#at)
      if (code === QUOTE) {
        open = false
        break
      }
      if (code !== BACKSLASH) continue
      if (this.#text.charCodeAt(this.#at + 1) === QUOTE) {
        parts.push(this.#text.slice(from, this.#at))
        from = this.#at + 1
      }
      this.#step() // What follows is not looked at: `\\` does not escape the quote after it.
    }
    const end = Math.min(this.#at, this.#text.length)
    parts.push(this.#text.slice(from, end))
    const endLine = this.#line
    if (!open) this.#step()
    return { raw: parts.join(''), line, column, endLine, quoted: true, open }
  }

  #step(): void {
    if (this.#at >= this.#text.length) return
    const code = this.#text.charCodeAt(this.#at++)
    if (code === NEWLINE) {
      this.#line++
      this.#column = 1
    } else if (code < 0xdc00 || code > 0xdfff) this.#column++ // the second half of a character is none
  }
}

/** What a variable holds is not looked at again, so that none can hold itself. `{$}` and what has no end stay as they are. */
function expand(raw: string, env: (name: string) => string | undefined): string {
  if (!raw.includes('{$') && !raw.includes('{%')) return raw
  const text = raw.replace(REFERENCE, (_, windows?: string, unix?: string) => env(windows ?? unix ?? '') ?? '')
  return text.slice(0, TEXT_MAX)
}

/** Go's unicode.IsSpace. */
const isSpace = (code: number): boolean => (code < 0x85 ? (code >= 9 && code <= 13) || code === 32 : SPACES.has(code))

const SPACES = new Set([
  0x85,
  0xa0,
  0x1680,
  0x2028,
  0x2029,
  0x202f,
  0x205f,
  0x3000,
  ...Array.from({ length: 11 }, (_, i) => 0x2000 + i),
])
const BRACES: ReadonlyMap<string, readonly ('{' | '}')[]> = new Map([
  ['{', ['{']],
  ['}', ['}']],
  ['{}', ['{', '}']],
])
const NEWLINE = 10
const RETURN = 13
const QUOTE = 34
const HASH = 35
const BACKSLASH = 92
const REFERENCE = /\{%([^%{}]+)%\}|\{\$([^{}]+)\}/g
const TOKENS_MAX = 200_000
const TEXT_MAX = 65_536
