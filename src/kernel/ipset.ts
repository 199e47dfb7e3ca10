/** Sets of addresses that iptables rules look in and add to. */
import { describe, exec } from './exec.ts'

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
