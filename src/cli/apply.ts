import type { Command } from 'commander'
import { cut } from '../lab/api/object.ts'
import { Failure } from './failure.ts'
import { collect, objectsFrom } from './files.ts'
import { connect, messageOf, type Api, type ApiObject } from './lab-client.ts'
import { pathOf, resourceOf, titleOf, type Resource } from './resource.ts'

export function register(program: Command): void {
  program
    .command('apply')
    .description('create or change objects so that they are as the files say')
    .requiredOption('-f, --filename <path>', 'file, folder or - (standard input); may be given several times', collect)
    .option('-n, --namespace <namespace>', 'for objects that name none', 'default')
    .option('-s, --server <url>', 'API server (unix:///path or http://host:port) instead of the cluster that runs here')
    .addHelpText(
      'after',
      '\nExamples:\n  fairlead apply -f shop.yaml\n  fairlead get deploy web -o yaml | sed s/v1/v2/ | fairlead apply -f -',
    )
    .action(apply)
}

async function apply(options: { filename: readonly string[]; namespace: string; server?: string }): Promise<void> {
  const manifests = await objectsFrom(options.filename)
  const api = connect(options.server)
  let failed = 0
  for (const { object, file, line } of manifests) {
    const result = await applyOne(api, object as unknown as ApiObject, options.namespace)
    if ('problem' in result) {
      failed++
      process.stderr.write(`${file}:${line}: ${result.problem}\n`)
    } else process.stdout.write(`${result.title} ${result.done}\n`)
  }
  if (failed > 0) throw new Failure(`${failed} of ${manifests.length} objects were not taken`)
}

async function applyOne(
  api: Api,
  object: ApiObject,
  fallback: string,
): Promise<{ title: string; done: string } | { problem: string }> {
  const { apiVersion = '', kind = '', metadata } = object
  if (typeof metadata?.name !== 'string' || metadata.name === '') return { problem: `${kind} has no metadata.name` }
  const resource = (await resourceOf(api, apiVersion, kind)) ?? guess(apiVersion, kind)
  const namespace = resource.namespaced ? (metadata.namespace ?? fallback) : null
  const title = titleOf(resource, cut(metadata.name))
  const path = pathOf(resource, namespace, metadata.name)
  const before = await api.ask({ path })
  const placed = namespace === null ? object : { ...object, metadata: { ...metadata, namespace } }
  const reply =
    before.code === 404
      ? await api.ask({ method: 'POST', path: pathOf(resource, namespace), query: MANAGER, body: placed })
      : await api.ask({ method: 'PATCH', path, query: { ...MANAGER, force: 'true' }, body: placed, contentType: APPLY })
  if (reply.code >= 400) return { problem: `${title}: ${messageOf(reply)}` }
  if (before.code === 404) return { title, done: 'created' }
  return { title, done: versionOf(before.body) === versionOf(reply.body) ? 'unchanged' : 'configured' }
}

/** A kind the cluster has not seen yet: a lab stores any. */
function guess(apiVersion: string, kind: string): Resource {
  const [first, second] = apiVersion.split('/')
  const [group, version] = second === undefined ? ['', first!] : [first!, second]
  return { group, version, name: `${kind.toLowerCase()}s`, kind, namespaced: true }
}

const versionOf = (body: unknown): string | undefined => (body as ApiObject).metadata?.resourceVersion

const MANAGER = { fieldManager: 'fairlead' }
const APPLY = 'application/apply-patch+yaml' // JSON is YAML
