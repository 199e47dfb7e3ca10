import { parseAddress } from '../../../cluster/address.ts'
import type { InlineHosts } from '../configuration.ts'
import { args, flag, once, options } from '../options.ts'
import { quote, type Problems } from '../problem.ts'
import { pathOf, type Parse } from '../setting.ts'
import type { Statement } from '../statement.ts'
import { domain, duration, number, zonesOr } from '../value.ts'

/** `hosts [FILE [ZONES...]]`, with lines of a hosts file in its block. */
export const hosts: Parse = (directives, setting) => {
  const { problems } = setting
  const directive = once(directives, problems)
  const [file, ...names] = directive.args
  const zones = [...zonesOr(names, setting.zones, problems)]
  const found = { ttl: 3600, fallthrough: null as string[] | null, fallthroughUnsupported: false }
  let reverse = true
  let reloadMs = 5000
  const known = {
    ttl: (line: Statement) => {
      const [word] = args(line, 1, 1, problems) ?? []
      found.ttl = (word && number(word, 'the TTL', 1, 65_535, problems)) ?? found.ttl
    },
    no_reverse: flag(() => (reverse = false), problems),
    reload: (line: Statement) => {
      const [word] = args(line, 1, 1, problems) ?? []
      reloadMs = (word && duration(word, 'reload', 0, DAY_MS, problems)) ?? reloadMs
    },
    fallthrough: (line: Statement) => (found.fallthrough = [...zonesOr(line.args, ['.'], problems)]),
    fallthrough_unsupported: flag(() => (found.fallthroughUnsupported = true), problems),
  }
  const isHost = (line: Statement): boolean => !Object.hasOwn(known, line.name.text) && /^[0-9]|:/.test(line.name.text)
  const body = directive.body ?? []
  options({ ...directive, body: body.filter((line) => !isHost(line)) }, known, problems)
  const inline = body.filter(isHost).flatMap((line) => host(line, problems))
  if (found.fallthroughUnsupported && found.fallthrough === null)
    problems.report(directive.name, 'fallthrough_unsupported is for fallthrough', 'write fallthrough, too')
  const path = file === undefined ? '/etc/hosts' : pathOf(file, setting)
  const set = setting.sets.addSource({ kind: 'hosts', path, zones, reloadMs, reverse, inline })
  return { plugin: 'hosts', set, zones, ...found }
}

function host(line: Statement, problems: Problems): readonly InlineHosts[] {
  const address = parseAddress(line.name.text)
  const names = line.args.map((word) => domain(word, problems)).filter((name) => name !== null)
  if (address === null) problems.report(line.name, `${quote(line.name.text)} is no address`, 'write ADDRESS NAME...')
  else if (line.args.length === 0) problems.report(line.name, 'no name follows the address', 'write ADDRESS NAME...')
  return address === null ? [] : [{ address, names }]
}

const DAY_MS = 86_400_000
