import { createHash } from 'node:crypto'
import type { Access } from './access.ts'
import type { Configuration } from './configuration.ts'
import { blocks, type Block } from './imports.ts'
import { parseKey, type Key } from './key.ts'
import type { Token } from './lexer.ts'
import { withPods } from './plugins/autopath.ts'
import { withMetadata } from './plugins/metadata.ts'
import { bind, reload, root } from './plugins/server.ts'
import { IGNORED, PLUGINS, SETTINGS, UNSUPPORTED } from './plugins.ts'
import { Problems, quote, type Problem } from './problem.ts'
import { Sets, type Setting } from './setting.ts'
import { rowsOf } from './sources.ts'
import type { Statement } from './statement.ts'
import type { ServerListen, ServerRow, Step } from './step.ts'
import { unique } from './value.ts'

/**
 * A Corefile, as CoreDNS 1.14 reads it, to what a controller and a carrier do. Either all of it can be used, or none, and
 * then everything that is wrong with it is said at once. `path` is its absolute path: imports are relative to it.
 */
export function parseCorefile(
  text: string,
  path: string,
  access: Access,
): Configuration | { readonly problems: readonly Problem[] } {
  const problems = new Problems()
  const warnings = new Problems()
  const sets = new Sets()
  const found = text.length > TEXT_MAX ? [] : blocks(text, path, access, problems)
  const start = { file: path, line: 1, column: 1 }
  if (text.length > TEXT_MAX) problems.report(start, `the file has more than ${TEXT_MAX >> 20} MiB`, 'split it')
  else if (found.length === 0) problems.report(start, 'there is no server block', 'write . { ... }')
  const servers = found.flatMap((block) => serversOf(block, { problems, warnings, access, sets }))
  overlaps(servers, problems)
  const names = problems.any ? [] : sets.sources.flatMap((source) => rowsOf(source, access, problems, warnings))
  if (problems.any) return { problems: problems.list() }
  return {
    servers: servers.map(({ server }) => server),
    kubernetes: sets.kubernetes,
    sources: sets.sources,
    names,
    reload: sets.reload,
    digest: digest(found),
    warnings: warnings.list(),
  }
}

interface Placed {
  readonly server: ServerRow
  readonly keys: readonly Key[]
}

/** One for each transport and port that the block's keys have. */
function serversOf(block: Block, around: Omit<Setting, 'zones' | 'root'>): readonly Placed[] {
  const { problems, access, sets } = around
  const keys = block.keys.map((key) => parseKey(key, problems)).filter((key) => key !== null)
  const directives = grouped(block.body, around)
  const of = (name: string): readonly Statement[] => directives.get(name) ?? []
  const zones = unique(keys.flatMap((key) => key.zones))
  const folder = of('root').length === 0 ? '' : root(of('root'), problems)
  const setting = { ...around, zones, root: folder }
  // Whichever block says it, the whole file is read again.
  if (of('reload').length > 0) sets.reload = reload(of('reload'), problems) ?? sets.reload
  const steps: Step[] = []
  for (const [name, parse] of PLUGINS) if (of(name).length > 0) steps.push(...[parse(of(name), setting) ?? []].flat())
  const all = withMetadata(withPods(steps, of('autopath')[0], around), of, around)
  if (keys.some(({ transport }) => transport === 'tls') && of('tls').length === 0)
    problems.report(block.keys[0]!, 'this server has no certificate', 'write tls CERT KEY in its block')
  const addresses = of('bind').length === 0 ? EVERYWHERE : bind(of('bind'), access, problems)
  const places = new Map(keys.map((key) => [`${key.transport}:${key.port}`, key]))
  return [...places.values()].map(({ transport, port }) => {
    const here = keys.filter((key) => key.transport === transport && key.port === port)
    const listen = addresses.map((address): ServerListen => ({ transport, address, port }))
    const own = transport === 'tls' ? [...all] : all.filter(({ plugin }) => plugin !== 'tls')
    return { server: { listen, zones: [...unique(here.flatMap((key) => key.zones))], steps: own }, keys: here }
  })
}

/** Directives by name, those that there are. */
function grouped(
  body: readonly Statement[],
  { problems, warnings }: Pick<Setting, 'problems' | 'warnings'>,
): ReadonlyMap<string, readonly Statement[]> {
  const groups = new Map<string, Statement[]>()
  for (const statement of body) {
    const name = statement.name.text
    const group = groups.get(name)
    if (group !== undefined) group.push(statement)
    else if (PLUGINS.has(name) || (SETTINGS as readonly string[]).includes(name)) groups.set(name, [statement])
    else {
      const remedy = IGNORED.get(name)
      if (remedy === undefined) unknown(statement.name, problems)
      else warnings.report(statement.name, `${name} has no effect here`, remedy)
    }
  }
  return groups
}

function unknown(name: Token, problems: Problems): void {
  const remedy = UNSUPPORTED.get(name.text)
  if (remedy !== undefined) problems.report(name, `the plugin ${quote(name.text)} is not supported`, remedy)
  else problems.unknown(name, 'plugin', [...PLUGINS.keys(), ...SETTINGS, 'import'])
}

/** A zone has one server at each address: the same twice, or once everywhere and once at an address, is too much. */
function overlaps(placed: readonly Placed[], problems: Problems): void {
  const taken = new Map<string, { readonly at: Token; readonly everywhere: boolean }>()
  for (const { server, keys } of placed) {
    const everywhere = server.listen.some(({ address }) => address === '0.0.0.0' || address === '::')
    for (const key of keys)
      for (const zone of key.zones) {
        const place = `${key.transport}://${zone}:${key.port}`
        const here = server.listen.map(({ address }) => `${place} on ${address}`)
        const other = here.map((it) => taken.get(it)).find((it) => it !== undefined) ?? taken.get(place)
        const clash = other !== undefined && (everywhere || other.everywhere || here.some((it) => taken.has(it)))
        if (clash) {
          const where = `line ${other.at.line}${other.at.file === key.at.file ? '' : ` of ${other.at.file}`}`
          problems.report(
            key.at,
            `${place} is served already: ${where}`,
            'remove one of them, or bind them to addresses',
          )
        }
        for (const it of [place, ...here])
          taken.set(it, { at: key.at, everywhere: everywhere || (taken.get(it)?.everywhere ?? false) })
      }
  }
}

/** The same for the same words, wherever they stand. */
function digest(found: readonly Block[]): string {
  const words = ({ name, args, body }: Statement): unknown => [
    name.text,
    args.map(({ text }) => text),
    body?.map(words),
  ]
  const all = found.map(({ keys, body }) => [keys.map(({ text }) => text), body.map(words)])
  return createHash('sha512').update(JSON.stringify(all)).digest('hex')
}

/** IPv6 only where the kernel has it. */
const EVERYWHERE = ['0.0.0.0', '::']
const TEXT_MAX = 1 << 20
