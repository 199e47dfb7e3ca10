/** The table of contents: one line a command. Only the command that runs is loaded, so that `fairlead get` starts quickly. */
import { Command, CommanderError } from 'commander'
import { Failure } from './cli/failure.ts'
import { version } from './cli/version.ts'

type Module = { register(program: Command): void }

const commands: readonly (readonly [name: string, summary: string, load: () => Promise<Module>])[] = [
  ['up', 'start a cluster in a box, here, and stay in the foreground', () => import('./cli/up.ts')],
  ['down', 'end the cluster that `up --detach` left running', () => import('./cli/down.ts')],
  ['exec', 'run a command in a pod, on a node or outside the cluster', () => import('./cli/exec.ts')],
  ['get', 'list objects: pods, services, nodes, endpointslices, ...', () => import('./cli/get.ts')],
  ['describe', 'all about objects: fields, conditions, events', () => import('./cli/describe.ts')],
  ['apply', 'create or change objects from files', () => import('./cli/apply.ts')],
  ['delete', 'delete objects, by file, name or label', () => import('./cli/delete.ts')],
  ['scale', 'set the number of replicas', () => import('./cli/scale.ts')],
  ['status', 'nodes, targets, drift, last change, what the kernel lacks', () => import('./cli/status.ts')],
  ['logs', 'what the agent of a node says', () => import('./cli/logs.ts')],
  ['dns', "the cluster's DNS: follow the cluster, tell the carrier what to answer", () => import('./cli/dns.ts')],
  [
    'ingress',
    'serve Ingresses: follow the cluster, tell the carrier where requests go',
    () => import('./cli/ingress.ts'),
  ],
  ['lint', 'what of an Ingress is honoured, changed or refused', () => import('./cli/lint.ts')],
  ['agent', "a node's data plane: follow the cluster, program the kernel", () => import('./cli/agent.ts')],
]

/** Exit codes: 0 done, 1 it failed, 2 it was called wrongly. */
async function main(args: readonly string[]): Promise<void> {
  const program = new Command('fairlead')
    .description('The network data plane of a Kubernetes cluster.')
    .version(version, '-V, --version', 'print the version')
    .helpCommand('help [command]', 'more about a command')
    .showHelpAfterError('(run: fairlead --help)')
    .exitOverride()
    .addHelpText('after', EXAMPLES)
  const wanted = args[0] === 'help' && args.length > 1 ? args[1] : args[0]
  for (const [name, summary, load] of commands) {
    if (name === wanted) (await load()).register(program)
    else program.command(name, { noHelp: false }).description(summary)
  }
  await program.parseAsync([...args], { from: 'user' })
}

function exitCode(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2 // commander has said it already
  if (error instanceof Failure) {
    process.stderr.write(`fairlead: ${error.message}\n`)
    return error.exitCode
  }
  process.stderr.write(`fairlead: this is a bug, please report it: ${error instanceof Error ? error.stack : error}\n`)
  return 1
}

const EXAMPLES = `
Examples:
  fairlead up                                 a cluster in a box that runs the example
  fairlead up shop.yaml --nodes 3             ... or your own manifests, on three nodes
  fairlead get pods -A -o wide
  fairlead describe svc web
  fairlead exec deploy/web -- curl -s http://api
  fairlead scale deploy/api --replicas 3
  fairlead status`

// `fairlead get pods | head`: the reader went away, which is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit(0)
})
main(process.argv.slice(2)).catch((error: unknown) => {
  process.exitCode = exitCode(error)
})
