import type { Token } from './lexer.ts'
import { quote, type Problems } from './problem.ts'
import { parseName } from './name.ts'
import { network, networkZones } from './value.ts'

/** What a server's key says: `[dns|tls]://ZONE[:PORT]`. */
export interface Key {
  readonly at: Token
  readonly transport: 'dns' | 'tls'
  /** Of a network there may be several. */
  readonly zones: readonly string[]
  readonly port: number
}

export function parseKey(token: Token, problems: Problems): Key | null {
  const match = /^(?:([a-z0-9]+):\/\/)?(.*?)(?::([0-9]*))?$/s.exec(token.text)
  const [, scheme = 'dns', zone = '', digits] = match ?? []
  if (scheme !== 'dns' && scheme !== 'tls') {
    const known = OTHERS.includes(scheme)
    const problem = known ? `queries over ${scheme} are not served` : `${quote(scheme)} is no transport`
    return problems.report(token, problem, `use dns:// or tls://${known ? ', or remove this server' : ''}`)
  }
  const port = digits === undefined ? (scheme === 'tls' ? 853 : 53) : Number(digits === '' ? NaN : digits)
  if (!(port >= 1 && port <= 65_535))
    return problems.report(token, `${quote(token.text)} has no port after its colon`, 'write a port from 1 to 65535')
  if (zone.includes('/')) {
    const found = network({ ...token, text: zone }, problems)
    return found === null ? null : { at: token, transport: scheme, zones: networkZones(found), port }
  }
  // Someone forgot the space: `example.org{`.
  const brace = zone.endsWith('{')
    ? 'put a space before the {'
    : 'write labels of 1 to 63 octets with dots between them'
  const name = zone === '' ? '.' : zone.endsWith('{') ? null : parseName(zone)
  if (name === null) return problems.report(token, `${quote(zone)} is no zone`, brace)
  return { at: token, transport: scheme, zones: [name], port }
}

const OTHERS = ['https', 'https3', 'quic', 'grpc', 'unix']
