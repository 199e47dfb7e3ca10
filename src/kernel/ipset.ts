/** Sets of addresses that iptables rules look in and add to. */
import { describe, exec } from './exec.ts'
import type { Family } from './iptables.ts'

/** Addresses (`hash:ip`) or ranges (`hash:net`, none of them all addresses) of one family, by which rules decide. */
export interface AddressSet {
  readonly name: string
  readonly type: 'hash:ip' | 'hash:net'
  /** As ipset prints them. */
  readonly members: ReadonlySet<string>
}

/** Runs lines as `ipset restore` reads them, one after the other up to the first that fails. null: all were done; else why not. */
export async function editSets(lines: readonly string[], signal?: AbortSignal): Promise<string | null> {
  if (lines.length === 0) return null
  const stdin = lines.join('\n') + '\n'
  const result = await exec(['ipset', '-exist', 'restore'], { stdin, ...(signal && { signal }) })
  return result.kind === 'done' ? null : describe(result)
}

/** Names of all sets; null: there is no ipset here. */
export async function listSets(signal?: AbortSignal): Promise<readonly string[] | null> {
  const result = await exec(['ipset', 'list', '-n'], signal ? { signal } : {})
  return result.kind === 'done' ? result.stdout.split('\n').filter((name) => name !== '') : null
}

/** null: there is no such set. Throws when it cannot be told. */
export async function readSet(name: string, signal?: AbortSignal): Promise<AddressSet | null> {
  const result = await exec(['ipset', 'save', name], signal ? { signal } : {})
  if (result.kind !== 'done') {
    if (result.kind === 'failed' && result.stderr.includes('does not exist')) return null
    throw new Error(`cannot read ipset ${name}: ${describe(result)}`)
  }
  const [made = '', ...added] = result.stdout.split('\n')
  const type = made.split(' ')[2] as AddressSet['type']
  return { name, type, members: new Set(added.flatMap((line) => line.split(' ')[2] ?? []).map(canonical)) }
}

/** ipset writes the end of an address such as ::102:304 as that of IPv4 (inet_ntop(3)); nobody else does. */
const canonical = (member: string): string =>
  member.replace(/^(::)(\d+)\.(\d+)\.(\d+)\.(\d+)/, (_, start: string, ...bytes: string[]) => {
    const [a, b, c, d] = bytes.map(Number) as [number, number, number, number]
    return `${start}${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`
  })

/** Makes a set that is not there, empty. */
export const createLine = ({ name, type }: Omit<AddressSet, 'members'>, family: Family): string =>
  `create ${name} ${type} family inet${family === 6 ? '6' : ''} maxelem ${MEMBERS_MAX}`

/** Destroys those that are there; the kernel lets go of a set when the last rule is freed, a moment after its deletion. */
export async function destroySets(isOurs: (name: string) => boolean, signal?: AbortSignal): Promise<void> {
  for (let tries = 0; tries <= DESTROY_TRIES; tries++) {
    const left = ((await listSets(signal)) ?? []).filter(isOurs)
    if (left.length === 0) return
    if (tries > 0) await new Promise((resolve) => setTimeout(resolve, DESTROY_MS))
    await editSets(
      left.map((name) => `destroy ${name}`),
      signal,
    )
  }
}

const MEMBERS_MAX = 262_144
const DESTROY_TRIES = 20
const DESTROY_MS = 50
