import type { Answer, Connection } from '../cluster/source/kube/connection.ts'
import type { Delta, Drift, Refused, Target } from '../core/delta.ts'
import type { AnnouncementRow } from './announcement.ts'

/**
 * Writes to our Node what peers and the scheduler look for. Peers that are not told compute the same, so an agent that may
 * not write works: it only says what it lacks.
 */
export class Announcer implements Target<AnnouncementRow> {
  readonly name = 'node announcement'
  readonly #connection: Pick<Connection, 'request'>
  readonly #programmed: () => Promise<void>

  /** `programmed`: resolves once the kernel has the overlay: pods may come then. */
  constructor(connection: Pick<Connection, 'request'>, programmed: () => Promise<void>) {
    this.#connection = connection
    this.#programmed = programmed
  }

  async apply({ put }: Delta<AnnouncementRow>, signal: AbortSignal): Promise<readonly Refused[]> {
    const refused: Refused[] = []
    for (const [key, row] of put) {
      const lacking = row.kind === 'annotations' ? await this.#annotate(row, signal) : await this.#admit(row, signal)
      if (lacking !== null) refused.push({ key, ...lacking })
    }
    return refused
  }

  /** What the Node says is an input: a row is there again when it says something else. */
  audit(): Promise<Drift> {
    return Promise.resolve({ clean: true })
  }

  /** Nobody reads them once no node runs an overlay; a node that flannel takes back finds its own words. */
  cleanup(): Promise<void> {
    return Promise.resolve()
  }

  #annotate(row: AnnouncementRow & { kind: 'annotations' }, signal: AbortSignal): Promise<Lacking | null> {
    const { node, annotations } = row
    return this.#patch(`nodes/${node}`, { metadata: { annotations } }, 'merge-patch', signal)
  }

  async #admit({ node }: AnnouncementRow, signal: AbortSignal): Promise<Lacking | null> {
    await untilAborted(this.#programmed(), signal)
    const now = new Date().toISOString().slice(0, 19) + 'Z'
    const condition = {
      ...{ type: 'NetworkUnavailable', status: 'False', reason: 'OverlayIsUp' },
      ...{ message: 'Fairlead carries pods of this node', lastTransitionTime: now, lastHeartbeatTime: now },
    }
    const body = { status: { conditions: [condition] } }
    return this.#patch(`nodes/${node}/status`, body, 'strategic-merge-patch', signal)
  }

  /** Throws what may be otherwise soon. */
  async #patch(path: string, body: object, type: string, signal: AbortSignal): Promise<Lacking | null> {
    const contentType = `application/${type}+json`
    const answer: Answer = await this.#connection.request(`/api/v1/${path}`, {
      method: 'PATCH',
      body,
      contentType,
      signal,
    })
    if (answer.kind === 'ok') {
      for await (const _ of answer.body);
      return null
    }
    const { status, message } = answer.problem
    if (status !== 403) throw new Error(message)
    const resource = path.endsWith('/status') ? 'nodes/status' : 'nodes'
    return { reason: message, remedy: `allow the agent's service account the verb patch on ${resource}` }
  }
}

interface Lacking {
  readonly reason: string
  readonly remedy: string
}

async function untilAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  const aborted = Promise.withResolvers<never>()
  const stop = (): void => aborted.reject(signal.reason as Error)
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  try {
    await Promise.race([promise, aborted.promise])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
