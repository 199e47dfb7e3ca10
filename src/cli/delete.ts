import type { Command } from 'commander'
import { Failure } from './failure.ts'
import { collect, objectsFrom } from './files.ts'
import { connect, messageOf, type ApiObject } from './lab-client.ts'
import { findResource, pathOf, resourceOf, titleOf, type Resource } from './resource.ts'

interface Options {
  readonly filename?: readonly string[]
  readonly namespace: string
  readonly selector?: string
  readonly gracePeriod?: string
  readonly now?: true
  readonly server?: string
}

export function register(program: Command): void {
  program
    .command('delete')
    .description('delete objects, by file, name or label')
    .argument('[kind]', 'KIND or KIND/NAME')
    .argument('[names...]')
    .option('-f, --filename <path>', 'file, folder or - (standard input); may be given several times', collect)
    .option('-n, --namespace <namespace>', 'namespace of the objects', 'default')
    .option('-l, --selector <labels>', 'all of KIND with these labels, e.g. app=web')
    .option('--grace-period <seconds>', 'how long pods may take to end; 0: kill them')
    .option('--now', 'the same as --grace-period 1')
    .option('-s, --server <url>', 'API server (unix:///path or http://host:port) instead of the cluster that runs here')
    .addHelpText(
      'after',
      '\nExamples:\n  fairlead delete -f shop.yaml\n  fairlead delete pods -l app=web\n  fairlead delete pod web-0 --now',
    )
    .action(remove)
}

async function remove(kind: string | undefined, names: readonly string[], options: Options): Promise<void> {
  const grace = options.now ? 1 : options.gracePeriod === undefined ? undefined : Number(options.gracePeriod)
  if (grace !== undefined && !(Number.isInteger(grace) && grace >= 0))
    throw new Failure(`--grace-period ${options.gracePeriod}: expected whole seconds`, 2)
  if ((kind === undefined) === (options.filename === undefined))
    throw new Failure('name what to delete: KIND NAME, KIND -l LABELS, or -f FILE', 2)
  // Files first: what is wrong with them is said also when no cluster runs.
  const manifests = options.filename ? await objectsFrom(options.filename) : []
  const api = connect(options.server)
  const targets: { resource: Resource; namespace: string; name: string }[] = []
  if (kind !== undefined) {
    const [word, ...slash] = kind.split('/')
    const all = slash.length > 0 ? [slash.join('/'), ...names] : names
    const { namespace, selector } = options
    if ((all.length === 0) === (selector === undefined))
      throw new Failure(`which ${kind}? Give a name, or -l LABELS`, 2)
    const resource = await findResource(api, word!)
    targets.push(...all.map((name) => ({ resource, namespace, name })))
    if (selector !== undefined) {
      const query = { labelSelector: selector }
      const { items } = await api.must<{ items: ApiObject[] }>({ path: pathOf(resource, namespace), query })
      targets.push(...items.map(({ metadata: { name } }) => ({ resource, namespace, name })))
      if (items.length === 0) process.stderr.write(`nothing found in namespace ${namespace}\n`)
    }
  }
  // Last first: what was made later may need what was made earlier (a namespace holds the rest).
  for (const { object } of manifests.toReversed()) {
    const { apiVersion, kind: of, metadata } = object as unknown as ApiObject
    const resource = await resourceOf(api, apiVersion!, of!)
    if (resource) targets.push({ resource, namespace: metadata.namespace ?? options.namespace, name: metadata.name })
  }
  let failed = 0
  for (const { resource, namespace, name } of targets) {
    const query = {
      propagationPolicy: 'Background',
      gracePeriodSeconds: grace === undefined ? undefined : String(grace),
    }
    const reply = await api.ask({ method: 'DELETE', path: pathOf(resource, namespace, name), query })
    if (reply.code < 300) process.stdout.write(`${titleOf(resource, name)} deleted\n`)
    else {
      failed++
      process.stderr.write(`${titleOf(resource, name)}: ${messageOf(reply)}\n`)
    }
  }
  if (failed > 0) throw new Failure(`${failed} of ${targets.length} objects were not deleted`)
}
