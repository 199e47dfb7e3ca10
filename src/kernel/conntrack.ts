import { readFileSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { carrier } from './carrier.ts'
import { describe, exec } from './exec.ts'

export interface FlowCheck {
  readonly ip: string
  readonly protocol: string
  readonly port: number
  readonly endpoints: readonly string[]
}

export type Cleaned =
  | { readonly kind: 'cleaned'; readonly families: readonly CleanedFamily[] }
  | { readonly kind: 'failed'; readonly reason: string }

/** An address family that was asked about. */
export interface CleanedFamily {
  readonly family: 'IPv4' | 'IPv6'
  /** Entries looked at. */
  readonly scanned: number
  readonly deleted: number
  readonly seconds: number
}

/**
 * Deletes the conntrack entries of the given frontends that lead to none of their endpoints. One process, and one listing
 * of each family, whatever the number of frontends and entries.
 */
export async function deleteStaleFlows(frontends: readonly FlowCheck[], signal?: AbortSignal): Promise<Cleaned> {
  const stdin = frontends.values().map((frontend) => JSON.stringify(frontend) + '\n')
  const result = await exec([carrier, 'conntrack', 'stale'], { stdin, ...(signal && { signal }) })
  if (result.kind !== 'done') return { kind: 'failed', reason: describe(result) }
  const { families } = JSON.parse(result.stdout) as { families: CleanedFamily[] }
  return { kind: 'cleaned', families }
}

/** The conntrack table of this network namespace. */
export interface Connections {
  readonly entries: number
  /** 0: no limit. */
  readonly max: number
  /** Packets that could not be tracked, most often because the table was full; since the namespace was made. */
  readonly drops: number
}

/** null: this kernel tracks no connections (yet), or does not tell. */
export function readConnections(): Connections | null {
  try {
    const number = (name: string): number => Number(readFileSync(`${SYSCTL}/${name}`, 'utf8'))
    return { entries: number('nf_conntrack_count'), max: number('nf_conntrack_max'), drops: readDrops() }
  } catch {
    return null
  }
}

export type Liberal =
  | { readonly kind: 'set' }
  /** Connections are not tracked here yet: the first rule that asks for it changes that. */
  | { readonly kind: 'untracked' }
  | { readonly kind: 'failed'; readonly reason: string; readonly remedy: string }

/**
 * Lets packets outside of their connection's TCP window pass instead of calling them INVALID: those are not translated, so
 * that their receiver, who never heard of the sender, resets the connection (kubernetes issue 74839).
 */
export async function beLiberal(): Promise<Liberal> {
  try {
    if ((await readFile(LIBERAL, 'utf8')).trim() !== '1') await writeFile(LIBERAL, '1')
    return { kind: 'set' }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return { kind: 'untracked' }
    const remedy =
      'give the agent a writable /proc/sys (a privileged container has one), or set it before the agent starts, ' +
      'on the node or in an init container: sysctl -w net.netfilter.nf_conntrack_tcp_be_liberal=1'
    return { kind: 'failed', reason: `cannot set net.netfilter.nf_conntrack_tcp_be_liberal: ${message}`, remedy }
  }
}

/** Column `drop` of each CPU's line, hexadecimal. */
function readDrops(): number {
  const [head, ...cpus] = readFileSync('/proc/net/stat/nf_conntrack', 'utf8')
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
  const column = head?.indexOf('drop') ?? -1
  return column < 0 ? 0 : cpus.reduce((sum, cpu) => sum + Number.parseInt(cpu[column] ?? '0', 16), 0)
}

const SYSCTL = '/proc/sys/net/netfilter'
const LIBERAL = `${SYSCTL}/nf_conntrack_tcp_be_liberal`
