/** Commands the lab cannot do without: a failure ends the start, with what was run and why it failed. */
import { describe, exec } from '../kernel/exec.ts'

/** Standard output of the command. Throws when it fails. */
export async function run(command: readonly string[], stdin?: string): Promise<string> {
  const result = await exec(command as [string, ...string[]], stdin === undefined ? {} : { stdin })
  if (result.kind === 'done') return result.stdout
  throw new Error(`${command.join(' ')}\n  ${describe(result)}`)
}
