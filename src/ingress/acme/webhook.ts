/** TXT records written by a server of the user's, over HTTP. */
import type { DnsRecord } from './answers.ts'
import type { Solver } from './solver.ts'

/** `bearer`: sent as Authorization; null: none. */
export function webhookSolver(url: string, bearer: string | null): Solver {
  const tell = async (
    action: 'present' | 'remove',
    records: readonly DnsRecord[],
    signal: AbortSignal,
  ): Promise<void> => {
    for (const { name, value } of records) {
      const answer = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(bearer !== null && { authorization: `Bearer ${bearer}` }) },
        body: JSON.stringify({ action, name: `${name}.`, value }),
        redirect: 'error', // the token is for this server only
        signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
      })
      await answer.body?.cancel()
      if (!answer.ok) throw new Error(`the webhook answers ${action} of ${name} with HTTP status ${answer.status}`)
    }
  }
  return {
    present: (records, signal) => tell('present', records, signal),
    remove: (records, signal) => tell('remove', records, signal),
  }
}

/** It may wait until the record is everywhere. */
const TIMEOUT_MS = 120_000
