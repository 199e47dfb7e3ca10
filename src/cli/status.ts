/** `fairlead status`: every node's agent and every server of the DNS is asked what it follows, what it programmed, and what is wrong. */
import { join } from 'node:path'
import type { Command } from 'commander'
import { askControl, type Problems } from '../lab/control.ts'
import type { Report, TargetReport } from '../status/report.ts'
import { columns, wantsColour } from './columns.ts'
import { Failure } from './failure.ts'
import { Api, findLab } from './lab-client.ts'
import { apiAt } from './dns-servers.ts'
import { printCertificates } from './status-certificates.ts'
import { askDns, dnsProblems, printDns, type AskedDns } from './status-dns.ts'
import { ago, more, reportProblems } from './status-report.ts'

export function register(program: Command): void {
  program
    .command('status')
    .description('nodes, targets, drift, last change, what the kernel lacks; the DNS')
    .argument('[nodes...]', 'only these, and no DNS')
    .option('-o, --output <format>', 'json or yaml: what they said, as it is; wide: more columns')
    .option(
      '--agent <socket>',
      'ask the agent, or the ingress controller (port 10264), on this socket (a path, or host:port) instead of those of the cluster that runs here',
    )
    .option('--dns <address>', 'ask `fairlead dns` at host:port or a socket; without --agent, only that')
    .addHelpText('after', '\nExit code 1: something is wrong, see the last lines.\n\nExample:\n  fairlead status n1')
    .action(status)
}

type Asked = { readonly node: string; readonly report: Report | null; readonly why: string }

interface Options {
  readonly output?: string
  readonly agent?: string
  readonly dns?: string
}

async function status(nodes: readonly string[], options: Options): Promise<void> {
  const { output, agent, dns } = options
  if (output !== undefined && !['json', 'yaml', 'wide'].includes(output))
    throw new Failure(`-o ${output}: expected json, yaml or wide`, 2)
  const inLab = agent === undefined && dns === undefined
  const [asked, servers] = await Promise.all([
    inLab || agent !== undefined ? Promise.all(agents(nodes, agent).map(([node, api]) => ask(node, api))) : [],
    dns !== undefined || (inLab && nodes.length === 0) ? askDns(dns) : [],
  ])
  const files = inLab ? await askFiles() : NONE
  const isWrong = problems(asked).length + dnsProblems(servers).length + files.count > 0
  const view = { colour: wantsColour(), wide: output === 'wide', nowMs: Date.now() }
  process.stdout.write(
    output === 'json' || output === 'yaml'
      ? await data(asked, servers, output)
      : render({ asked, servers, files }, view),
  )
  if (isWrong) process.exitCode = 1
}

/** A list: what agents said, then what servers of the DNS said. */
async function data(asked: readonly Asked[], servers: readonly AskedDns[], output: 'json' | 'yaml'): Promise<string> {
  const all = [
    ...asked.map(({ node, report, why }) => report ?? { node, error: why }),
    ...servers.map(({ server, report, why }) => ({ dns: server, ...(report ?? { error: why }) })),
  ]
  if (output === 'json') return `${JSON.stringify(all, null, 2)}\n`
  return (await import('js-yaml')).dump(all, { lineWidth: -1, noRefs: true })
}

/** What is wrong with the manifest files of the lab; a lab that does not answer has none to tell. */
function askFiles(): Promise<Problems> {
  return askControl<Problems>(findLab().record.controlSocket, '/problems', {}).catch(() => NONE)
}

/** Where the agent of a lab's node answers. */
export const statusSocketOf = (place: string, node: string): string => join(place, 'nodes', `${node}.status.sock`)

function agents(nodes: readonly string[], agent: string | undefined): [string, Api][] {
  if (agent !== undefined) return [[agent, apiAt(agent, '--agent')]]
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

export interface All {
  readonly asked: readonly Asked[]
  readonly servers: readonly AskedDns[]
  readonly files: Problems
}

export interface View {
  readonly colour: boolean
  readonly wide: boolean
  readonly nowMs: number
}

/** The page. Exported for its tests. */
export function render({ asked, servers, files }: All, view: View): string {
  const { colour, wide } = view
  let text = ''
  const write = (part: string): void => void (text += part)
  const reports = asked.flatMap(({ report }) => report ?? [])
  if (asked.length > 0)
    columns([...NODE, ...(wide ? ['VERSION'] : [])], write, colour).print(asked.map((each) => nodeCells(each, view)))
  const targets = reports.flatMap((report) => report.targets.map((target) => targetCells(report.node, target, view)))
  if (targets.length > 0) {
    write('\n')
    columns([...TARGET, ...(wide ? ['REPAIRS'] : [])], write, colour).print(targets)
  }
  printCertificates(reports, write, view)
  printDns(servers, write, view)
  const lacks = missing(reports)
  if (lacks.length > 0) write(`\nthe kernel lacks:\n${lacks.map((line) => `  ${line}\n`).join('')}`)
  const wrong = [
    ...problems(asked),
    ...dnsProblems(servers),
    ...[...files.first, ...more('problems', files)].map((line) => `files: ${line}`),
  ]
  if (wrong.length > 0) write(`\nto look at:\n${wrong.map((line) => `  ${line}\n`).join('')}`)
  return text.replace(/^\n/, '')
}

function nodeCells({ node, report }: Asked, { wide, nowMs }: View): string[] {
  if (report === null) return [node, 'no', ...Array<string>(wide ? 7 : 6).fill('-')]
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
    ...(wide ? [report.version] : []),
  ]
}

function targetCells(node: string, target: TargetReport, { wide, nowMs }: View): string[] {
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
    ...(wide ? [String(target.repairs)] : []),
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
    for (const line of each.report === null ? [each.why] : reportProblems(each.report))
      nodesOf.set(line, (nodesOf.get(line) ?? new Set()).add(each.node))
  }
  return [...nodesOf].map(([line, nodes]) => {
    const where = nodes.size > 1 && nodes.size === asked.length ? 'all nodes' : [...nodes].join(', ')
    return `${where}: ${line}`
  })
}

const NODE = ['NODE', 'HEALTHY', 'FOLLOWS', 'OBJECTS', 'REJECTED', 'CONNTRACK', 'MEMORY', 'UP']
const TARGET = ['NODE', 'TARGET', 'ROWS', 'PENDING', 'REFUSED', 'DRIFT', 'LAST CHANGE']
const NONE: Problems = { count: 0, first: [] }
