/** Links, addresses, neighbours, forwarding entries and routes, by iproute2: `ip` and `bridge`, many commands a process. */
import { describe, exec } from './exec.ts'

export type IpTool = 'ip' | 'bridge'

/** By number of the command, from 0: what the kernel said to those that failed. The others took effect. */
export type BatchFailures = ReadonlyMap<number, string>

/**
 * Runs all commands in order, also behind one that fails. Throws when the tool cannot run or dislikes a command's words: how
 * many took effect is then not known.
 */
export async function runBatch(
  tool: IpTool,
  commands: readonly string[],
  signal?: AbortSignal,
): Promise<BatchFailures> {
  const failures = new Map<number, string>()
  if (commands.length === 0) return failures
  const stdin = commands.join('\n') + '\n'
  const result = await exec([tool, '-force', '-batch', '-'], { stdin, ...(signal && { signal }) })
  if (result.kind === 'done') return failures
  if (result.kind === 'missing' || result.code === null) throw new Error(`${tool}: ${describe(result)}`)
  let said = ''
  for (const line of result.stderr.split('\n')) {
    const failed = /^Command failed -:(\d+)/.exec(line)
    if (failed === null) {
      if (line !== '') said = said === '' ? line : `${said} ${line}`
      continue
    }
    failures.set(Number(failed[1]) - 1, said.replace(/^(RTNETLINK answers|Error): /, ''))
    said = ''
  }
  // Words that make no sense end the tool at once, without the line that says which command it was.
  if (failures.size === 0 || said !== '') throw new Error(`${tool}: ${describe(result)}`)
  return failures
}

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
