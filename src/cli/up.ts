import { resolve } from 'node:path'
import { existsSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { startLab, type LabOptions } from '../lab/outer.ts'
import { logIn, placeOf } from '../lab/place.ts'
import { NODES_MAX, ZONES } from '../lab/plan.ts'
import { INGRESS_PORTS, parsePublication, SPARES, type Publication } from '../lab/publication.ts'
import { Failure } from './failure.ts'

/** `fairlead up [FILE|DIR ...]`: a cluster in a box, in the foreground until Ctrl-C. */
export function register(program: Command): void {
  program
    .command('up')
    .description('start a cluster in a box from manifest files (without any: the example)')
    .argument('[paths...]', 'files and folders with manifests; saving one changes the running cluster')
    .option('--nodes <n>', `number of nodes, 1 to ${NODES_MAX}`, '2')
    .option('--zones <names>', 'zones, given to nodes in turn', ZONES.join(','))
    .option('--probe-delays', 'wait initialDelaySeconds before the first probe')
    .option(
      '--publish <spec>',
      'PORT:SERVICE[:PORT], also ADDRESS:PORT:NAMESPACE/SERVICE[:PORT]: a TCP port of this machine that leads to a Service; ' +
        'may be given several times; without it, load balancers get free ports of 127.0.0.1',
      (spec: string, before: readonly string[] | undefined) => [...(before ?? []), spec],
    )
    .option('--no-publish', 'no port of this machine leads into the cluster')
    .option(
      '--node-local-dns',
      'pods ask a DNS server on their own node (169.254.20.10), and the cluster while it is away',
    )
    .option('--detach', 'return when all is ready; end it with: fairlead down')
    .addHelpText('after', EXAMPLES)
    .action(up)
}

interface Flags {
  readonly nodes: string
  readonly zones: string
  readonly probeDelays?: boolean
  /** false: --no-publish */
  readonly publish?: readonly string[] | false
  readonly nodeLocalDns?: boolean
  readonly detach?: boolean
}

async function up(paths: readonly string[], flags: Flags): Promise<void> {
  const options = optionsOf(paths, flags)
  const isDetached = flags.detach === true
  console.log(`Fairlead: a cluster in a box, from ${options.files.map(shown).join(', ')}`)
  const answer = await startLab(options, isDetached)
  if (answer.kind === 'refused') throw new Failure(answer.reason)
  const { lab } = answer
  if (isDetached) {
    const showing = setInterval(() => show(logIn(options.place)), SHOW_MS)
    const isReady = await lab.ready
    clearInterval(showing)
    show(logIn(options.place))
    if (!isReady) throw new Failure('the lab ended before it was ready')
    process.exit(0) // the pipe to the lab would keep this process
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => lab.stop())
  process.exitCode = await lab.ended
}

/** What a detached lab has said since the last time. */
function show(log: string): void {
  const text = readFileSync(log)
  process.stdout.write(text.subarray(shownBytes))
  shownBytes = text.length
}

function optionsOf(paths: readonly string[], flags: Flags): LabOptions {
  const nodes = Number(flags.nodes)
  if (!Number.isInteger(nodes) || nodes < 1 || nodes > NODES_MAX)
    throw new Failure(`--nodes ${flags.nodes}: a whole number from 1 to ${NODES_MAX} is needed`, 2)
  const zones = flags.zones.split(',').filter((zone) => zone !== '')
  if (zones.length === 0) throw new Failure('--zones: at least one name is needed, e.g. --zones z-a,z-b', 2)
  const files = (paths.length > 0 ? paths : [EXAMPLE]).map((path) => resolve(path))
  for (const file of files) if (!existsSync(file)) throw new Failure(`${file} does not exist; check the path`, 2)
  const startedMs = Date.now() - Math.round(process.uptime() * 1000)
  const publish = publicationsOf(flags.publish)
  const { probeDelays: withProbeDelays = false, nodeLocalDns = false } = flags
  return { files, nodes, zones, withProbeDelays, nodeLocalDns, publish, place: placeOf(), startedMs }
}

function publicationsOf(specs: readonly string[] | false | undefined): readonly Publication[] {
  if (specs === false) return []
  const asked = specs?.map((spec) => {
    const parsed = parsePublication(spec)
    if (parsed.kind === 'wrong') throw new Failure(parsed.problem, 2)
    return parsed.publication
  })
  return [...(asked ?? SPARES), ...INGRESS_PORTS]
}

function shown(path: string): string {
  return path === EXAMPLE ? 'its own example (src/lab/example)' : path
}

let shownBytes = 0
const SHOW_MS = 100
const EXAMPLES = `
Examples:
  fairlead up                                      the example, two nodes
  fairlead up shop.yaml more/ --nodes 3            files and folders
  fairlead up shop.yaml --publish 8080:web:80      the Service web at http://127.0.0.1:8080`
const EXAMPLE = fileURLToPath(new URL('../lab/example', import.meta.url))
