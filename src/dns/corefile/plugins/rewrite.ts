import type { Token } from '../lexer.ts'
import { dotted } from '../name.ts'
import { pattern, type Pattern } from '../pattern.ts'
import { quote, type Problems } from '../problem.ts'
import type { Parse, Setting } from '../setting.ts'
import type { Statement } from '../statement.ts'
import type { AnswerChange, Change, How, Matching, RewriteRule, TextPart } from '../step.ts'
import { oneOf, queryClass, rcode, type } from '../value.ts'
import { edns0 } from './edns0.ts'
import { isLabel, warnOfLabel } from './metadata.ts'

/** `rewrite [continue|stop] FIELD ...`, or the same after `{`, over as many lines as one likes. Each is one rule. */
export const rewrite: Parse = (directives, setting) => ({
  plugin: 'rewrite',
  rules: directives.map((directive) => rule(directive, setting)).filter((it) => it !== null),
})

function rule(directive: Statement, said: Said): RewriteRule | null {
  const { problems } = said
  const words = [...directive.args, ...flatten(directive.body ?? [])]
  const [mode] = words
  const stop = mode?.text.toLowerCase() !== 'continue'
  if (mode !== undefined && ['stop', 'continue'].includes(mode.text.toLowerCase())) words.shift()
  const [field, ...rest] = words
  if (field === undefined) {
    problems.report(directive.name, 'rewrite does not say what', `write one of ${FIELDS.join(', ')} after it`)
    return null
  }
  if (field.text.toLowerCase() === 'answer')
    return problems.report(field, 'an answer is rewritten by a name rule', 'write name FROM TO answer ...')
  const what = oneOf(field, 'field that rewrite changes', FIELDS, problems)
  const change = what === null ? null : changes[what](rest, field, said)
  return change === null ? null : { stop, change }
}

const flatten = (body: readonly Statement[]): Token[] =>
  body.flatMap((line) => [line.name, ...line.args, ...flatten(line.body ?? [])])

type Said = Pick<Setting, 'problems' | 'warnings'>
type Read = (words: readonly Token[], at: Token, said: Said) => Change | null

const name: Read = (words, at, said) => {
  const { problems } = said
  const start = words.length === 2 ? 0 : 1
  const [from, to, ...rest] = words.slice(start)
  if (from === undefined || to === undefined)
    return problems.report(at, 'a name rule takes two names', 'write name [HOW] FROM TO')
  const how = start === 0 ? 'exact' : oneOf(words[0]!, 'way to match a name', HOWS, problems)
  if (!how) return null
  const [word] = rest
  const metadata = word?.text === 'metadata' ? word : null
  if (metadata !== null && how !== 'regex')
    return problems.report(metadata, 'metadata goes with regex rules only', 'write name regex, or remove it')
  const matched = matching(how, from, problems)
  const answers = answerRules(metadata === null ? rest : rest.slice(1), problems)
  if (matched === null || answers === null) return null
  const written = (word: Token, groups: Pattern): TextPart[] | null =>
    metadata === null ? textParts(dotted(word.text), word, groups, problems) : labelled(word, groups, said)
  const parts = matched.pattern === null ? [{ text: dotted(to.text) }] : written(to, matched.pattern)
  // An exact rule puts names back whether it is asked to or not.
  return (
    parts && {
      field: 'name',
      matching: matched.matching,
      to: parts,
      auto: how === 'exact' || answers.auto,
      answer: answers.answer,
    }
  )
}

/** `answer (auto | name FROM TO | value FROM TO)...`, where only the first `answer` must be there. */
function answerRules(words: readonly Token[], problems: Problems): { auto: boolean; answer: AnswerChange[] } | null {
  const answer: AnswerChange[] = []
  let auto: Token | null = null
  for (let i = 0; i < words.length;) {
    if (words[i]!.text === 'answer') i++
    else if (i === 0)
      return problems.report(
        words[0]!,
        `${quote(words[0]!.text)} is too much for a name rule`,
        'remove it, or write answer in front',
      )
    const word = words[i++]
    if (word === undefined)
      return problems.report(words.at(-1)!, 'answer does not say what', 'write answer auto, name or value')
    const what = oneOf(word, 'kind of answer rule', ['auto', 'name', 'value'], problems)
    if (what === null) return null
    if (what === 'auto') {
      auto = word
      continue
    }
    const [from, to] = [words[i++], words[i++]]
    if (from === undefined || to === undefined)
      return problems.report(word, `answer ${what} takes two names`, `write answer ${what} FROM TO`)
    const compiled = pattern(from, problems)
    const parts = compiled && textParts(dotted(to.text), to, compiled, problems)
    if (compiled === null || parts === null) return null
    answer.push({ what, pattern: compiled.text, to: parts })
  }
  if (auto !== null && answer.some(({ what }) => what === 'name'))
    return problems.report(auto, 'answer auto does not go with answer name', 'remove one of them')
  return { auto: auto !== null, answer }
}

const ttl: Read = (words, at, { problems }) => {
  const found = matched(words, 1, at, problems)
  const [value] = found?.rest ?? []
  if (!found || value === undefined) return null
  const match = /^([0-9]{1,10})?(-)?([0-9]{1,10})?$/.exec(value.text)
  const min = Number(match?.[1] ?? 0)
  const max = match?.[2] === undefined ? min : Number(match[3] ?? TTL_MAX)
  if (match !== null && /[0-9]/.test(value.text) && min <= max && max <= 4_294_967_295)
    return { field: 'ttl', matching: found.matching, min, max }
  return problems.report(value, `${quote(value.text)} is no TTL`, 'write SECONDS, MIN-MAX, MIN- or -MAX')
}

const rcodes: Read = (words, at, { problems }) => {
  const found = matched(words, 2, at, problems)
  if (!found) return null
  const [from, to] = found.rest.map((word) => rcode(word, problems))
  if (typeof from !== 'number' || typeof to !== 'number') return null
  return { field: 'rcode', matching: found.matching, from, to }
}

const cname: Read = (words, at, { problems }) => {
  const start = words.length === 2 ? 0 : 1
  const [from, to, more] = words.slice(start)
  if (from === undefined || to === undefined || more !== undefined)
    return problems.report(at, 'a cname rule takes two names', 'write cname [HOW] FROM TO')
  const how = start === 0 ? 'exact' : oneOf(words[0]!, 'way to match a name', HOWS, problems)
  if (!how) return null
  // Only whole names get their dot here: a suffix is compared as it stands.
  const text = (token: Token): string => (how === 'exact' ? dotted(token.text) : token.text.toLowerCase())
  if (how !== 'regex') return { field: 'cname', matching: { how, text: text(from) }, to: [{ text: text(to) }] }
  const compiled = pattern({ ...from, text: text(from) }, problems)
  const parts = compiled && textParts(text(to), to, compiled, problems)
  return compiled && parts && { field: 'cname', matching: { how, text: compiled.text }, to: parts }
}

const types: Read = (words, at, { problems }) => pair('type', words, at, type, problems)
const classes: Read = (words, at, { problems }) => pair('class', words, at, queryClass, problems)

function pair(
  field: 'type' | 'class',
  words: readonly Token[],
  at: Token,
  read: (word: Token, problems: Problems) => number | null,
  problems: Problems,
): Change | null {
  if (words.length !== 2) return problems.report(at, `a ${field} rule takes two words`, `write ${field} FROM TO`)
  const [from, to] = words.map((word) => read(word, problems))
  return typeof from === 'number' && typeof to === 'number' ? { field, from, to } : null
}

/** `[HOW] NAME` and then so many words. */
function matched(
  words: readonly Token[],
  count: number,
  at: Token,
  problems: Problems,
): { readonly matching: Matching; readonly rest: readonly Token[] } | null {
  const start = words.length === count + 1 ? 0 : 1
  if (words.length !== count + 1 + start) {
    const wanted = at.text.toLowerCase() === 'ttl' ? 'SECONDS' : 'FROM TO'
    return problems.report(at, `a ${at.text} rule has ${words.length} words`, `write ${at.text} [HOW] NAME ${wanted}`)
  }
  const how = start === 0 ? 'exact' : oneOf(words[0]!, 'way to match a name', HOWS, problems)
  const found = how && matching(how, words[start]!, problems)
  return found ? { matching: found.matching, rest: words.slice(start + 1) } : null
}

function matching(how: How, word: Token, problems: Problems): { matching: Matching; pattern: Pattern | null } | null {
  if (how !== 'regex') return { matching: { how, text: dotted(word.text) }, pattern: null }
  const compiled = pattern(word, problems)
  return compiled && { matching: { how, text: compiled.text }, pattern: compiled }
}

/** A name with `{1}`s and `{kubernetes/client-namespace}`s in it, and no other braces. */
function labelled(word: Token, pattern: Pattern, { problems, warnings }: Said): TextPart[] | null {
  const parts: TextPart[] = []
  const text = word.text.endsWith('.') ? word.text : `${word.text}.`
  for (const piece of text.split(/(\{[^{}]*\})/)) {
    const inner = piece.startsWith('{') ? piece.slice(1, -1) : null
    if (inner === null && /[{}]/.test(piece))
      return problems.report(word, `a brace has no other in ${quote(word.text)}`, 'write {1} or {kubernetes/service}')
    if (inner === null || /^[0-9]{1,3}$/.test(inner)) {
      const plain = textParts(piece.toLowerCase(), word, pattern, problems)
      if (plain === null) return null
      parts.push(...plain)
    } else if (isLabel(inner)) {
      warnOfLabel(inner, word, 'rewrite', warnings)
      parts.push({ metadata: inner })
    } else return problems.report(word, `${quote(piece)} is no label`, 'write {1} or {kubernetes/service}')
  }
  return parts
}

/** Text with `{1}`s in it, each a group of the pattern. Other braces are text. */
function textParts(text: string, at: Token, { groups }: Pattern, problems: Problems): TextPart[] | null {
  const parts: TextPart[] = []
  for (const piece of text.split(/(\{[0-9]{1,3}\})/)) {
    const group = /^\{[0-9]+\}$/.test(piece) ? Number(piece.slice(1, -1)) : null
    if (group !== null && group > groups) {
      const problem = `${piece} is no group: the pattern has ${groups === 0 ? 'none' : `${groups}`}`
      return problems.report(at, problem, 'use {0} for all that matched, or add a group')
    }
    if (group !== null) parts.push({ group })
    else if (piece !== '') parts.push({ text: piece })
  }
  return parts
}

const changes = { name, type: types, class: classes, edns0, ttl, rcode: rcodes, cname } satisfies Record<string, Read>
const FIELDS = Object.keys(changes) as (keyof typeof changes)[]
const HOWS: readonly How[] = ['exact', 'prefix', 'suffix', 'substring', 'regex']
const TTL_MAX = 2_147_483_647
