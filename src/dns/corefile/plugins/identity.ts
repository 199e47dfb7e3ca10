import { args, once, options, plain } from '../options.ts'
import type { Parse } from '../setting.ts'
import { oneOf, unique } from '../value.ts'

/** Directives of one line: who the server is, and what it is asked about itself. */

export const nsid: Parse = (directives, { problems, access }) => {
  const directive = once(directives, problems)
  plain(directive, problems)
  const words = directive.args.map(({ text }) => text)
  const data = words.length === 0 ? access.hostname() : words.join(' ')
  if (Buffer.byteLength(data) <= NSID_MAX) return { plugin: 'nsid', data }
  return problems.report(directive.args[0]!, `the identifier has more than ${NSID_MAX} octets`, 'write a shorter one')
}

export const chaos: Parse = (directives, { problems }) => {
  const directive = once(directives, problems)
  plain(directive, problems)
  const [version, ...authors] = directive.args
  for (const word of directive.args)
    if (Buffer.byteLength(word.text) > TEXT_MAX)
      problems.report(word, `a text has more than ${TEXT_MAX} octets`, 'write a shorter one')
  const names = unique(authors.map(({ text }) => text))
  return { plugin: 'chaos', version: version?.text ?? 'Fairlead', authors: [...names].sort() }
}

export const local: Parse = (directives, { problems }) => {
  const directive = once(directives, problems)
  args(directive, 0, 0, problems)
  let localhostPrefix = true
  options(
    directive,
    {
      localhost_prefix: (line) => {
        const [value] = args(line, 1, 1, problems) ?? []
        if (value) localhostPrefix = oneOf(value, 'switch', ['on', 'off'], problems) !== 'off'
      },
    },
    problems,
  )
  return { plugin: 'local', localhostPrefix }
}

export const any: Parse = (directives, { problems }) => {
  alone(directives, problems)
  return { plugin: 'any' }
}

export const minimal: Parse = (directives, { problems }) => {
  alone(directives, problems)
  return { plugin: 'minimal' }
}

export const whoami: Parse = (directives, { problems }) => {
  alone(directives, problems)
  return { plugin: 'whoami' }
}

export const loop: Parse = (directives, { problems, zones }) => {
  alone(directives, problems)
  return { plugin: 'loop', zone: zones[0] ?? '.' }
}

function alone(directives: Parameters<Parse>[0], problems: Parameters<Parse>[1]['problems']): void {
  const directive = once(directives, problems)
  args(directive, 0, 0, problems)
  plain(directive, problems)
}

const NSID_MAX = 512
const TEXT_MAX = 255
