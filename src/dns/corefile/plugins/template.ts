import type { Token } from '../lexer.ts'
import { TYPES } from '../numbers.ts'
import { args, options } from '../options.ts'
import { pattern, type Pattern } from '../pattern.ts'
import { placeholders } from '../placeholder.ts'
import { quote, type Problems } from '../problem.ts'
import { FIELDS, readField, readTtl, type Field } from '../record.ts'
import type { Parse, Setting } from '../setting.ts'
import type { Statement } from '../statement.ts'
import type { TemplatePart, TemplateRecord, TemplateRule } from '../step.ts'
import { number, queryClass, rcode, type, zonesOr } from '../value.ts'

/** `template CLASS TYPE [ZONES...]` */
export const template: Parse = (directives, setting) => ({
  plugin: 'template',
  templates: directives.map((directive) => rule(directive, setting)).filter((it) => it !== null),
})

type Section = 'answer' | 'additional' | 'authority'

function rule(directive: Statement, setting: Setting): TemplateRule | null {
  const { problems } = setting
  const [inClass, ofType, ...names] = args(directive, 2, Infinity, problems) ?? []
  const wantedClass = inClass && queryClass(inClass, problems)
  const wantedType = ofType && type(ofType, problems)
  const patterns: Pattern[] = []
  const written: Record<Section, Token[]> = { answer: [], additional: [], authority: [] }
  const found = { rcode: 0, extendedError: null as TemplateRule['extendedError'], fallthrough: null as string[] | null }
  const keep = (section: Section) => (line: Statement) =>
    void written[section].push(...(args(line, 1, Infinity, problems) ?? []))
  const without = (line: Statement): void => {
    problems.report(line.name, `${line.name.text} (an expression) is not supported`, 'write a match for it')
  }
  options(
    directive,
    {
      match: (line) => {
        for (const word of args(line, 1, Infinity, problems) ?? []) {
          const compiled = pattern(word, problems)
          if (compiled !== null) patterns.push(compiled)
        }
      },
      answer: keep('answer'),
      additional: keep('additional'),
      authority: keep('authority'),
      rcode: (line) => {
        const [word] = args(line, 1, 1, problems) ?? []
        found.rcode = (word && rcode(word, problems)) ?? 0
      },
      ederror: (line) => {
        const [word, reason] = args(line, 1, 2, problems) ?? []
        const code = word && number(word, 'the extended error', 0, 65_535, problems)
        if (code !== undefined && code !== null) found.extendedError = { code, text: reason?.text ?? '' }
      },
      fallthrough: (line) => (found.fallthrough = [...zonesOr(line.args, ['.'], problems)]),
      upstream: () => {}, // did something until CoreDNS 1.7
      var: without,
      expr: without,
    },
    problems,
  )
  const records = (section: Section): TemplateRecord[] =>
    written[section]
      .map((word) => recordOf(word, patterns, ofType!.text.toUpperCase(), problems))
      .filter((it) => it !== null)
  const sections = { answer: records('answer'), additional: records('additional'), authority: records('authority') }
  if (typeof wantedClass !== 'number' || typeof wantedType !== 'number') return null
  const zones = [...zonesOr(names, setting.zones, problems)]
  return {
    class: wantedClass,
    type: wantedType,
    zones,
    patterns: patterns.map(({ text }) => text),
    ...sections,
    ...found,
  }
}

/** `OWNER [TTL] [CLASS] TYPE DATA...`, with placeholders in it. */
function recordOf(word: Token, patterns: readonly Pattern[], asked: string, problems: Problems): TemplateRecord | null {
  const parts = placeholders(word.text)
  if ('unknown' in parts) return problems.report(word, `${quote(parts.unknown)} cannot be filled in`, PLACEHOLDERS)
  for (const part of parts) if (!isFilled(part, patterns, word, problems)) return null
  const [owner, ...rest] = fieldsOf(parts)
  let ttl = TTL
  for (; rest.length > 0; rest.shift()) {
    const text = plainText(rest[0]!)
    const seconds = text === null ? null : readTtl(text)
    if (seconds !== null) ttl = seconds
    else if (text === null ? !isClass(rest[0]!) : !/^(?:IN|CH|HS|CS)$/i.test(text)) break
  }
  const written = rest.shift() ?? []
  // Of a rule for one type, `{{ .Type }}` can be no other.
  const name = written.length === 1 && written[0] === 'type' ? asked : plainText(written)?.toUpperCase()
  const fields = FIELDS.get(name ?? '')
  if (owner === undefined || !name || fields === undefined) {
    const remedy = `write OWNER TTL IN TYPE DATA, with one of ${[...FIELDS.keys()].join(', ')}`
    return problems.report(word, `${quote(word.text)} is no record whose type is known`, remedy)
  }
  const data = rest.map((field, i) => checked(field, fields[Math.min(i, fields.length - 1)]!))
  const count = name === 'TXT' ? rest.length > 0 : rest.length === fields.length
  if (!count || data.includes(null)) {
    const remedy = `the data of ${name} is ${fields.join(' ')}`
    return problems.report(word, `${quote(word.text)} is no record of type ${name}`, remedy)
  }
  return { owner: [...owner], ttl, type: TYPES.get(name)!, data: data as TemplatePart[][] }
}

/** A field without placeholders is brought into its one form now; one with some, when they are filled in. */
function checked(field: readonly TemplatePart[], kind: Field): TemplatePart[] | null {
  const text = plainText(field)
  if (text === null) return [...field]
  const read = readField(kind, text, '.')
  return read === null ? null : [{ text: read }]
}

function isFilled(part: TemplatePart, patterns: readonly Pattern[], at: Token, problems: Problems): boolean {
  if (typeof part !== 'object' || 'text' in part) return true
  const name = 'namedGroup' in part ? part.namedGroup : 'number' in part ? part.number.group : null
  const index = 'group' in part ? part.group : 0
  const known = patterns.some(({ groups, names }) => (name === null ? index <= groups : names.includes(name)))
  if (known || (name === null && index === 0)) return true
  const problem = name === null ? `there is no group ${index}` : `there is no group named ${name}`
  problems.report(at, `${problem} in a match`, name === null ? 'mend the number' : `write (?P<${name}>...) in a match`)
  return false
}

/** Parts cut at white space outside of quotes; round brackets, which let records span lines, are left out. */
function fieldsOf(parts: readonly TemplatePart[]): TemplatePart[][] {
  const fields: TemplatePart[][] = []
  let current: TemplatePart[] | null = null
  let quoted = false
  for (const part of parts) {
    if (typeof part !== 'object' || !('text' in part)) {
      current ??= []
      current.push(part)
      continue
    }
    let text = ''
    const flush = (): void => {
      if (text !== '') current = [...(current ?? []), { text }]
      text = ''
    }
    for (const char of part.text) {
      if (char === '"') {
        quoted = !quoted
        current ??= []
      } else if (!quoted && /[\s()]/.test(char)) {
        flush()
        if (current !== null) fields.push(current)
        current = null
      } else text += char
    }
    flush()
  }
  if (current !== null) fields.push(current)
  return fields
}

/** Null: it has placeholders. */
function plainText(field: readonly TemplatePart[]): string | null {
  const texts = field.map((part) => (typeof part === 'object' && 'text' in part ? part.text : null))
  return texts.includes(null) ? null : texts.join('')
}

const isClass = (field: readonly TemplatePart[]): boolean => field.length === 1 && field[0] === 'class'

const PLACEHOLDERS =
  'use .Name, .Zone, .Class, .Type, .Remote, .Group.NAME, index .Match N or parseInt .Group.NAME BASE BITS'
/** Of a record without one. */
const TTL = 3600
