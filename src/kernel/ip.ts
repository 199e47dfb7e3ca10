/** Links, addresses, neighbours, forwarding entries and routes, by iproute2: `ip` and `bridge`, many commands a process. */
import { bisect } from '../core/refuse.ts'
import { describe, exec } from './exec.ts'

export type IpTool = 'ip' | 'bridge'

/** By number of the command, from 0: what the kernel said to those that failed. The others took effect. */
export type BatchFailures = ReadonlyMap<number, string>

/**
 * Runs all commands in order, also behind one that fails. They must be such that running them again does no harm: `ip
 * neighbour` ends the whole process when the kernel refuses one, without a word which (iproute2: ip/ipneigh.c), so that it is
 * searched for; where very many are refused, some that were not tried count as refused, too. Throws when the tool cannot run.
 */
export async function runBatch(
  tool: IpTool,
  commands: readonly string[],
  signal?: AbortSignal,
): Promise<BatchFailures> {
  if (commands.length === 0) return new Map()
  const whole = await runOnce(tool, commands, signal)
  if (whole.kind === 'done') return whole.failures
  const failures = new Map<number, string>()
  const numbers = commands.map((_, number) => String(number))
  const { guilty, undecided } = await bisect(numbers, (subset) => attempt(subset), TRIES_MAX)
  for (const [number, reason] of guilty) failures.set(Number(number), reason)
  for (const number of undecided) failures.set(Number(number), whole.reason)
  return failures

  async function attempt(subset: readonly string[]): Promise<string | null> {
    const part = subset.map((number) => commands[Number(number)]!)
    const result = subset.length === commands.length ? whole : await runOnce(tool, part, signal)
    if (result.kind === 'ended') return result.reason
    for (const [at, reason] of result.failures) failures.set(Number(subset[at]), reason)
    return null
  }
}

/** Runs commands in order, until one fails: which, and what the kernel said; null: none did. Throws when the tool cannot run. */
export async function runUntilFailure(
  tool: IpTool,
  commands: readonly string[],
  signal?: AbortSignal,
): Promise<{ readonly command: string; readonly reason: string } | null> {
  const result = await exec([tool, '-batch', '-'], { stdin: commands.join('\n') + '\n', ...(signal && { signal }) })
  if (result.kind === 'done') return null
  const failed = result.kind === 'failed' && /^Command failed -:(\d+)/m.exec(result.stderr)
  if (!failed) throw new Error(`${tool}: ${describe(result)}`)
  const said = result.stderr.slice(0, failed.index).trim().replaceAll('\n', ' ')
  return { command: commands[Number(failed[1]) - 1]!, reason: plain(said) }
}

type Once =
  | { readonly kind: 'done'; readonly failures: BatchFailures }
  /** In the midst of it. */
  | { readonly kind: 'ended'; readonly reason: string }

async function runOnce(tool: IpTool, commands: readonly string[], signal?: AbortSignal): Promise<Once> {
  const stdin = commands.join('\n') + '\n'
  const result = await exec([tool, '-force', '-batch', '-'], { stdin, ...(signal && { signal }) })
  const failures = new Map<number, string>()
  if (result.kind === 'done') return { kind: 'done', failures }
  if (result.kind === 'missing' || result.code === null) throw new Error(`${tool}: ${describe(result)}`)
  let said = ''
  for (const line of result.stderr.split('\n')) {
    const failed = /^Command failed -:(\d+)/.exec(line)
    if (failed === null) {
      if (line !== '') said = said === '' ? line : `${said} ${line}`
      continue
    }
    failures.set(Number(failed[1]) - 1, plain(said))
    said = ''
  }
  if (failures.size === 0 || said !== '') return { kind: 'ended', reason: plain(said) || describe(result) }
  return { kind: 'done', failures }
}

const plain = (said: string): string => said.replace(/^(RTNETLINK answers|Error): /, '')

/** What `ip -json` lists. Throws when it cannot. */
export async function list(tool: IpTool, words: readonly string[], signal?: AbortSignal): Promise<readonly Listed[]> {
  const result = await exec([tool, '-json', ...words], signal ? { signal } : {})
  if (result.kind !== 'done') throw new Error(`${tool} ${words.join(' ')}: ${describe(result)}`)
  // Nothing to list is no text, or a list; and what was left out of a list may be an empty object in it.
  const text = result.stdout.trim()
  const all = text === '' ? [] : (JSON.parse(text) as Listed[])
  return all.filter((each) => Object.keys(each).length > 0)
}

export type Listed = Readonly<Record<string, unknown>>

/** Of routes and proxied addresses that are ours, as in /etc/iproute2/rt_protos, where it is nobody's. */
export const PROTOCOL = '157'
const TRIES_MAX = 64
