import { command, line, show } from './command.ts'
import { none, type Result } from './result.ts'

/** Builds the Kubernetes components, the CoreDNS and the Pebble that some tests talk to; quick when they are there. Counts as one test. */
export async function components(): Promise<Result> {
  const ran = await command([process.execPath, 'test/cluster/build.ts'], '.cache/test/components.log', LIMIT_MS)
  const said = ran.output.trim().split('\n').at(-1) ?? ''
  line(ran.code === 0 || ran.code === NO_GO, 'components', ran.code === NO_GO ? 'skipped' : '', ran.seconds)
  if (ran.code === 0) return { ...none, passed: 1 }
  if (ran.code === NO_GO) return { ...none, skipped: 1, skips: [`components: ${said}`] }
  show(ran.output, 'last')
  return { ...none, failed: 1, failures: ['components'] }
}

const NO_GO = 3 // exit code of test/cluster/build.ts
const LIMIT_MS = 30 * 60_000
