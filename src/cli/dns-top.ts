/** `fairlead dns top`: who asks most, for what, with which outcome. Counted only meanwhile. */
import type { Command } from 'commander'
import type { Connection } from '../carrier/connection.ts'
import type { Tables } from '../cluster/tables.ts'
import { json, type Answer } from '../status/server.ts'
import { systemClock, type Clock } from '../core/clock.ts'
import { columns, wantsColour } from './columns.ts'
import { askServer, serversOf } from './dns-servers.ts'
import type { DnsService } from './dns-service.ts'
import { Failure } from './failure.ts'

/** What one carrier counted; pairs of what, and how often. */
export interface Counted {
  readonly seconds: number
  readonly queries: number
  readonly clients: readonly (readonly [string, number])[]
  readonly names: readonly (readonly [string, number])[]
  readonly codes: readonly (readonly [string, number])[]
  /** How much too low a count may be: of many different ones only the frequent are kept. */
  readonly missed: { readonly clients: number; readonly names: number }
}

export function registerTop(dns: Command): void {
  dns
    .command('top')
    .description('who asks most, for what, with which outcome; counted only meanwhile')
    .option('--by <what>', 'pod, name or rcode', 'pod')
    .option('--for <duration>', 'how long to count: 1s to 25s', '10s')
    .option('--address <address>', '`fairlead dns` at host:port or a socket, instead of the cluster that runs here')
    .addHelpText('after', '\nExamples:\n  fairlead dns top\n  fairlead dns top --by rcode --for 5s')
    .action(top)
}

async function top({ by, for: duration, address }: { by: string; for: string; address?: string }): Promise<void> {
  const section = Object.hasOwn(SECTIONS, by) ? SECTIONS[by as keyof typeof SECTIONS] : null
  if (section === null) throw new Failure(`--by ${by}: expected pod, name or rcode`, 2)
  const seconds = Number(/^(\d+)s?$/.exec(duration)?.[1] ?? NaN)
  if (!(seconds >= 1 && seconds <= SECONDS_MAX))
    throw new Failure(`--for ${duration}: expected 1s to ${SECONDS_MAX}s`, 2)
  const question = { path: '/dns/top', query: { seconds: String(seconds) } }
  const servers = await serversOf(address)
  const answers = await Promise.all(
    (servers.length > 0 ? servers : [null]).map((server) => askServer<Counted>(server ? [server] : [], question)),
  )
  process.stdout.write(
    page(
      answers.map(([, counted]) => counted),
      section,
    ),
  )
}

/** Of all servers together. Exported for its tests. */
export function page(all: readonly Counted[], section: 'clients' | 'names' | 'codes'): string {
  const sums = new Map<string, number>()
  for (const [key, count] of all.flatMap((counted) => counted[section])) sums.set(key, (sums.get(key) ?? 0) + count)
  const total = all.reduce((sum, { queries }) => sum + queries, 0)
  const seconds = Math.max(...all.map((counted) => counted.seconds))
  const missed = section === 'codes' ? 0 : all.reduce((sum, counted) => sum + counted.missed[section], 0)
  let text = `${total} queries in ${seconds.toFixed(1)} s${missed > 0 ? `; counts may be ${missed} too low` : ''}\n`
  const rows = [...sums].sort(([a, more], [b, less]) => less - more || (a < b ? -1 : 1)).slice(0, SHOWN_MAX)
  if (rows.length === 0) return text
  const share = (count: number): string => `${((100 * count) / total).toFixed(1)} %`
  columns(['QUERIES', 'SHARE', TITLES[section]], (part) => void (text += part), wantsColour()).print(
    rows.map(([key, count]) => [String(count), share(count), key]),
  )
  return text
}

/** A route for `/dns/top?seconds=10`: clients with the names of their pods, where they are known. */
export async function countFor(
  query: URLSearchParams,
  carrier: Connection,
  service: DnsService | null,
  clock: Clock = systemClock,
): Promise<Answer> {
  const seconds = Number(query.get('seconds') ?? 10)
  if (!(seconds >= 1 && seconds <= SECONDS_MAX)) return json(400, { message: `seconds: 1 to ${SECONDS_MAX}` })
  try {
    const id = (await carrier.ask({ tally: { seconds } }, AbortSignal.timeout(LIMIT_MS))) as number
    await clock.after(seconds * 1000, new AbortController().signal)
    const counted = (await carrier.ask({ tallied: { id } }, AbortSignal.timeout(LIMIT_MS))) as Counted
    const owners = service === null ? new Map<string, string>() : ownersOf(service.clusters)
    const clients = counted.clients.map(([ip, count]) => [owners.has(ip) ? `${ip} ${owners.get(ip)}` : ip, count])
    return json(200, { ...counted, clients })
  } catch (error) {
    return json(503, { message: `the carrier does not count: ${(error as Error).message}` })
  }
}

interface Known {
  readonly tables: Pick<Tables, 'slices' | 'pods'>
}

/** Pods by address where they are followed, else the Services whose endpoints they are. Exported for its tests. */
export function ownersOf(clusters: readonly Known[]): ReadonlyMap<string, string> {
  const owners = new Map<string, string>()
  for (const { tables } of clusters)
    for (const [, { namespace, service, endpoints }] of tables.slices.entries())
      for (const ip of endpoints.addresses.split(' '))
        if (service) owners.set(ip, `(of Service ${service.includes('/') ? service : `${namespace}/${service}`})`)
  for (const { tables } of clusters)
    for (const [, { namespace, name, ips }] of tables.pods.entries())
      for (const ip of ips) owners.set(ip, `${namespace}/${name}`)
  return owners
}

const SECTIONS = { pod: 'clients', name: 'names', rcode: 'codes' } as const
const TITLES = { clients: 'CLIENT', names: 'NAME', codes: 'RCODE' } as const
/** A connection of the command ends after 30 s. */
const SECONDS_MAX = 25
const LIMIT_MS = 5_000
const SHOWN_MAX = 20
