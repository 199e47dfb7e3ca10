/** `fairlead status`: every node's agent is asked what it follows, what it programmed, and what is wrong. */
import { join } from 'node:path'
import type { Command } from 'commander'
import { askControl, type Problems } from '../lab/control.ts'
import { nearLimit } from '../status/connections.ts'
import type { Report, TargetReport } from '../status/report.ts'
import { columns, wantsColour } from './columns.ts'
import { Failure } from './failure.ts'
import { Api, findLab } from './lab-client.ts'

export function register(program: Command): void {
  program
    .command('status')
    .description('nodes, targets, drift, last change, what the kernel lacks')
    .argument('[nodes...]', 'only these')
    .option('-o, --output <format>', 'json: what the agents said, as it is')
    .option(
      '--agent <socket>',
      'ask the agent on this socket (a path, or host:port) instead of those of the cluster that runs here',
    )
    .addHelpText('after', '\nExit code 1: something is wrong, see the last lines.\n\nExample:\n  fairlead status n1')
    .action(status)
}

type Asked = { readonly node: string; readonly report: Report | null; readonly why: string }

async function status(nodes: readonly string[], options: { output?: string; agent?: string }): Promise<void> {
  if (options.output !== undefined && options.output !== 'json')
    throw new Failure(`-o ${options.output}: expected json`, 2)
  const asked = await Promise.all(agents(nodes, options.agent).map(([node, api]) => ask(node, api)))
  if (options.output === 'json') {
    process.stdout.write(
      `${JSON.stringify(
        asked.map(({ node, report, why }) => report ?? { node, error: why }),
        null,
        2,
      )}\n`,
    )
    if (problems(asked).length > 0) process.exitCode = 1
    return
  }
  const files = options.agent === undefined ? await askFiles() : NONE
  process.stdout.write(render(asked, wantsColour(), Date.now(), files))
  if (problems(asked).length + files.count > 0) process.exitCode = 1
}

/** What is wrong with the manifest files of the lab; a lab that does not answer has none to tell. */
function askFiles(): Promise<Problems> {
  return askControl<Problems>(findLab().record.controlSocket, '/problems', {}).catch(() => NONE)
}

/** Where the agent of a lab's node answers. */
export const statusSocketOf = (place: string, node: string): string => join(place, 'nodes', `${node}.status.sock`)

function agents(nodes: readonly string[], agent: string | undefined): [string, Api][] {
  if (agent !== undefined) {
    if (agent.startsWith('/')) return [[agent, new Api({ socketPath: agent })]]
    const match = /^(.*):(\d+)$/.exec(agent)
    if (!match) throw new Failure(`--agent ${agent}: expected /path or host:port`, 2)
    return [[agent, new Api({ host: match[1]!.replace(/^\[|\]$/g, ''), port: Number(match[2]) })]]
  }
  const { record, place } = findLab()
  const unknown = nodes.filter((name) => !record.nodes.includes(name))
  if (unknown.length > 0) throw new Failure(`no node ${unknown.join(', ')}; there are ${record.nodes.join(', ')}`)
  const wanted = nodes.length > 0 ? nodes : record.nodes
  return wanted.map((name) => [name, new Api({ socketPath: statusSocketOf(place, name) })])
}

async function ask(node: string, api: Api): Promise<Asked> {
  try {
    const report = await api.must<Report>({ path: '/statusz' })
    return { node: report.node, report, why: '' }
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    return { node, report: null, why: 'its agent does not answer: see fairlead logs node/' + node }
  }
}

/** The page. Exported for its tests. */
export function render(asked: readonly Asked[], colour: boolean, nowMs = Date.now(), files = NONE): string {
  let text = ''
  const write = (part: string): void => void (text += part)
  const reports = asked.flatMap(({ report }) => report ?? [])
  columns(['NODE', 'HEALTHY', 'FOLLOWS', 'OBJECTS', 'REJECTED', 'CONNTRACK', 'MEMORY', 'UP'], write, colour).print(
    asked.map(({ node, report }) => (report ? nodeCells(report, nowMs) : [node, 'no', '-', '-', '-', '-', '-', '-'])),
  )
  const targets = reports.flatMap((report) => report.targets.map((target) => targetCells(report.node, target, nowMs)))
  if (targets.length > 0) {
    write('\n')
    columns(['NODE', 'TARGET', 'ROWS', 'PENDING', 'REFUSED', 'DRIFT', 'LAST CHANGE'], write, colour).print(targets)
  }
  const lacks = missing(reports)
  if (lacks.length > 0) write(`\nthe kernel lacks:\n${lacks.map((line) => `  ${line}\n`).join('')}`)
  const wrong = [...problems(asked), ...[...files.first, ...more('problems', files)].map((line) => `files: ${line}`)]
  if (wrong.length > 0) write(`\nto look at:\n${wrong.map((line) => `  ${line}\n`).join('')}`)
  return text
}

function nodeCells(report: Report, nowMs: number): string[] {
  const following = report.sources.filter(({ state }) => state === 'watching').length
  const objects = report.sources.reduce((sum, source) => sum + source.objects, 0)
  return [
    report.node,
    report.healthy ? 'yes' : 'no',
    `${following}/${report.sources.length} kinds`,
    String(objects),
    String(report.rejections.count),
    report.connections === null ? '-' : `${report.connections.entries}/${report.connections.max}`,
    `${Math.round(report.memoryBytes / 1e6)} MB`,
    ago(report.startedAt, nowMs),
  ]
}

function targetCells(node: string, target: TargetReport, nowMs: number): string[] {
  const { last, appliedAt, drift } = target
  const change =
    last === null
      ? 'none yet'
      : `${last.full ? 'all' : `+${last.put} -${last.drop}`} in ${(last.seconds * 1000).toFixed(1)} ms`
  return [
    node,
    target.name,
    String(target.rows),
    String(target.pending),
    String(target.refused.count),
    drift === null ? 'not looked yet' : drift.clean ? 'clean' : 'drift',
    appliedAt === null ? change : `${change}, ${ago(appliedAt, nowMs)} ago`,
  ]
}

/** A feature once, with the nodes that lack it. */
function missing(reports: readonly Report[]): string[] {
  const lacking = new Map<string, { remedy: string; nodes: string[] }>()
  for (const { node, kernel } of reports) {
    for (const { name, present, remedy } of kernel) {
      if (present) continue
      if (!lacking.has(name)) lacking.set(name, { remedy, nodes: [] })
      lacking.get(name)!.nodes.push(node)
    }
  }
  return [...lacking].map(
    ([name, { remedy, nodes }]) => `${name} (${nodes.length === reports.length ? 'all nodes' : nodes}): ${remedy}`,
  )
}

/** What a person should look at, one line each; what is so on several nodes, once. */
function problems(asked: readonly Asked[]): string[] {
  const nodesOf = new Map<string, Set<string>>()
  for (const each of asked) {
    for (const line of problemsOf(each)) nodesOf.set(line, (nodesOf.get(line) ?? new Set()).add(each.node))
  }
  return [...nodesOf].map(([line, nodes]) => {
    const where = nodes.size > 1 && nodes.size === asked.length ? 'all nodes' : [...nodes].join(', ')
    return `${where}: ${line}`
  })
}

function problemsOf({ report, why }: Asked): string[] {
  if (!report) return [why]
  const { sources, targets, faults, rejections, healthy, connections } = report
  const near = connections === null ? null : nearLimit(connections)
  return [
    ...(healthy ? [] : ['changes wait for longer than they may']),
    ...(near === null ? [] : [near]),
    ...sources.flatMap(({ kind, state, error }) => (error === null ? [] : `${kind}: ${state}: ${error}`)),
    ...targets.flatMap((target) => troublesOf(target)),
    ...faults.first.map(
      (fault) => `${fault}: this is a bug, please report it; the object has no effect until it changes`,
    ),
    ...more('faults', faults),
    ...rejections.first.map(({ object, field, problem, remedy }) => `${object}: ${field}: ${problem}: ${remedy}`),
    ...more('rejections', rejections),
  ]
}

function troublesOf({ name, error, drift, refused }: TargetReport): string[] {
  return [
    ...(error === null ? [] : [`${name}: ${error}`]),
    ...(drift === null || drift.clean ? [] : [`${name}: drift: ${drift.detail}`]),
    ...refused.first.map(({ key, reason, remedy }) => `${name}: ${key}: ${reason}: ${remedy}`),
    ...more(`refused rows of ${name}`, refused),
  ]
}

function more(what: string, { count, first }: { count: number; first: readonly unknown[] }): string[] {
  return count > first.length ? [`... and ${count - first.length} more ${what}`] : []
}

/** 12s, 5m, 3h, 2d. */
function ago(since: string, nowMs: number): string {
  const seconds = Math.max(0, Math.round((nowMs - Date.parse(since)) / 1000))
  if (seconds < 120) return `${seconds}s`
  if (seconds < 7200) return `${Math.floor(seconds / 60)}m`
  return seconds < 172_800 ? `${Math.floor(seconds / 3600)}h` : `${Math.floor(seconds / 86_400)}d`
}

const NONE: Problems = { count: 0, first: [] }
