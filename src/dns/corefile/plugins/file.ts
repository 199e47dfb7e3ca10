import { args, options } from '../options.ts'
import { pathOf, type Parse } from '../setting.ts'
import type { FileZone } from '../step.ts'
import { duration, zonesOr } from '../value.ts'

/** `file FILE [ZONES...]`; several of them are one step, in which the longest zone answers. */
export const file: Parse = (directives, setting) => {
  const { problems, sets } = setting
  const found = new Map<string, FileZone>()
  let fallthrough: string[] | null = null
  for (const directive of directives) {
    const [path, ...names] = args(directive, 1, Infinity, problems) ?? []
    let reloadMs = MINUTE_MS
    options(
      directive,
      {
        reload: (line) => {
          const [word] = args(line, 1, 1, problems) ?? []
          reloadMs = (word && duration(word, 'reload', 0, DAY_MS, problems)) ?? reloadMs
        },
        reload_by_mtime: () => {},
        fallthrough: (line) => (fallthrough = [...zonesOr(line.args, ['.'], problems)]),
        upstream: () => {}, // did something until CoreDNS 1.7
      },
      problems,
    )
    if (path === undefined) continue
    const zones = [...zonesOr(names, setting.zones, problems)]
    const set = sets.addSource({
      kind: 'file',
      path: pathOf(path, setting),
      zones,
      reloadMs,
      reverse: false,
      inline: [],
    })
    for (const zone of zones) {
      if (found.has(zone)) problems.report(directive.name, `zone ${zone} has a file already`, 'remove one of them')
      found.set(zone, { zone, set })
    }
  }
  return { plugin: 'file', zones: [...found.values()], fallthrough }
}

const MINUTE_MS = 60_000
const DAY_MS = 86_400_000
