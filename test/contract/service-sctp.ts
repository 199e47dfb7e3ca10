/** The service contract once more, spoken in SCTP: what holds of TCP holds of it. */
import { serviceCases, type ServiceCase } from './service-cases.ts'
import type { Raw } from './service-objects.ts'

/** All cases but those that have SCTP already. */
export const sctpCases: readonly ServiceCase[] = serviceCases
  .filter(({ packets }) => packets.every(({ protocol }) => protocol !== 'sctp'))
  .map(({ name, objects, node, packets }) => ({
    name: `SCTP: ${name}`,
    objects: objects.map(translated),
    node,
    packets: packets.map((packet) => ({ ...packet, protocol: packet.protocol === 'tcp' ? 'sctp' : packet.protocol })),
  }))

function translated(object: Raw): Raw {
  const ports = (of: readonly Raw[] | undefined): Raw[] | undefined =>
    of?.map((port) => ({ ...port, protocol: (port['protocol'] ?? 'TCP') === 'TCP' ? 'SCTP' : port['protocol'] }))
  switch (object['kind']) {
    case 'Service':
      return { ...object, spec: { ...object['spec'], ports: ports(object['spec'].ports) } }
    case 'EndpointSlice':
      return { ...object, ports: ports(object['ports']) }
    default:
      return object
  }
}
