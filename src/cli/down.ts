/** `fairlead down`: ends the cluster that runs here. */
import type { Command } from 'commander'
import { end } from '../lab/outer.ts'
import { removePlace } from '../lab/place.ts'
import { findLab } from './lab-client.ts'

export function register(program: Command): void {
  program.command('down').description('end the cluster that runs here; nothing of it is left').action(down)
}

async function down(): Promise<void> {
  const startMs = performance.now()
  const { record, place } = findLab()
  await end(record.initPid)
  removePlace(place)
  console.log(`the cluster has ended (${Math.round(performance.now() - startMs)} ms)`)
}
