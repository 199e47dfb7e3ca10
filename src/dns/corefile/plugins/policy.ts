import type { Token } from '../lexer.ts'
import { args, flag, once, options, plain } from '../options.ts'
import { quote, type Problems } from '../problem.ts'
import type { Parse } from '../setting.ts'
import type { Statement } from '../statement.ts'
import type { AclPolicy, AclRule, FlagRule } from '../step.ts'
import { network, oneOf, type, zonesOr } from '../value.ts'

/** Who may ask what, and small changes to what is answered: `acl`, `header`, `dns64`, `loadbalance`. */

export const acl: Parse = (directives, { problems, zones }) => {
  const rules = directives.map((directive): AclRule => {
    const policies = (directive.body ?? []).map((line) => policy(line, problems)).filter((it) => it !== null)
    return { zones: [...zonesOr(directive.args, zones, problems)], policies }
  })
  return { plugin: 'acl', rules }
}

/** `allow|block|filter|drop [type TYPE...] [net NETWORK...]` */
function policy(line: Statement, problems: Problems): AclPolicy | null {
  const action = oneOf(line.name, 'action of acl', ['allow', 'block', 'filter', 'drop'], problems)
  plain(line, problems)
  const types: number[] = []
  const networks: string[] = []
  // `*` is everything, whatever else is listed.
  const all = { type: true, net: true }
  let section: 'type' | 'net' | null = null
  for (const [i, word] of line.args.entries()) {
    const lower = word.text.toLowerCase()
    if (lower === 'type' || lower === 'net') {
      section = lower
      all[section] = false
      const next = line.args[i + 1]?.text.toLowerCase()
      if (next === undefined || next === 'type' || next === 'net')
        problems.report(word, `${lower} lists nothing`, 'list what it is for, or * for everything')
    } else if (section === null) {
      problems.report(word, `${quote(word.text)} is neither type nor net`, 'write type TYPE... and net NETWORK...')
      return null
    } else if (word.text === '*') all[section] = true
    else if (section === 'type') add(types, type(word, problems))
    else add(networks, network(word, problems))
  }
  return action === null ? null : { action, types: all.type ? [] : types, networks: all.net ? [] : networks }
}

export const header: Parse = (directives, { problems }) => {
  const directive = once(directives, problems)
  args(directive, 0, 0, problems)
  const rules = { query: [] as FlagRule[], response: [] as FlagRule[] }
  const side = (which: 'query' | 'response') => (line: Statement) => {
    const [action, ...flags] = args(line, 2, Infinity, problems) ?? []
    const set = action && oneOf(action, 'action of header', ['set', 'clear'], problems)
    for (const word of set ? flags : []) {
      const found = oneOf(word, 'flag', ['aa', 'ra', 'rd'], problems)
      if (found !== null) rules[which].push({ flag: found, set: set === 'set' })
    }
  }
  options(directive, { query: side('query'), response: side('response') }, problems)
  if ((directive.body ?? []).length === 0)
    problems.report(directive.name, 'header changes nothing', 'write response set aa, or the like, in its block')
  return { plugin: 'header', ...rules }
}

export const dns64: Parse = (directives, { problems }) => {
  let prefix = '64:ff9b::/96'
  let translateAll = false
  let allowIpv4 = false
  const take = (word: Token): void => {
    const found = network(word, problems)
    if (found === null) return
    if (/^[^.]*\/(?:32|40|48|56|64|96)$/.test(found)) prefix = found
    else
      problems.report(
        word,
        `${quote(word.text)} is no prefix for it`,
        'write an IPv6 prefix of 32, 40, 48, 56, 64 or 96 bits',
      )
  }
  for (const directive of directives) {
    const [word] = args(directive, 0, 1, problems) ?? []
    if (word) take(word)
    options(
      directive,
      {
        prefix: (line) => (args(line, 1, 1, problems) ?? []).forEach(take),
        translate_all: flag(() => (translateAll = true), problems),
        allow_ipv4: flag(() => (allowIpv4 = true), problems),
      },
      problems,
    )
  }
  return { plugin: 'dns64', prefix, translateAll, allowIpv4 }
}

export const loadbalance: Parse = (directives, { problems }) => {
  const directive = once(directives, problems)
  const [word] = directive.args
  if (word?.text === 'weighted')
    problems.report(word, 'weights are not supported', 'write loadbalance, or give better addresses more names')
  else {
    args(directive, 0, 1, problems)
    if (word) oneOf(word, 'policy of loadbalance', ['round_robin'], problems)
  }
  const prefer: string[] = []
  const known = {
    prefer: (line: Statement) =>
      (args(line, 1, Infinity, problems) ?? []).forEach((it) => add(prefer, network(it, problems))),
  }
  if (word?.text !== 'weighted') options(directive, known, problems)
  return { plugin: 'loadbalance', prefer }
}

function add<T>(list: T[], value: T | null): void {
  if (value !== null) list.push(value)
}
