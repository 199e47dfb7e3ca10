/** What a person asks to be published on this machine: `[ADDRESS:]PORT:[NAMESPACE/]SERVICE[:PORT]`. Pure. */
import { isIP } from 'node:net'
import { INGRESS } from './ingress.ts'

export interface Publication {
  /** Where to listen on this machine, canonical: `127.0.0.1:8080`, `[::1]:0`. Port 0: a free one. */
  readonly listen: string
  /** null: the next port of a LoadBalancer Service that nobody asked for. */
  readonly service: { readonly namespace: string; readonly name: string } | null
  /** Number or name of a port of the Service; null: its first. */
  readonly port: string | null
  /** Another port will do, a free one, where that one is taken. */
  readonly isFlexible?: true
}

export type Parsed =
  { readonly kind: 'done'; readonly publication: Publication } | { readonly kind: 'wrong'; readonly problem: string }

export function parsePublication(text: string): Parsed {
  const match = SPEC.exec(text)
  if (match?.groups === undefined)
    return wrong(text, 'write PORT:SERVICE or PORT:SERVICE:PORT, e.g. 8080:web:80, 0.0.0.0:8080:shop/web')
  const { address = LOOPBACK, listen, namespace = 'default', name, port } = match.groups
  const bare = address.replace(/^\[|\]$/g, '')
  if (isIP(bare) === 0) return wrong(text, `${bare} is no IP address`)
  if (Number(listen) > PORT_MAX) return wrong(text, `${listen} is no port: use one of 0 to ${PORT_MAX}`)
  const at = bare.includes(':') ? `[${bare}]` : bare
  return {
    kind: 'done',
    publication: { listen: `${at}:${Number(listen)}`, service: { namespace, name: name! }, port: port ?? null },
  }
}

/** Sockets that are opened in case there are load balancers that nobody asked to publish. */
export const SPARES: readonly Publication[] = Array.from({ length: 4 }, () => ({
  listen: '127.0.0.1:0',
  service: null,
  port: null,
}))

/** Where the ingress is reached, after those that a person asks for. */
export const INGRESS_PORTS: readonly Publication[] = [
  { listen: '127.0.0.1:8080', service: INGRESS, port: 'http', isFlexible: true },
  { listen: '127.0.0.1:8443', service: INGRESS, port: 'https', isFlexible: true },
]

function wrong(text: string, problem: string): Parsed {
  return { kind: 'wrong', problem: `--publish ${text}: ${problem}` }
}

const LOOPBACK = '127.0.0.1'
const PORT_MAX = 65_535
const LABEL = '[a-z0-9](?:[-a-z0-9]*[a-z0-9])?'
const SPEC = new RegExp(
  `^(?:(?<address>[0-9.]+|\\[[0-9a-fA-F:.]+\\]):)?(?<listen>[0-9]{1,5}):(?:(?<namespace>${LABEL})/)?(?<name>${LABEL})(?::(?<port>${LABEL}))?$`,
)
