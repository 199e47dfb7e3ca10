/**
 * Snippets are nginx configuration, and never run. The few directives that only set headers or answer are read into what
 * they mean; all else is refused by line and name. (CVE-2021-25742, CVE-2025-1974: what executes them executes anything.)
 */
import { show } from '../../cluster/rejection.ts'
import type { HeaderEdit, Respond } from '../../carrier/proxy.ts'
import type { Reader } from '../reader.ts'
import { HEADER } from '../reader.ts'
import { unknownVariable } from '../variables.ts'

export interface Snippet {
  readonly request: HeaderEdit
  readonly response: HeaderEdit
  /** `return`: instead of any backend. */
  readonly answer: Respond | { readonly location: string; readonly status: number } | null
  /** Of `auth-snippet`: set on what another server is asked. */
  readonly question: readonly (readonly [string, string])[]
}

/** Of `configuration-snippet` and `server-snippet`: both are read for the routes of their Ingress. */
export function parseSnippets(read: Reader): Snippet {
  const made: Made = { request: empty(), response: empty(), answer: null }
  for (const name of ['server-snippet', 'configuration-snippet']) {
    const text = read.lines(name)
    if (text !== null) parse(read, name, text, made)
  }
  if (read.text('server-snippet') !== null && read.rejections.every(({ field }) => !field.includes('server-snippet')))
    read.changed('server-snippet', 'holds for the routes of this Ingress, not for the whole host')
  for (const name of ['stream-snippet', 'modsecurity-snippet'])
    if (read.text(name) !== null) read.refuse(name, 'is configuration of nginx, which is never run', 'remove it')
  return { ...made, question: questionOf(read) }
}

/** Headers are all that an auth-snippet may set. */
function questionOf(read: Reader): Snippet['question'] {
  const made: Made = { request: empty(), response: empty(), answer: null }
  const text = read.lines('auth-snippet')
  if (text !== null) parse(read, 'auth-snippet', text, made)
  const { set, add, remove } = made.response
  if (made.answer !== null || set.length + add.length + remove.length > 0)
    read.refuse('auth-snippet', 'does more than set headers of the question', 'use proxy_set_header only', true)
  return made.request.set
}

interface Made {
  readonly request: HeaderEdit
  readonly response: HeaderEdit
  answer: Snippet['answer']
}

const empty = (): HeaderEdit => ({ remove: [], set: [], add: [] })

interface Directive {
  readonly line: number
  readonly words: readonly string[]
}

function parse(read: Reader, name: string, text: string, made: Made): void {
  for (const { line, words } of directives(text)) {
    const [directive = '', ...args] = words
    const wrong = take(directive, args, made)
    if (wrong === null) continue
    const problem = `line ${line}: ${directive.slice(0, 40)} ${wrong}`
    // What lets only some in, or was to happen under a condition, must not be left out silently open.
    read.refuse(
      name,
      problem,
      'use add_header, more_set_headers, proxy_set_header, return, or an annotation that does the same',
      CLOSING.test(directive),
    )
  }
}

/** null: understood; else why not. */
function take(directive: string, args: readonly string[], made: Made): string | null {
  const unknown = args.map(unknownVariable).find((variable) => variable !== null)
  if (unknown !== undefined) return `has the variable ${unknown}, which is not known`
  switch (directive) {
    case 'add_header':
      return field(args[0], args[1], args.length === 2 || args[2] === 'always', (pair) => made.response.add.push(pair))
    case 'proxy_set_header':
      return field(args[0], args[1], args.length === 2, (pair) =>
        pair[1] === '' ? made.request.remove.push(pair[0]) : made.request.set.push(pair),
      )
    case 'more_set_headers':
      for (const arg of args) {
        const [, header, value = ''] = /^([^:]+):\s*(.*)$/.exec(arg) ?? []
        const wrong = field(header, value, true, (pair) =>
          pair[1] === '' ? made.response.remove.push(pair[0]) : made.response.set.push(pair),
        )
        if (wrong !== null) return wrong
      }
      return args.length === 0 ? 'has no header' : null
    case 'return':
      return answer(args, made)
    default:
      return 'is not done'
  }
}

function field(
  name: string | undefined,
  value: string | undefined,
  isWhole: boolean,
  keep: (pair: [string, string]) => unknown,
): string | null {
  if (!isWhole || name === undefined || value === undefined) return 'has too few or too many words'
  // eslint-disable-next-line no-control-regex -- no header has any
  if (!HEADER.test(name) || /[\x00-\x08\x0a-\x1f\x7f]/.test(value))
    return `sets ${show(name)}, which is not a header field`
  if (FRAMING.test(name)) return `sets ${name}, which is the proxy's own`
  keep([name, value])
  return null
}

/** `return 403;`, `return 200 "text";`, `return 301 https://...;`, `return https://...;` */
function answer([first = '', second = '', ...more]: readonly string[], made: Made): string | null {
  if (made.answer !== null) return 'comes a second time'
  if (more.length > 0) return 'has too many words'
  if (/^https?:\/\//.test(first) && second === '') {
    made.answer = { location: first, status: 302 }
    return null
  }
  const status = Number(first)
  if (!/^\d{3}$/.test(first) || status < 200 || status > 599) return `has ${show(first)}, not a status`
  if ([301, 302, 303, 307, 308].includes(status)) {
    if (!/^(https?:\/\/|\/|\$scheme:)/.test(second)) return `has ${show(second)}, not a URL`
    made.answer = { location: second.startsWith('/') ? `$scheme://$http_host${second}` : second, status }
  } else made.answer = { status, headers: [['Content-Type', 'text/plain']], body: second }
  return null
}

/** Words of nginx.conf: quotes, `#` to the end of a line, `;` and braces. A block is one directive, named after its first word. */
function* directives(text: string): Iterable<Directive> {
  let words: string[] = []
  let [line, begun, depth] = [1, 0, 0]
  for (const { 0: token } of text.matchAll(
    /\n|#[^\n]*|"(?:[^"\\]|\\[\s\S])*"|'(?:[^'\\]|\\[\s\S])*'|[;{}]|[^\s;{}"']+/g,
  )) {
    if (token === '{') depth++
    else if (token === '}') {
      if (--depth <= 0 && words.length > 0) {
        yield { line: begun, words: [words[0]!] }
        ;[words, depth] = [[], 0]
      }
    } else if (token === ';') {
      if (depth === 0 && words.length > 0) {
        yield { line: begun, words }
        words = []
      }
    } else if (!token.startsWith('\n') && !token.startsWith('#') && depth === 0) {
      if (words.length === 0) begun = line
      words.push(/^["']/.test(token) ? token.slice(1, -1).replace(/\\(["'\\])/g, '$1') : token)
    }
    line += token.split('\n').length - 1
  }
  // Without its `;` nginx would not take it, either.
  if (words.length > 0) yield { line: begun, words: [words[0]!] }
}

const CLOSING =
  /^(if|allow|deny|satisfy|auth_|limit_|internal$|access_by_lua|rewrite_by_lua|content_by_lua|valid_referers|secure_link|set_real_ip|ssl_|modsecurity|location$|return$)/
/** Of one connection (RFC 9110 7.6.1), or what tells where a message ends. */
const FRAMING = /^(connection|content-length|transfer-encoding|upgrade|te|trailer|keep-alive|proxy-connection)$/i
