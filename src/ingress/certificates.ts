/** Which certificate is shown for which name, and what of Secrets the carrier is given. */
import type { ClientCertificates } from '../carrier/proxy.ts'
import type { Rejection } from '../cluster/rejection.ts'
import type { Secret } from '../cluster/secret.ts'
import { derive } from '../core/derive.ts'
import type { Key } from '../core/delta.ts'
import { gather } from '../core/gather.ts'
import type { Graph } from '../core/graph.ts'
import type { Readable } from '../core/table.ts'
import type { Host } from './hosts.ts'
import type { IngressOptions } from './options.ts'
import { covers, factsOf, isUsable, linesOf, type Facts } from './pem.ts'
import type { Plan } from './plan.ts'
import {
  DEFAULT_CERTIFICATE,
  HTTPS,
  secretName,
  sniRow,
  type ProxyRow,
  type SecretRow,
  type SecretUse,
} from './rows.ts'

/** By path of the Secret. */
export const deriveFacts = (graph: Graph, secrets: Readable<Secret>): Readable<Facts> =>
  derive<Facts, Secret>(graph, {
    name: 'what secrets are good for',
    driver: secrets,
    inputs: [],
    rows: (key, secret) => [[key, factsOf(secret)]],
  })

/** The cluster that a host's TLS goes on to, and why not; absent: TLS ends here. */
export type Passthrough = (host: string) => string | null

/** What is shown for a host. A Secret that cannot be used is told, and the default certificate shown. */
export function sniOf(
  host: string,
  row: Host,
  facts: (path: string) => Facts | undefined,
  isOrdered: (path: string) => boolean,
): { readonly rows: [Key, ProxyRow][]; readonly rejections: Rejection[] } {
  const rejections: Rejection[] = []
  const [first, ...others] = row.certificates
  let certificate = DEFAULT_CERTIFICATE
  if (first !== undefined && first.secret !== '') {
    const found = facts(first.secret)
    const pair = found?.pair ?? MISSING
    const say = (problem: string, remedy: string): unknown =>
      rejections.push({ object: `Ingress ${first.ingress}`, field: `${first.field}.secretName`, problem, remedy })
    if (!isUsable(pair)) {
      // How far an order is, those who order say.
      if (found !== undefined || !isOrdered(first.secret))
        say(
          `names the Secret ${first.secret}, which ${pair.problem}; the default certificate is shown for ${host || 'every host'}`,
          pair.remedy,
        )
    } else {
      certificate = secretName('pair', first.secret)
      if (host !== '' && !covers(pair.names, host))
        say(
          `names the Secret ${first.secret}, whose certificate is not for ${host} but for ${pair.names.slice(0, 5).join(', ') || 'no name'}`,
          'get a certificate for this name',
        )
    }
  }
  for (const { ingress, field, secret, created } of others) {
    if (secret === first!.secret) continue
    const problem = `wants another certificate for ${host || 'every host'} than Ingress ${first!.ingress}, which ${first!.created < created ? 'is older' : 'comes first by name'}; not shown`
    rejections.push({
      object: `Ingress ${ingress}`,
      field: `${field}.secretName`,
      problem,
      remedy: 'name the same Secret in both',
    })
  }
  if (first === undefined && row.clients === null) return { rows: [], rejections }
  const clients = row.clients === null ? {} : { clients: clientsOf(row.clients) }
  return {
    rows: [sniRow({ host, listeners: [HTTPS], shows: { certificate: { certificate, ...clients } } })],
    rejections,
  }
}

export function clientsOf(clients: NonNullable<Host['clients']>): ClientCertificates {
  const { secret, required, depth, errorPage, pass, subject } = clients
  return {
    ...{ trust: secretName('trust', secret), required, depth, pass },
    ...(errorPage !== null && { errorPage }),
    ...(subject !== null && { subject }),
  }
}

/** What of a Secret is meant. `map`: users by key. */
interface Use {
  readonly path: string
  readonly use: SecretUse
  readonly isMap: boolean
}

/** Of all Secrets that are named, by their key in table `secrets`. */
export const deriveUses = (graph: Graph, plans: Readable<Plan>): Readable<Use> =>
  gather<Use, Plan, Use>(graph, {
    name: 'secrets in use',
    driver: plans,
    parts: (_, plan) => usesOf(plan).map((use) => [keyOf(use), use]),
    row: (_, [use]) => use!,
  })

export function usesOf({ ingress, annotations }: Plan): Use[] {
  const uses: Use[] = []
  for (const { secret } of ingress.tls)
    if (secret !== '') uses.push({ path: `${ingress.namespace}/${secret}`, use: 'pair', isMap: false })
  const { basic, clients } = annotations.access
  if (basic !== null) uses.push({ path: basic.secret, use: 'users', isMap: basic.form === 'auth-map' })
  if (clients !== null) uses.push({ path: clients.secret, use: 'trust', isMap: false })
  const { secret } = annotations.upstream.tls
  if (secret !== null)
    uses.push({ path: secret, use: 'trust', isMap: false }, { path: secret, use: 'pair', isMap: false })
  return uses
}

export const usersName = (path: string, isMap: boolean): string => secretName('users', isMap ? `${path} map` : path)

const keyOf = ({ use, path, isMap }: Use): Key => (use === 'users' ? usersName(path, isMap) : secretName(use, path))

export const deriveSecretRows = (graph: Graph, uses: Readable<Use>, secrets: Readable<Secret>): Readable<SecretRow> =>
  derive<SecretRow, Use>(graph, {
    name: 'secrets for the carrier',
    driver: uses,
    inputs: [secrets],
    rows: (key, use, read) => {
      const secret = read.get(secrets, use.path)
      const row = secret === undefined ? null : rowOf(use, secret)
      return row === null ? [] : [[key, row]]
    },
  })

/** One row, of the key DEFAULT_CERTIFICATE: the Secret's or, without one that can be used, `spare`'s. */
export const deriveDefault = (
  graph: Graph,
  options: Readable<IngressOptions>,
  secrets: Readable<Secret>,
  spare: Readable<SecretRow>,
): Readable<SecretRow> =>
  derive<SecretRow, IngressOptions>(graph, {
    name: 'default certificate',
    driver: options,
    inputs: [secrets, spare],
    rows: (_, { defaultCertificate: path }, read) => {
      const secret = path === null ? undefined : read.get(secrets, path)
      const row = (secret && rowOf({ path: path!, use: 'pair', isMap: false }, secret)) ?? read.get(spare, '')
      return row === undefined || row === null ? [] : [[DEFAULT_CERTIFICATE, row]]
    },
  })

/** null: it cannot be used as this. */
function rowOf({ use, isMap }: Use, { data, ...rest }: Secret): SecretRow | null {
  const facts = factsOf({ data, ...rest })
  switch (use) {
    case 'pair':
      return isUsable(facts.pair) ? { kind: 'pair', chain: data.get('tls.crt')!, key: data.get('tls.key')! } : null
    case 'trust':
      return isUsable(facts.trust)
        ? { kind: 'trust', certificates: data.get('ca.crt')!, revoked: data.get('ca.crl') ?? '' }
        : null
    case 'users':
      if (facts.users !== (isMap ? 'map' : 'file')) return null
      return {
        kind: 'users',
        lines: isMap ? [...data].map(([name, hash]) => `${name}:${hash.trim()}`) : linesOf(data.get('auth')!),
      }
    default:
      return use satisfies never
  }
}

export const MISSING = {
  problem: 'does not exist, or may not be read',
  remedy: 'create it, and let the controller read it',
}
