/** What only one process in a network namespace may do: carry services there, or take them away. */
import { claimNamespace, describeTaken } from '../kernel/sole-agent.ts'
import type { Log } from '../status/log.ts'
import { Failure } from './failure.ts'
import { version } from './version.ts'

export interface SoleOptions {
  readonly node: string
  /** How long one that is ending is waited for. */
  readonly waitMs: number
  readonly log: Log
}

/** Does the work while no other agent can run here; fails when one does. */
export async function alone(options: SoleOptions, work: () => Promise<void>): Promise<void> {
  const { node, waitMs, log } = options
  const claim = await claimNamespace(
    { node, pid: process.pid, version },
    {
      waitMs,
      onWait: (holder) => {
        if (waitMs > 0) log.info('another agent is here: waiting for its end', { ...holder, waitMs })
      },
    },
  )
  switch (claim.kind) {
    case 'taken':
      throw new Failure(describeTaken(claim.holder))
    case 'failed':
      throw new Failure(`cannot tell whether another agent runs here: ${claim.reason}`)
    case 'held':
      try {
        return await work()
      } finally {
        await claim.release()
      }
    default:
      claim satisfies never
  }
}
