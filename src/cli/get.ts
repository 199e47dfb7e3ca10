/** `fairlead get`: what the cluster has, printed as kubectl does; the server makes the tables. */
import type { Command } from 'commander'
import { columns, wantsColour, type Columns } from './columns.ts'
import { Failure } from './failure.ts'
import { connect, messageOf, type Api, type ApiObject } from './lab-client.ts'
import { findResource, pathOf, titleOf, type Resource } from './resource.ts'

interface Options {
  readonly namespace: string
  readonly allNamespaces?: true
  readonly output?: string
  readonly watch?: true
  readonly selector?: string
  readonly fieldSelector?: string
  readonly server?: string
}

export function register(program: Command): void {
  program
    .command('get')
    .description('list objects: pods, services, nodes, endpointslices, deployments, events, any KIND, or `all`')
    .argument('<kind>', 'KIND, KIND,KIND or KIND/NAME; short names work: po svc no eps deploy')
    .argument('[names...]', 'only these')
    .option('-n, --namespace <namespace>', 'namespace to look in', 'default')
    .option('-A, --all-namespaces', 'look in all of them')
    .option('-o, --output <format>', 'wide, json, yaml or name')
    .option('-w, --watch', 'go on and print what changes')
    .option('-l, --selector <labels>', 'only objects with these labels, e.g. app=web')
    .option('--field-selector <fields>', 'e.g. spec.nodeName=n1')
    .option('-s, --server <url>', 'API server (unix:///path or http://host:port) instead of the cluster that runs here')
    .addHelpText(
      'after',
      '\nExamples:\n  fairlead get pods -A -o wide\n  fairlead get service/web -o yaml\n  fairlead get pods -l app=web -w',
    )
    .action(get)
}

async function get(kinds: string, names: readonly string[], options: Options): Promise<void> {
  if (options.output !== undefined && !FORMATS.has(options.output))
    throw new Failure(`-o ${options.output}: expected wide, json, yaml or name`, 2)
  const api = connect(options.server)
  const wanted = (kinds === 'all' ? ALL : kinds).split(',').filter((word) => word !== '')
  if (options.watch && wanted.length > 1) throw new Failure('--watch takes one kind', 2)
  let printed = 0
  for (const word of wanted) {
    const [kind, ...slash] = word.split('/')
    const resource = await findResource(api, kind!)
    const only = slash.length > 0 ? [slash.join('/')] : names
    const many = wanted.length > 1
    printed += await (options.output === undefined || options.output === 'wide'
      ? printTable(api, resource, only, options, many)
      : printObjects(api, resource, only, options))
  }
  if (printed > 0 || options.watch) return
  const where = options.allNamespaces ? 'any namespace' : `namespace ${options.namespace}`
  process.stderr.write(`nothing found in ${where}${options.allNamespaces ? '' : ' (-A looks in all)'}\n`)
  if (/^(ep|endpoints)$/i.test(kinds)) process.stderr.write('Services have endpointslices: fairlead get eps\n')
}

async function printTable(
  api: Api,
  resource: Resource,
  names: readonly string[],
  options: Options,
  many: boolean,
): Promise<number> {
  const tables = await fetchAll<Table>(api, resource, names, options, TABLE)
  const first = tables[0]!
  const rows = tables.flatMap((table) => table.rows)
  if (rows.length === 0 && !options.watch) return 0
  const shown = first.columnDefinitions.flatMap(({ priority }, i) =>
    priority === 0 || options.output === 'wide' ? [i] : [],
  )
  const spaces = options.allNamespaces === true && resource.namespaced
  const header = [...(spaces ? ['NAMESPACE'] : []), ...shown.map((i) => first.columnDefinitions[i]!.name.toUpperCase())]
  const printer = columns(header, (text) => void process.stdout.write(text), wantsColour())
  const cellsOf = ({ cells, object }: Row): string[] => [
    ...(spaces ? [object.metadata.namespace ?? ''] : []),
    ...shown.map((i) => (i === 0 && many ? titleOf(resource, String(cells[i])) : String(cells[i] ?? ''))),
  ]
  const print = (more: readonly Row[]): void => printer.print(more.map(cellsOf))
  print(rows)
  if (many) process.stdout.write('\n')
  if (options.watch) await follow(api, resource, names, options, first.metadata?.resourceVersion, printer, print)
  return rows.length
}

/** Prints a row for each change, until Ctrl-C. */
async function follow(
  api: Api,
  resource: Resource,
  names: readonly string[],
  options: Options,
  from: string | undefined,
  printer: Columns,
  print: (rows: readonly Row[]) => void,
): Promise<void> {
  const stop = new AbortController()
  process.once('SIGINT', () => stop.abort())
  let resourceVersion = from
  while (!stop.signal.aborted) {
    const query = { ...filters(options), resourceVersion }
    const path = pathOf(resource, spaceOf(options))
    for await (const { type, object } of api.watch({ path, query }, stop.signal)) {
      if (type === 'ERROR') throw new Failure(`the watch ended: ${messageOf({ code: 0, body: object })}`)
      resourceVersion = object.metadata.resourceVersion ?? resourceVersion
      const { name, namespace } = object.metadata
      if (type === 'BOOKMARK' || (names.length > 0 && !names.includes(name))) continue
      const reply =
        type === 'DELETED' ? null : await api.ask({ path: pathOf(resource, namespace ?? null, name), accept: TABLE })
      if (reply?.code === 200) print((reply.body as Table).rows)
      else printer.print([[...(options.allNamespaces && namespace ? [namespace] : []), name, '(deleted)']])
    }
  }
}

async function printObjects(api: Api, resource: Resource, names: readonly string[], options: Options): Promise<number> {
  const bodies = await fetchAll<ApiObject & { items?: ApiObject[] }>(api, resource, names, options)
  const apiVersion = resource.group === '' ? resource.version : `${resource.group}/${resource.version}`
  // Items of a list do not say what they are; people and other programs want to know.
  const objects = bodies
    .flatMap((body) => body.items ?? [body])
    .map((object) => ({ apiVersion, kind: resource.kind, ...object }))
  if (options.output === 'name') {
    for (const { metadata } of objects) process.stdout.write(`${titleOf(resource, metadata.name)}\n`)
    return objects.length
  }
  const body = names.length === 1 ? objects[0] : { apiVersion: 'v1', kind: 'List', items: objects }
  if (options.output === 'json') process.stdout.write(`${JSON.stringify(body, null, 2)}\n`)
  else {
    const { dump } = await import('js-yaml')
    process.stdout.write(`${names.length === 1 ? '' : '---\n'}${dump(body, { lineWidth: -1, noRefs: true })}`)
  }
  return 1
}

async function fetchAll<Body>(
  api: Api,
  resource: Resource,
  names: readonly string[],
  options: Options,
  accept?: string,
): Promise<Body[]> {
  const one = names.length > 0
  if (one && options.allNamespaces && resource.namespaced)
    throw new Failure('a name and --all-namespaces do not go together', 2)
  if (!one)
    return [
      await api.must<Body>({
        path: pathOf(resource, spaceOf(options)),
        query: filters(options),
        ...(accept && { accept }),
      }),
    ]
  return Promise.all(
    names.map((name) => api.must<Body>({ path: pathOf(resource, options.namespace, name), ...(accept && { accept }) })),
  )
}

const spaceOf = (options: Options): string | null => (options.allNamespaces ? null : options.namespace)
const filters = (options: Options) => ({ labelSelector: options.selector, fieldSelector: options.fieldSelector })

/** metav1.Table, the parts that are printed. */
interface Table {
  readonly metadata?: { readonly resourceVersion?: string }
  readonly columnDefinitions: readonly { readonly name: string; readonly priority: number }[]
  readonly rows: readonly Row[]
}
interface Row {
  readonly cells: readonly unknown[]
  readonly object: ApiObject
}

const FORMATS = new Set(['wide', 'json', 'yaml', 'name'])
const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json'
const ALL = 'pods,services,deployments,replicasets,statefulsets,daemonsets,jobs'
