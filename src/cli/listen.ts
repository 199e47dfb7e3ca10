/** Ports of the status side, by the words of an option. */
import type { Log } from '../status/log.ts'
import type { Metrics } from '../status/metrics.ts'
import {
  parseWhere,
  serve,
  type Answer,
  type Listening,
  type Questions,
  type Routes,
  type Where,
} from '../status/server.ts'
import { Failure } from './failure.ts'

/** A port that is taken is said, and the process goes on: the data path matters more than the questions about it. */
export async function listen(address: string, routes: Routes, log: Log, questions: Questions = {}): Promise<Listening> {
  const where: Where | null = parseWhere(address)
  if (where === null) throw new Failure(`${address} is no address to listen on such as :10256 or 127.0.0.1:10249`, 2)
  const server = await serve(where, routes, questions)
  if (server.kind === 'refused') log.error('cannot listen', { address, reason: server.reason, remedy: server.remedy })
  return server
}

export const metricsAnswer = (metrics: Metrics): Answer => ({
  ...{ status: 200, type: 'text/plain; version=0.0.4' },
  body: metrics.render(),
})
