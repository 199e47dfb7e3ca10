/** What the kernel has of ours, as iptables-save tells: read as a stream, held as names and numbers. */
import type { Family } from '../../cluster/protocol.ts'
import { PREFIX, save, type Variant } from '../../kernel/iptables.ts'
import type { FrontendAddress } from '../rows.ts'
import { extend, type Digest } from './digest.ts'
import { JUMPS, type Table } from './fixed.ts'
import { OTHERS } from './names.ts'

export class Found {
  readonly chains: Readonly<Record<Table, Map<string, Digest>>> = { nat: new Map(), filter: new Map() }
  /** Rules of other chains that lead to ours, as `CHAIN rule`, in their order. */
  readonly jumps: Readonly<Record<Table, string[]>> = { nat: [], filter: [] }
  readonly udp: FrontendAddress[] = []
  #table: Table | null = null

  get isEmpty(): boolean {
    return TABLES.every((table) => this.chains[table].size === 0 && this.jumps[table].length === 0)
  }

  line(line: string): void {
    if (line.startsWith('*')) this.#table = TABLES.find((table) => table === line.slice(1)) ?? null
    if (this.#table === null || !line.includes(PREFIX) || OTHERS.test(line)) return
    const chains = this.chains[this.#table]
    if (line.startsWith(':')) {
      const name = line.slice(1, line.indexOf(' '))
      if (name.startsWith(PREFIX)) chains.set(name, chains.get(name) ?? 0)
      return
    }
    if (!line.startsWith('-A ')) return
    const end = line.indexOf(' ', 3)
    const [chain, rule] = [line.slice(3, end), line.slice(end + 1)]
    if (chain.startsWith(PREFIX)) {
      chains.set(chain, extend(chains.get(chain) ?? 0, rule))
      const udp = UDP_FRONTEND.exec(rule)
      if (udp) this.udp.push({ ip: udp[1]!, protocol: 'udp', port: Number(udp[2]) })
    } else if (LEADS.test(rule)) this.jumps[this.#table].push(`${chain} ${rule}`)
  }

  /** True: each of our jumps is there, once. */
  hasJumps(table: Table): boolean {
    const wanted = JUMPS[table].map(([chain, rule]) => `${chain} ${rule}`)
    return this.jumps[table].length === wanted.length && wanted.every((jump) => this.jumps[table].includes(jump))
  }
}

/** Throws when it cannot be read; null: that program is not installed. */
export async function readFound(variant: Variant, family: Family, signal?: AbortSignal): Promise<Found | null> {
  const found = new Found()
  const failed = await save(variant, family, (line) => found.line(line), signal)
  if (failed?.kind === 'missing') return null
  if (failed !== null) throw new Error(failed.reason)
  return found
}

/** Text that takes all of it away. '' when there is nothing. */
export function removal(found: Found): string {
  return TABLES.filter((table) => found.chains[table].size > 0 || found.jumps[table].length > 0)
    .map((table) =>
      [
        `*${table}`,
        ...[...found.chains[table].keys()].map((chain) => `:${chain} - [0:0]`),
        ...found.jumps[table].map((jump) => `-D ${jump}`),
        ...[...found.chains[table].keys()].map((chain) => `-X ${chain}`),
        'COMMIT\n',
      ].join('\n'),
    )
    .join('')
}

export const TABLES: readonly Table[] = ['nat', 'filter']
const LEADS = new RegExp(`-[jg] ${PREFIX}`)
const UDP_FRONTEND = /^-d ([0-9a-f.:]+)\/\d+ -p udp -m udp --dport (\d+) /
