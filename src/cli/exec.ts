/** `fairlead exec TARGET -- CMD`: runs a command in a pod, on a node or outside; input, output and exit code pass through. */
import type { Command } from 'commander'
import { start } from '../kernel/exec.ts'
import { askControl, type Entry } from '../lab/control.ts'
import { Failure } from './failure.ts'
import { findLab } from './lab-client.ts'

interface Options {
  readonly namespace: string
  readonly container?: string
}

export function register(program: Command): void {
  program
    .command('exec')
    .description('run a command in a pod, on a node or outside the cluster')
    .argument('<target>', 'POD, NAMESPACE/POD, deploy/NAME (also sts, ds, job, svc), node/NAME or outside')
    .argument('<command...>', 'the command, after --')
    .option('-n, --namespace <namespace>', 'namespace of the target', 'default')
    .option('-c, --container <name>', 'container of the pod (default: the first)')
    .option('-i, --stdin', 'accepted as kubectl has it; standard input is always passed through')
    .option('-t, --tty', 'accepted as kubectl has it; a terminal here is a terminal there')
    .passThroughOptions(false)
    .addHelpText('after', EXAMPLES)
    .action(execute)
}

async function execute(target: string, command: readonly string[], options: Options): Promise<void> {
  const { record } = findLab()
  const { namespace, container } = options
  const parameters = { target, namespace, ...(container !== undefined && { container }) }
  const entry = await askControl<Entry>(record.controlSocket, '/enter', parameters).catch((error: Error) => {
    throw new Failure(`the cluster does not answer (${error.message}); see: fairlead status`)
  })
  if (entry.kind === 'unknown') throw new Failure(entry.message)
  // Without root the lab has a user namespace of its own; its owner may enter it and keeps its own user, mapped to root.
  const user = record.userNamespace ? ['--user', '--preserve-credentials'] : []
  const lab = ['--target', String(record.initPid), ...user, '--mount', '--net', '--pid', '--']
  const terminal = process.stdin.isTTY && process.env['TERM'] ? ['env', `TERM=${process.env['TERM']}`] : []
  process.exitCode = await passThrough(['nsenter', ...lab, ...entry.command, ...terminal, ...command])
}

/** Resolves with the exit code; 128 + signal number when a signal ended it, as a shell says it. */
function passThrough(command: readonly [string, ...string[]]): Promise<number> {
  const env = { ...process.env, PATH: `${process.env['PATH']}:/usr/local/sbin:/usr/sbin:/sbin` }
  const child = start(command, { stdio: 'inherit', env })
  // Ctrl-C reaches the command by itself, the terminal sends it to the whole group: the command decides what it means.
  process.on('SIGINT', () => {})
  for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal))
  return new Promise((resolve, reject) => {
    child.once('error', (error) =>
      reject(new Failure(`nsenter: ${error.message}; install it with: apt-get install util-linux`)),
    )
    child.once('exit', (code, signal) =>
      resolve(code ?? (signal === 'SIGINT' ? 130 : signal === 'SIGTERM' ? 143 : 137)),
    )
  })
}

const EXAMPLES = `
Examples:
  fairlead exec deploy/web -- curl -s http://api
  fairlead exec kube-system/dns-0 -- cat /etc/hosts
  fairlead exec node/n1 -- nft list tables
  fairlead exec outside -- curl -s http://172.30.0.192`
