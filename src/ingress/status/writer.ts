/** Writes the status of Ingresses to the API server. */
import { isIP } from 'node:net'
import type { Connection } from '../../cluster/source/kube/connection.ts'
import type { Delta, Drift, Refused, Target } from '../../core/delta.ts'
import type { Duty } from './duties.ts'

export class StatusWriter implements Target<Duty> {
  readonly name = 'status of ingresses'
  readonly #connection: Connection

  constructor(connection: Connection) {
    this.#connection = connection
  }

  /** A row stands until the watch brings back what was written: what is written twice is the same. */
  async apply({ put }: Delta<Duty>, signal: AbortSignal): Promise<readonly Refused[]> {
    const waiting = [...put]
    const refused: Refused[] = []
    const work = async (): Promise<void> => {
      for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
        const [key, duty] = next
        const wrong = await this.#write(duty, signal)
        if (wrong !== null) refused.push({ key: `Ingress ${key}`, ...wrong })
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, work))
    signal.throwIfAborted()
    return refused
  }

  async audit(): Promise<Drift> {
    return { clean: true }
  }

  /** The addresses stay: whoever serves next writes its own. */
  async cleanup(): Promise<void> {}

  async #write(
    { namespace, name, addresses }: Duty,
    signal: AbortSignal,
  ): Promise<Pick<Refused, 'reason' | 'remedy'> | null> {
    const ingress = addresses.map((address) => (isIP(address) > 0 ? { ip: address } : { hostname: address }))
    const path = `/apis/networking.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/ingresses/${encodeURIComponent(name)}/status`
    const body = { status: { loadBalancer: { ingress } } }
    const answer = await this.#connection.request(path, {
      method: 'PATCH',
      body,
      contentType: 'application/merge-patch+json',
      signal,
    })
    if (answer.kind === 'ok') {
      for await (const _ of answer.body); // read to its end, so that the connection can be used again
      return null
    }
    const { status, message, remedy } = answer.problem
    if (status === 404) return null // gone meanwhile
    if (status === null || status === 429 || status >= 500) throw new Error(message) // all of them, later
    const hint = status === 403 ? 'allow "patch" on ingresses/status in networking.k8s.io (RBAC)' : remedy
    return { reason: `its status cannot be written: ${message}`, remedy: hint }
  }
}

const AT_ONCE = 8
