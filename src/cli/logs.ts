/** `fairlead logs`: what the agent of a node, or a container, wrote; the lab keeps the last megabyte of each. */
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync, statSync, watch } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Command } from 'commander'
import { Failure } from './failure.ts'
import { findLab } from './lab-client.ts'

interface Options {
  readonly namespace: string
  readonly follow?: true
  readonly tail?: string
}

export function register(program: Command): void {
  program
    .command('logs')
    .description('what the agent of a node, or the containers of a pod, wrote')
    .argument('<what>', 'node/NAME or POD')
    .argument('[container]')
    .option('-n, --namespace <namespace>', 'namespace of the pod', 'default')
    .option('-f, --follow', 'go on as more comes')
    .option('--tail <lines>', 'only the last ones')
    .addHelpText('after', '\nExamples:\n  fairlead logs node/n1 -f\n  fairlead logs web-0 --tail 20')
    .action(logs)
}

async function logs(what: string, container: string | undefined, options: Options): Promise<void> {
  const tail = options.tail === undefined ? Infinity : Number(options.tail)
  if (!(tail >= 0)) throw new Failure(`--tail ${options.tail}: expected a number of lines`, 2)
  const { record, place } = findLab()
  const folder = join(place, 'logs')
  const file = what.startsWith('node/')
    ? nodeLog(folder, what.slice(5), record.nodes)
    : podLog(folder, what, container, options)
  const lines = readLog(file).split('\n')
  // A text that ends in a newline has an empty string after it.
  const from = tail === Infinity ? 0 : Math.max(0, lines.length - (lines.at(-1) === '' ? 1 : 0) - tail)
  process.stdout.write(lines.slice(from).join('\n'))
  if (options.follow) await follow(file)
}

function nodeLog(folder: string, node: string, nodes: readonly string[]): string {
  if (!nodes.includes(node)) throw new Failure(`no node ${node}; there are ${nodes.join(', ')}`)
  return join(folder, `${node}.log`)
}

function podLog(folder: string, pod: string, container: string | undefined, { namespace }: Options): string {
  const prefix = `${namespace}_${pod.replace(/^pods?\//, '')}_`
  const all = existsSync(join(folder, 'pods')) ? readdirSync(join(folder, 'pods')) : []
  const found = all.filter((name) => name.startsWith(prefix) && name.endsWith('.log')).sort()
  const names = found.map((name) => name.slice(prefix.length, -'.log'.length))
  if (found.length === 0) throw new Failure(`nothing was written by a pod ${pod} in namespace ${namespace}`)
  if (container === undefined && found.length > 1)
    throw new Failure(`which container of ${pod}? It has ${names.join(', ')}`, 2)
  const file = container === undefined ? found[0] : found[names.indexOf(container)]
  if (file === undefined)
    throw new Failure(`pod ${pod} has no container ${container} that wrote anything; it has ${names.join(', ')}`)
  return join(folder, 'pods', file)
}

/** A full log is moved to FILE.old: the older part. */
function readLog(file: string): string {
  return [`${file}.old`, file].map((path) => (existsSync(path) ? readFileSync(path, 'utf8') : '')).join('')
}

/** Until Ctrl-C. */
function follow(file: string): Promise<void> {
  let at = existsSync(file) ? statSync(file).size : 0
  const more = (): void => {
    if (!existsSync(file)) return
    const { size } = statSync(file)
    if (size < at) at = 0 // it was full, and a new one began
    if (size === at) return
    const chunk = Buffer.alloc(size - at)
    const fd = openSync(file, 'r')
    const read = readSync(fd, chunk, 0, chunk.length, at)
    closeSync(fd)
    at += read
    process.stdout.write(chunk.subarray(0, read))
  }
  const watcher = watch(dirname(file), more)
  more() // what came between reading and watching
  return new Promise((resolve) => {
    process.once('SIGINT', () => {
      watcher.close()
      resolve()
    })
  })
}
