/** The lab itself, run as the child of PID 1 in namespaces of its own: builds the cluster, runs it, says what happens. */
import { writeSync } from 'node:fs'
import { createApiServer } from './api/server.ts'
import { Cluster } from './cluster.ts'
import { serveControl } from './control.ts'
import { LOAD_BALANCER_POOLS } from './controlplane.ts'
import { coverRun } from './mounts.ts'
import { buildUnderlay } from './network.ts'
import { buildNode } from './node.ts'
import type { LabOptions } from './outer.ts'
import { pageOf } from './page.ts'
import { apiSocketIn, clearPlace, controlSocketIn } from './place.ts'
import { nodePlans, type NodePlan } from './plan.ts'
import { Progress } from './progress.ts'

const options = JSON.parse(process.argv[2]!) as LabOptions
const progress = new Progress(process.stdout, options.startedMs)

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => endLab(0))
process.on('uncaughtException', (error) => {
  progress.warn(`the lab ends: ${error.stack ?? error.message}`)
  endLab(1)
})

void main()

async function main(): Promise<void> {
  const plans = nodePlans(options.nodes, options.zones)
  await coverRun(options.place)
  const cluster = new Cluster(options, progress)
  createApiServer(cluster.store).listen({ path: apiSocketIn(options.place) })
  serveControl(cluster).listen({ path: controlSocketIn(options.place) })
  report('born')
  const nodes = await progress.step(`network and ${plans.length} nodes: ${describe(plans)}`, async () => {
    await buildUnderlay(plans, LOAD_BALANCER_POOLS)
    return Promise.all(plans.map((plan) => buildNode(plan, options.place)))
  })
  await cluster.start(nodes)
  await cluster.settled()
  progress.line(pageOf(cluster, progress))
  report('ready')
  cluster.tellNews()
}

/** The kernel ends everything else in this PID namespace when its PID 1 ends, which ends with us. */
function endLab(code: number): void {
  clearPlace(options.place)
  process.exit(code)
}

function report(event: 'born' | 'ready'): void {
  try {
    writeSync(NEWS_FD, JSON.stringify({ event }) + '\n')
  } catch {
    // Detached: whoever waited for the start has gone.
  }
}

function describe(plans: readonly NodePlan[]): string {
  const shown = plans.slice(0, NODES_SHOWN).map(({ name, zone }) => `${name} (${zone})`)
  return shown.join(', ') + (plans.length > shown.length ? ', ...' : '')
}

const NEWS_FD = 3
const NODES_SHOWN = 4
