import type { Token } from './lexer.ts'
import { quote, type Problems } from './problem.ts'

/**
 * Regular expressions as RE2 and Go's regexp read them, put down so that the carrier's (the regex crate) reads them alike:
 * what only one of the two takes for a sign is escaped. What RE2 does not have (looking around, references back) is a problem.
 */
export interface Pattern {
  readonly text: string
  /** Without the whole match. */
  readonly groups: number
  readonly names: readonly string[]
}

export function pattern(token: Token, problems: Problems): Pattern | null {
  const reader = new Reader(token.text)
  const reason = token.text.length > PATTERN_MAX ? `has more than ${PATTERN_MAX} characters` : reader.read()
  if (reason === null) return { text: reader.text, groups: reader.groups, names: reader.names }
  return problems.report(token, `the pattern ${quote(token.text)} ${reason}`, 'write a regular expression of RE2')
}

class Reader {
  readonly #source: string
  #at = 0
  #open = 0
  /** Something that `*` could repeat stands before. */
  #operand = false
  /** A repetition stands before: Go takes `a*?`, and nothing more. */
  #repeated = false
  text = ''
  groups = 0
  readonly names: string[] = []

  constructor(source: string) {
    this.#source = source
  }

  /** Why it is none. */
  read(): string | null {
    while (this.#at < this.#source.length) {
      const reason = this.#part()
      if (reason !== null) return reason
    }
    return this.#open > 0 ? 'lacks a )' : null
  }

  #part(): string | null {
    const char = this.#source[this.#at]!
    switch (char) {
      case '\\':
        return this.#escape(false)
      case '[':
        return this.#set()
      case '(':
        return this.#group()
      case ')':
        if (this.#open-- === 0) return 'has a ) without a ('
        return this.#take(1, true)
      case '|':
      case '^':
        return this.#take(1, false)
      case '*':
      case '+':
      case '?':
        return this.#repeat(1)
      case '{': {
        const counted = /^\{([0-9]{1,4})(?:,([0-9]{0,4}))?\}/.exec(this.#source.slice(this.#at, this.#at + 12))
        if (counted === null) return this.#literal()
        const [whole, low, high] = counted
        const most = Number(high || low)
        if (most > REPEAT_MAX || most < Number(low)) return `repeats ${whole}, which is too often`
        return this.#repeat(whole.length)
      }
      case '}':
      case ']':
        return this.#literal()
      default:
        return this.#take(1, true)
    }
  }

  #group(): string | null {
    const rest = this.#source.slice(this.#at, this.#at + 200)
    this.#open++
    if (!rest.startsWith('(?')) {
      this.groups++
      return this.#take(1, false)
    }
    const named = /^\(\?P?<([A-Za-z_][A-Za-z0-9_]*)>/.exec(rest)
    if (named !== null) {
      const name = named[1]!
      if (this.names.includes(name)) return `has two groups named ${name}`
      this.names.push(name)
      this.groups++
      return this.#put(named[0].length, `(?P<${name}>`, false)
    }
    if (/^\(\?<?[=!]/.test(rest)) return 'looks around, which RE2 does not do'
    const flags = /^\(\?([imsU]*(?:-[imsU]+)?)([:)])/.exec(rest)
    if (flags === null || (flags[1] === '' && flags[2] === ')'))
      return `has ${quote(rest.slice(0, 4))}, which RE2 does not know`
    if (flags[2] === ')') this.#open--
    return this.#take(flags[0].length, false)
  }

  #repeat(length: number): string | null {
    if (!this.#operand)
      return `has ${quote(this.#source.slice(this.#at, this.#at + length))} after nothing that it could repeat`
    if (this.#repeated) {
      if (this.#source[this.#at] !== '?' || this.#lazy) return 'repeats a repetition'
      this.#lazy = true
      return this.#keep(1)
    }
    this.#repeated = true
    this.#lazy = false
    return this.#keep(length)
  }
  #lazy = false

  /** `set`: between brackets. */
  #escape(set: boolean): string | null {
    const next = this.#source[this.#at + 1]
    if (next === undefined) return 'ends with a backslash'
    const rest = this.#source.slice(this.#at, this.#at + 60)
    if (next === 'Q' && !set) return this.#quoted()
    const property = /^\\[pP](?:[A-Za-z]|\{\^?[A-Za-z_]+\})/.exec(rest)
    const hex = /^\\x(?:[0-9A-Fa-f]{2}|\{[0-9A-Fa-f]{1,6}\})/.exec(rest)
    if (property !== null) return this.#put(property[0].length, property[0], true)
    if (hex !== null) return this.#put(hex[0].length, hex[0], true)
    // Octal and what the crate calls otherwise.
    if (/^\\[0-7]{1,3}/.test(rest) && next === '0') {
      const octal = /^\\[0-7]{1,3}/.exec(rest)![0]
      return this.#put(octal.length, `\\x{${Number.parseInt(octal.slice(1), 8).toString(16)}}`, true)
    }
    if (/[1-9]/.test(next)) return `refers back with \\${next}, which RE2 does not do`
    if (/[dDsSwWaftnrv]/.test(next)) return this.#put(2, `\\${next}`, true)
    if (/[bBAz]/.test(next) && !set) return this.#put(2, `\\${next}`, false)
    if (/[A-Za-z]/.test(next) || next.charCodeAt(0) > 0x7e) return `has \\${next}, which RE2 does not know`
    return this.#put(2, literal(next), true)
  }

  #quoted(): string | null {
    const end = this.#source.indexOf('\\E', this.#at)
    const stop = end === -1 ? this.#source.length : end
    const inner = this.#source.slice(this.#at + 2, stop)
    this.#at = end === -1 ? stop : end + 2
    this.text += [...inner].map(literal).join('')
    this.#operand ||= inner !== ''
    this.#repeated = false
    return null
  }

  #set(): string | null {
    const start = this.#at
    const negated = this.#source[this.#at + 1] === '^'
    this.#put(negated ? 2 : 1, negated ? '[^' : '[', true)
    for (let first = true; ; first = false) {
      const char = this.#source[this.#at]
      if (char === undefined) {
        this.#at = start
        return 'lacks a ]'
      }
      if (char === ']' && !first) return this.#take(1, true)
      const named = /^\[:\^?[a-z]+:\]/.exec(this.#source.slice(this.#at, this.#at + 14))
      if (named !== null) this.#take(named[0].length, true)
      else if (char === '\\') {
        const reason = this.#escape(true)
        if (reason !== null) return reason
      } else if (char === '-' && !this.#range()) this.#put(1, '\\-', true)
      else if ('[]&~^'.includes(char)) this.#put(1, `\\${char}`, true)
      else this.#take(1, true)
    }
  }

  /** A `-` between two that stand for themselves. */
  #range(): boolean {
    const before = this.text.at(-1)
    const after = this.#source[this.#at + 1]
    return before !== '[' && after !== undefined && after !== ']' && !/(?:^|[^\\])\[\^$/.test(this.text)
  }

  #literal(): string | null {
    return this.#put(1, `\\${this.#source[this.#at]}`, true)
  }

  #take(length: number, operand: boolean): string | null {
    return this.#put(length, this.#source.slice(this.#at, this.#at + length), operand)
  }

  #put(length: number, text: string, operand: boolean): null {
    this.text += text
    this.#at += length
    this.#operand = operand
    this.#repeated = false
    return null
  }

  #keep(length: number): null {
    this.text += this.#source.slice(this.#at, this.#at + length)
    this.#at += length
    return null
  }
}

/** A character that stands for itself, outside of brackets and within. */
const literal = (char: string): string => (/[\\^$.|?*+()[\]{}&~#-]/.test(char) ? `\\${char}` : char)

const PATTERN_MAX = 10_000
const REPEAT_MAX = 1000
