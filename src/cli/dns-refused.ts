/** What the carrier would not take, as it is told: each row as the object that it is about. */
import type { Refused } from '../core/delta.ts'
import type { RefusedRow } from '../status/events.ts'
import type { DnsService } from './dns-service.ts'
import { podTitle } from './pod.ts'

/** Of a name, what it comes from; of all else, the pod `name`. */
export function* refusedOf(service: DnsService | null, name: string): Iterable<RefusedRow> {
  if (service === null) return
  for (const binding of service.runner.bindings) {
    const { target, refused } = binding.status()
    for (const row of refused.values()) yield { target, refused: { ...row, ...about(row, service, podTitle(name)) } }
  }
}

function about({ key, reason }: Refused, { names, servers }: DnsService, pod: string): Pick<Refused, 'key' | 'reason'> {
  const server = servers.get(key)
  if (server !== undefined) return { key: pod, reason: `server block ${server.zones.join(' ')}: ${reason}` }
  const row = names.get(key)
  return { key: row?.object ?? pod, reason: `${row?.name ?? key}: ${reason}` }
}
