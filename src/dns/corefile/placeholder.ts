import type { TemplatePart } from './step.ts'

/**
 * The actions of Go's text/template that records of `template` are made with, as a plan: `{{ .Name }}`, `.Zone`, `.Class`,
 * `.Type`, `.Remote`, `.Group.NAME`, `index .Match N`, `index .Group "NAME"`, `parseInt .Group.NAME BASE BITS`, texts and
 * comments; `{{-` and `-}}` take the white space beside them. The rest of that language (if, range, variables) is not read.
 */
export function placeholders(text: string): readonly TemplatePart[] | { readonly unknown: string } {
  const parts: TemplatePart[] = []
  let rest = text
  for (;;) {
    const open = rest.indexOf('{{')
    if (open === -1) return append(parts, rest)
    const close = endOf(rest, open + 2)
    if (close === -1) return { unknown: rest.slice(open) }
    const action = rest.slice(open + 2, close)
    const before = rest.slice(0, open)
    append(parts, /^-\s/.test(action) ? before.trimEnd() : before)
    rest = rest.slice(close + 2)
    if (/\s-$/.test(action)) rest = rest.trimStart()
    const part = placeholder(action.replace(/^-\s|\s-$/g, '').trim())
    if (part === null) return { unknown: `{{${action}}}` }
    if (typeof part === 'object' && 'text' in part) append(parts, part.text)
    else if (part !== 'comment') parts.push(part)
  }
}

/** `}}` outside of quotes. */
function endOf(text: string, from: number): number {
  for (let i = from, quote = ''; i < text.length; i++) {
    const char = text[i]!
    if (quote !== '') {
      if (char === '\\' && quote === '"') i++
      else if (char === quote) quote = ''
    } else if (char === '"' || char === '`') quote = char
    else if (char === '}' && text[i + 1] === '}') return i
  }
  return -1
}

function placeholder(action: string): TemplatePart | 'comment' | null {
  if (/^\/\*.*\*\/$/s.test(action)) return 'comment'
  const alone = ALONE.get(action)
  if (alone !== undefined) return alone
  const named = /^\.Group\.(\w+)$/.exec(action) ?? /^index \.Group ["`](\w+)["`]$/.exec(action)
  if (named !== null) return { namedGroup: named[1]! }
  const numbered = /^index \.Match ([0-9]{1,2})$/.exec(action)
  if (numbered !== null) return { group: Number(numbered[1]) }
  const number = /^parseInt (?:\.Group\.(\w+)|\(index \.Group "(\w+)"\)) ([0-9]{1,2}) ([0-9]{1,2})$/.exec(action)
  const [base, bits] = [Number(number?.[3]), Number(number?.[4])]
  if (number !== null && base >= 2 && base <= 36 && bits <= 64)
    return { number: { group: (number[1] ?? number[2])!, base, bits: bits === 0 ? 64 : bits } }
  const literal = /^"([^"\\]*)"$/.exec(action) ?? /^`([^`]*)`$/.exec(action) ?? /^([0-9]+)$/.exec(action)
  return literal === null ? null : { text: literal[1]! }
}

function append(parts: TemplatePart[], text: string): TemplatePart[] {
  const last = parts.at(-1)
  if (text === '') return parts
  if (typeof last === 'object' && 'text' in last) parts[parts.length - 1] = { text: last.text + text }
  else parts.push({ text })
  return parts
}

const ALONE: ReadonlyMap<string, TemplatePart> = new Map<string, TemplatePart>([
  ['.Name', 'name'],
  ['.Zone', 'zone'],
  ['.Class', 'class'],
  ['.Type', 'type'],
  ['.Remote', 'remote'],
])
