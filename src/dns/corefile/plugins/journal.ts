import type { Token } from '../lexer.ts'
import { args, flag, once, options } from '../options.ts'
import { pattern } from '../pattern.ts'
import { Problems, quote } from '../problem.ts'
import type { Parse } from '../setting.ts'
import type { Consolidate, LogClass, LogField, LogPart, LogRule } from '../step.ts'
import { domain, duration, oneOf, unique } from '../value.ts'
import { warnOfLabel } from './metadata.ts'

/** What is said about queries: `errors [stdout]`, `log [NAME...] [FORMAT]`. */

export const errors: Parse = (directives, { problems }) => {
  const directive = once(directives, problems)
  const [where] = args(directive, 0, 1, problems) ?? []
  if (where !== undefined && where.text !== 'stdout')
    problems.report(where, `errors go to stdout, not to ${quote(where.text)}`, 'write stdout, or nothing')
  const consolidate: Consolidate[] = []
  options(
    directive,
    {
      consolidate: (line) => {
        const rule = consolidated(args(line, 2, 4, problems) ?? [], problems)
        if (rule !== null) consolidate.push(rule)
      },
      stacktrace: flag(() => {}, problems),
    },
    problems,
  )
  return { plugin: 'errors', consolidate }
}

function consolidated(words: readonly Token[], problems: Problems): Consolidate | null {
  const [period, regex, ...rest] = words
  if (period === undefined || regex === undefined) return null
  let level: Consolidate['level'] = 'error'
  let showFirst = false
  for (const [i, word] of rest.entries()) {
    const found = oneOf(word, 'level', ['warning', 'error', 'info', 'debug', 'show_first'], problems)
    if (found === 'show_first') showFirst = true
    else if (found !== null && i === 0) level = found
    else if (found !== null)
      problems.report(word, 'the level comes right after the pattern', 'put it before show_first')
  }
  const periodMs = duration(period, 'the period', 1, DAY_MS, problems)
  const compiled = pattern(regex, problems)
  return periodMs === null || compiled === null ? null : { periodMs, pattern: compiled.text, level, showFirst }
}

export const log: Parse = (directives, { problems, warnings }) => {
  const rules: LogRule[] = []
  for (const directive of directives) {
    const last = directive.args.at(-1)
    const own = directive.args.length > 1 && last !== undefined && last.text.includes('{') ? last : null
    const names = own === null ? directive.args : directive.args.slice(0, -1)
    const format = own === null ? COMMON_PARTS : parts(own.text, own, warnings)
    const zones = names.length === 0 ? ['.'] : names.map((name) => domain(name, problems) ?? '.')
    let classes: readonly LogClass[] = []
    options(
      directive,
      {
        class: (line) => {
          const found = (args(line, 1, Infinity, problems) ?? []).map((word) => oneOf(word, 'class', CLASSES, problems))
          classes = unique([...classes, ...found.filter((it) => it !== null)])
        },
      },
      problems,
    )
    rules.push(
      ...zones.map((zone): LogRule => ({
        zone,
        classes: [...(classes.length === 0 ? ['all' as const] : classes)],
        format,
      })),
    )
  }
  return { plugin: 'log', rules }
}

/** Text with `{field}`s, `{>field}`s and `{/label}`s in it. Braces around anything else are text, as in CoreDNS. */
function parts(format: string, at: Token, warnings: Problems): LogPart[] {
  const whole = format.replaceAll('{combined}', `${COMMON} "{>opcode}"`).replaceAll('{common}', COMMON)
  const found: LogPart[] = []
  for (const piece of whole.split(/(\{>?[A-Za-z]+\}|\{\/[^{}]+\})/)) {
    const inner = piece.slice(1, -1)
    const field = piece.startsWith('{') ? (FIELDS.get(inner) ?? FIELDS.get(inner.toLowerCase())) : undefined
    if (field !== undefined) found.push({ field })
    else if (piece.startsWith('{/')) {
      warnOfLabel(inner.slice(1), at, 'log', warnings)
      found.push({ metadata: inner.slice(1) })
    } else {
      if (/^\{>?[A-Za-z]+\}$/.test(piece))
        warnings.unknown({ ...at, text: inner }, 'field of a log line', [...FIELDS.keys()])
      if (piece !== '') found.push({ text: piece })
    }
  }
  return found
}

const CLASSES: readonly LogClass[] = ['all', 'success', 'denial', 'error']
const FIELDS: ReadonlyMap<string, LogField> = new Map<string, LogField>([
  ['type', 'type'],
  ['name', 'name'],
  ['class', 'class'],
  ['proto', 'proto'],
  ['size', 'size'],
  ['remote', 'remote'],
  ['port', 'port'],
  ['local', 'local'],
  ['rcode', 'rcode'],
  ['rsize', 'rsize'],
  ['duration', 'duration'],
  ['>id', 'id'],
  ['>opcode', 'opcode'],
  ['>do', 'do'],
  ['>bufsize', 'bufsize'],
  ['>rflags', 'rflags'],
])
const COMMON =
  '{remote}:{port} - {>id} "{type} {class} {name} {proto} {size} {>do} {>bufsize}" {rcode} {>rflags} {rsize} {duration}'
const COMMON_PARTS = parts(COMMON, { text: '', file: '', line: 1, column: 1, endLine: 1, brace: null }, new Problems())
const DAY_MS = 86_400_000
