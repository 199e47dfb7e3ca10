/** Where an ingress can be reached: as the Service before it says, by the rules of ingress-nginx's --publish-service. */
import { json } from 'node:stream/consumers'
import { isRecord } from '../../cluster/raw.ts'
import type { Connection } from '../../cluster/source/kube/connection.ts'

/** Addresses and host names, sorted; or what went wrong. `path`: `namespace/name`. */
export async function askAddresses(
  connection: Connection,
  path: string,
  signal: AbortSignal,
): Promise<readonly string[] | { readonly problem: string }> {
  const [namespace = '', name = ''] = path.split('/').map(encodeURIComponent)
  const answer = await connection.request(`/api/v1/namespaces/${namespace}/services/${name}`, { signal })
  if (answer.kind === 'failed') return { problem: answer.problem.message }
  try {
    return addressesOf(await json(answer.body))
  } catch (error) {
    return { problem: (error as Error).message }
  }
}

/** Of a core/v1 Service as JSON. */
export function addressesOf(service: unknown): readonly string[] {
  const spec = isRecord(service) && isRecord(service['spec']) ? service['spec'] : {}
  const status = isRecord(service) && isRecord(service['status']) ? service['status'] : {}
  const balancer = isRecord(status['loadBalancer']) ? status['loadBalancer']['ingress'] : []
  const balanced = Array.isArray(balancer)
    ? balancer.flatMap((entry: unknown) => (isRecord(entry) ? [entry['ip'] || entry['hostname']] : []))
    : []
  const external = Array.isArray(spec['externalIPs']) ? spec['externalIPs'] : []
  const found =
    spec['type'] === 'ExternalName'
      ? [spec['externalName']]
      : spec['type'] === 'LoadBalancer'
        ? [...balanced, ...external]
        : external.length > 0
          ? external
          : [spec['clusterIP']]
  return [
    ...new Set(found.filter((each): each is string => typeof each === 'string' && each !== '' && each !== 'None')),
  ].sort()
}
