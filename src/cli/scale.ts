import type { Command } from 'commander'
import { Failure } from './failure.ts'
import { connect } from './lab-client.ts'
import { findResource, pathOf, titleOf } from './resource.ts'

export function register(program: Command): void {
  program
    .command('scale')
    .description('set the number of replicas of a Deployment, StatefulSet or ReplicaSet')
    .argument('<what>', 'KIND/NAME or KIND')
    .argument('[name]')
    .requiredOption('--replicas <n>', 'how many')
    .option('-n, --namespace <namespace>', 'namespace to look in', 'default')
    .option('-s, --server <url>', 'API server (unix:///path or http://host:port) instead of the cluster that runs here')
    .addHelpText('after', '\nExample:\n  fairlead scale deploy/web --replicas 3')
    .action(scale)
}

async function scale(
  what: string,
  second: string | undefined,
  options: { replicas: string; namespace: string; server?: string },
): Promise<void> {
  const replicas = Number(options.replicas)
  if (!Number.isInteger(replicas) || replicas < 0 || options.replicas.trim() === '')
    throw new Failure(`--replicas ${options.replicas}: expected a whole number, 0 or more`, 2)
  const [kind, ...slash] = what.split('/')
  const name = slash.length > 0 ? slash.join('/') : second
  if (name === undefined) throw new Failure(`which ${what}? Write it like deploy/web`, 2)
  const api = connect(options.server)
  const resource = await findResource(api, kind!)
  const path = pathOf(resource, options.namespace, name, 'scale')
  const before = await api.must<{ spec?: { replicas?: number } }>({ path })
  await api.must({ method: 'PATCH', path, body: { spec: { replicas } }, contentType: 'application/merge-patch+json' })
  process.stdout.write(`${titleOf(resource, name)} scaled from ${before.spec?.replicas ?? 0} to ${replicas}\n`)
}
