import { intern } from './intern.ts'
import { isAbsent, isInteger, record } from './raw.ts'
import { show, type Report } from './rejection.ts'

/** Transport protocols a Service can have (core/v1 Protocol, in lower case as nft and /etc/protocols write them). */
export type Protocol = 'tcp' | 'udp' | 'sctp'
export type Family = 4 | 6

export interface Port {
  /** '' when absent. */
  readonly name: string
  readonly protocol: Protocol
  readonly port: number
}

/** `{ name?, protocol?, port }` as Services, EndpointSlices and containers have it; null (reported) when unusable. */
export function parsePort(value: unknown, field: string, report: Report, numberField = 'port'): Port | null {
  const raw = record(value, field, report)
  const name = raw['name'] ?? ''
  const protocol = PROTOCOLS.get(raw['protocol'] ?? 'TCP')
  const port = raw[numberField]
  if (!isInteger(port, ...PORT_RANGE)) {
    const what = isAbsent(port) ? 'is missing' : `is ${show(port)}, not a port number`
    const remedy = typeof port === 'string' ? 'write the number without quotes' : 'use a number from 1 to 65535'
    report.reject(`${field}.${numberField}`, `${what}; the port is left out`, remedy)
  } else if (protocol === undefined) {
    const problem = `is ${show(raw['protocol'])}, which is not known; the port is left out`
    report.reject(`${field}.protocol`, problem, 'use TCP, UDP or SCTP')
  } else if (typeof name !== 'string' || name.length > PORT_NAME_MAX) {
    const problem = `is ${show(name)}, not a name of at most ${PORT_NAME_MAX} characters; the port is left out`
    report.reject(`${field}.name`, problem, "use lower-case letters, digits and '-'")
  } else return { name: intern(name), protocol, port }
  return null
}

export const PORT_RANGE = [1, 65_535] as const

const PORT_NAME_MAX = 63
const PROTOCOLS: ReadonlyMap<unknown, Protocol> = new Map([
  ['TCP', 'tcp'],
  ['UDP', 'udp'],
  ['SCTP', 'sctp'],
])
