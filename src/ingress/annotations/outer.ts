/** Servers that an annotation names by URL, and the cluster that requests to them go to. */
import type { Cluster } from '../../carrier/proxy.ts'
import { familyOf, parseAddress } from '../../cluster/address.ts'

export interface OuterTarget {
  readonly isSecure: boolean
  /** A name, or an address. */
  readonly host: string
  readonly port: number
  /** Path and query, with variables; '' where there is none. */
  readonly path: string
}

/** null: not a URL of http or https. */
export function outerTarget(url: string): OuterTarget | null {
  const match = /^(https?):\/\/(\[[0-9a-fA-F:.]+\]|[^\s/?:@[\]]+)(?::(\d{1,5}))?(\$[^\s]*|[/?][^\s]*)?$/.exec(url)
  if (match === null) return null
  const isSecure = match[1] === 'https'
  const port = match[3] === undefined ? (isSecure ? 443 : 80) : Number(match[3])
  if (port < 1 || port > 65_535) return null
  // `http://host$request_uri`: the variable ends the host.
  const dollar = match[2]!.indexOf('$')
  const [host, rest] = dollar > 0 ? [match[2]!.slice(0, dollar), match[2]!.slice(dollar)] : [match[2]!, '']
  return { isSecure, host: host.replace(/^\[|\]$/g, '').toLowerCase(), port, path: rest + (match[4] ?? '') }
}

export const outerName = ({ isSecure, host, port }: OuterTarget): string =>
  `${isSecure ? 'https' : 'http'}://${host}:${port}`

/** Its endpoints are what its name resolves to, now and then. */
export function outerCluster(
  target: OuterTarget,
  keepAlive: Cluster['keepAlive'],
  circuit: Cluster['circuit'],
): Cluster {
  const address = parseAddress(target.host)
  const name = address === null ? target.host : familyOf(address) === 6 ? `[${address}]` : address
  return {
    name: outerName(target),
    protocol: 'http1',
    ...(target.isSecure && {
      tls: {
        ...(address === null && { serverName: target.host }),
        verify: 'nothing',
        protocols: ['TLSv1.2', 'TLSv1.3'],
      },
    }),
    balance: 'roundRobin',
    circuit,
    keepAlive,
    resolve: { name, port: target.port, everyMs: RESOLVE_MS },
  }
}

/** What a TTL of the cluster's DNS is by default; the carrier has its own floor. */
export const RESOLVE_MS = 5_000
