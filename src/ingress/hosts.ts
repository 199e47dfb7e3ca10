/** What holds for a host as a whole, whichever Ingress says it. */
import type { IngressTls } from '../cluster/ingress.ts'
import type { Key } from '../core/delta.ts'
import { gather } from '../core/gather.ts'
import type { Graph } from '../core/graph.ts'
import type { Readable } from '../core/table.ts'
import type { Clients } from './annotations/access.ts'
import { bySeniority, type Plan, type Seniority } from './plan.ts'

export interface Host {
  /** An Ingress has rules for it. */
  readonly isRuled: boolean
  /** Every path of it is a pattern without regard to case: use-regex or rewrite-target of any Ingress asks for it. */
  readonly isRegex: boolean
  /** Who shows which certificate, oldest first; Secrets as `namespace/name`, '' the default one. Empty: no TLS is asked for. */
  readonly certificates: readonly Certificate[]
  /** Client certificates, as the oldest Ingress that asks for any has it. */
  readonly clients: (Clients & Seniority) | null
  /** The host that this one is another name of; null: none. */
  readonly aliasOf: string | null
  /** Other names of this one; those that have rules of their own are not. */
  readonly aliases: readonly string[]
  /** Its counterpart with or without www. leads here. */
  readonly fromToWww: Seniority | null
  /** TLS goes on to the backend of this Ingress as it came. */
  readonly passthrough: Seniority | null
}

export interface Certificate extends Seniority {
  readonly secret: string
  readonly field: string
}

interface Part extends Seniority {
  readonly isRuled?: boolean
  readonly isRegex?: boolean
  readonly certificate?: Certificate
  readonly clients?: Clients | null
  readonly aliasOf?: string
  readonly aliases?: readonly string[]
  readonly fromToWww?: boolean
  readonly passthrough?: boolean
}

export function deriveHosts(graph: Graph, plans: Readable<Plan>): Readable<Host> {
  return gather<Host, Plan, Part>(graph, {
    name: 'hosts',
    driver: plans,
    parts: partsOf,
    row: (_, parts) => {
      const sorted = [...parts].sort(bySeniority)
      const clients = sorted.find((part) => part.clients)
      const who = (found: Part | undefined): Seniority | null =>
        found === undefined ? null : { created: found.created, ingress: found.ingress }
      return {
        isRuled: sorted.some(({ isRuled }) => isRuled),
        isRegex: sorted.some(({ isRegex }) => isRegex),
        certificates: sorted.flatMap(({ certificate }) => certificate ?? []),
        clients: clients === undefined ? null : { ...clients.clients!, ...who(clients)! },
        aliasOf: sorted.find(({ aliasOf }) => aliasOf !== undefined)?.aliasOf ?? null,
        aliases: [...new Set(sorted.flatMap(({ aliases }) => aliases ?? []))],
        fromToWww: who(sorted.find(({ fromToWww }) => fromToWww)),
        passthrough: who(sorted.find(({ passthrough }) => passthrough)),
      }
    },
  })
}

function* partsOf(key: Key, { ingress, annotations }: Plan): Iterable<readonly [Key, Part]> {
  const of = { created: ingress.created, ingress: key }
  const { routing, access, canary } = annotations
  const ruled = new Set(ingress.rules.map(({ host }) => host))
  for (const [i, tls] of ingress.tls.entries()) yield* certificates(tls, i, ruled, of, ingress.namespace)
  if (canary !== null) return // the rest is as the Ingress has it that it is a canary of
  for (const host of ruled) {
    const aliases = routing.aliases.filter((alias) => !ruled.has(alias))
    yield [
      host,
      {
        ...of,
        isRuled: true,
        isRegex: routing.useRegex || routing.rewrite !== null,
        clients: access.clients,
        aliases,
        fromToWww: routing.fromToWww && host !== '' && !host.startsWith('*.'),
        passthrough: routing.passthrough && host !== '',
      },
    ]
    for (const alias of aliases) yield [alias, { ...of, aliasOf: host }]
  }
  if (ingress.defaultBackend !== null && !ruled.has('')) yield ['', { ...of, isRuled: true }]
}

/** A wildcard covers the rules of its Ingress that are one label below it. */
function* certificates(
  { hosts, secret }: IngressTls,
  i: number,
  ruled: ReadonlySet<string>,
  of: Seniority,
  namespace: string,
): Iterable<readonly [Key, Part]> {
  const path = secret === '' ? '' : `${namespace}/${secret}`
  const certificate = { ...of, secret: path, field: `spec.tls[${i}]` }
  const named = hosts.length > 0 ? hosts : ruled.size > 0 ? [...ruled] : ['']
  const covered = [...ruled].filter((host) => named.includes(`*.${host.slice(host.indexOf('.') + 1)}`))
  for (const host of new Set([...named, ...covered])) yield [host, { ...of, certificate }]
}
