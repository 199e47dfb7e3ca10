import type { Token } from './lexer.ts'
import { quote, type Problems } from './problem.ts'

/** A line of a Corefile: a word, what follows it on the line, and the block that opens at the line's end. */
export interface Statement {
  readonly name: Token
  readonly args: readonly Token[]
  readonly body: readonly Statement[] | null
}

/** What stands outside of every block. */
export type Item =
  | { readonly kind: 'server'; readonly keys: readonly Token[]; readonly body: readonly Statement[] }
  | { readonly kind: 'snippet'; readonly name: string; readonly at: Token; readonly body: readonly Statement[] }
  | { readonly kind: 'import'; readonly statement: Statement }

/** A whole Corefile, or a file that is imported outside of blocks. */
export function items(tokens: readonly Token[], problems: Problems): Item[] {
  const reader = new Reader(tokens, problems)
  const found: Item[] = []
  for (let item = reader.item(); item !== null; item = reader.item()) found.push(item)
  return found
}

/** A file that is imported inside of a block. */
export const statements = (tokens: readonly Token[], problems: Problems): Statement[] =>
  new Reader(tokens, problems).body(null, 0)

class Reader {
  readonly #tokens: readonly Token[]
  readonly #problems: Problems
  #at = 0

  constructor(tokens: readonly Token[], problems: Problems) {
    this.#tokens = tokens
    this.#problems = problems
  }

  item(): Item | null {
    for (let stray = this.#peek(); stray?.brace === '}'; stray = this.#peek()) {
      this.#problems.report(stray, 'no block is open here to end', 'remove the }, or look for one too many above')
      this.#at++
    }
    const first = this.#peek()
    if (first === null) return null
    if (first.text === 'import' && first.brace === null) {
      this.#at++
      return { kind: 'import', statement: { name: first, args: this.#line(first), body: null } }
    }
    const keys = this.#keys()
    const open = this.#peek()?.brace === '{' ? this.#tokens[this.#at++]! : null
    const [key] = keys
    const name = keys.length === 1 && key !== undefined ? SNIPPET.exec(key.text)?.[1] : undefined
    if (name !== undefined && open === null) {
      this.#problems.report(key!, `snippet ${quote(name)} has no block`, 'write (NAME) { ... }')
    }
    // Without braces the rest of the file is the one block that there is.
    const body = this.body(open, 0)
    if (name !== undefined) return { kind: 'snippet', name, at: key!, body }
    if (keys.length === 0)
      this.#problems.report(first, 'this block has no zone in front of it', 'write a zone, as in . { ... }')
    return { kind: 'server', keys, body }
  }

  /** Up to the end of the line, or of a later one: a comma at the end of a key says that another follows. */
  #keys(): Token[] {
    const keys: Token[] = []
    let comma: Token | null = null
    for (let last: Token | null = null; ;) {
      const token = this.#peek()
      if (token === null || token.brace !== null) break
      if (last !== null && comma === null && !sameLine(last, token)) break
      last = token
      this.#at++
      comma = token.text.endsWith(',') ? token : null
      const text = comma === null ? token.text : token.text.slice(0, -1)
      if (text !== '') keys.push({ ...token, text })
    }
    if (comma !== null) this.#problems.report(comma, 'a zone should follow the comma', 'remove the comma')
    return keys
  }

  /** To the `}` of `open`, or without one to the end. */
  body(open: Token | null, depth: number): Statement[] {
    const found: Statement[] = []
    for (;;) {
      const token = this.#peek()
      if (token === null) {
        if (open !== null) this.#problems.report(open, 'this block is not closed', 'write } where it ends')
        return found
      }
      this.#at++
      if (token.brace === '}') {
        if (open !== null) return found
        this.#problems.report(token, 'no block is open here to end', 'remove the }, or look for one too many above')
      } else if (token.brace === '{') {
        const remedy = 'put the { at the end of the line of what it belongs to'
        this.#problems.report(token, 'a block opens without anything in front of it', remedy)
        this.#skip(token, depth)
      } else found.push(this.#statement(token, depth))
    }
  }

  #statement(name: Token, depth: number): Statement {
    const args = this.#line(name)
    const next = this.#peek()
    if (next?.brace !== '{' || !sameLine(args.at(-1) ?? name, next)) return { name, args, body: null }
    this.#at++
    if (depth >= DEPTH_MAX) {
      this.#problems.report(next, `blocks are more than ${DEPTH_MAX} deep here`, 'take some of the braces away')
      this.#skip(next, depth)
      return { name, args, body: [] }
    }
    return { name, args, body: this.body(next, depth + 1) }
  }

  /** The rest of the line, up to a brace. */
  #line(first: Token): Token[] {
    const args: Token[] = []
    for (let last = first; ;) {
      const token = this.#peek()
      if (token === null || token.brace !== null || !sameLine(last, token)) return args
      args.push(token)
      last = token
      this.#at++
    }
  }

  /** A block that opened where none may: to its end, without a word more about it. */
  #skip(open: Token, depth: number): void {
    let deep = 1
    while (deep > 0) {
      const token = this.#peek()
      if (token === null) break
      this.#at++
      deep += token.brace === '{' ? 1 : token.brace === '}' ? -1 : 0
    }
    if (deep > 0 && depth === 0) this.#problems.report(open, 'this block is not closed', 'write } where it ends')
  }

  #peek(): Token | null {
    return this.#tokens[this.#at] ?? null
  }
}

const sameLine = (last: Token, next: Token): boolean => last.file === next.file && last.endLine === next.line

const SNIPPET = /^\((.*)\)$/s
const DEPTH_MAX = 20
