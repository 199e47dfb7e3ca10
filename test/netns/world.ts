/**
 * A world of its own for a test: network, mount and PID namespaces (and a user namespace when not root), so that a test may
 * do what it likes with interfaces and rulesets, and leaves nothing behind however it ends.
 */
import { spawnSync } from 'node:child_process'
import { exec, describe } from '../../src/kernel/exec.ts'

/** Runs the calling test file again inside a world, unless it already is in one. Call it first. */
export async function enterWorld(): Promise<void> {
  if (process.env['FAIRLEAD_WORLD'] === '1') return prepare()
  const root = process.getuid?.() === 0
  const flags = ['--net', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc', '--uts', '--ipc']
  const user = root ? [] : ['--user', '--map-root-user']
  // Whoever dies takes the rest along: this process its unshare, and that the world.
  const unshare = ['--pdeathsig', 'KILL', 'unshare', ...flags, ...user]
  const run = spawnSync('setpriv', [...unshare, process.execPath, ...process.execArgv, ...process.argv.slice(1)], {
    stdio: 'inherit',
    env: { ...process.env, FAIRLEAD_WORLD: '1', PATH: `${process.env['PATH']}:/usr/sbin:/sbin` },
  })
  process.exit(run.status ?? 1)
}

/** Runs `ip` commands one after the other, each given as the words after `ip`: options, if any, then the command. */
export async function ip(...lines: string[]): Promise<void> {
  // One process for all that follow each other with the same options.
  const batches: { options: readonly string[]; commands: string[] }[] = []
  for (const line of lines) {
    const [, before = '', command = ''] = /^\s*((?:-[46] +|-n +\S+ +)*)(.*)$/.exec(line)!
    const options = before.split(' ').filter((word) => word !== '')
    const last = batches.at(-1)
    if (last?.options.join(' ') === options.join(' ')) last.commands.push(command)
    else batches.push({ options, commands: [command] })
  }
  for (const { options, commands } of batches) {
    const result = await exec(['ip', ...options, '-batch', '-'], { stdin: commands.join('\n') + '\n' })
    if (result.kind !== 'done') throw new Error(`ip ${options.join(' ')}: ${commands.join('; ')}: ${describe(result)}`)
  }
}

/** Runs a command inside a named network namespace (n1: the world's own) and returns what it printed. */
export async function inside(namespace: string, ...command: [string, ...string[]]): Promise<string> {
  const result = await exec([...within(namespace), ...command] as [string, ...string[]])
  if (result.kind !== 'done') throw new Error(`${command.join(' ')} in ${namespace}: ${describe(result)}`)
  return result.stdout
}

/** How to start a command in a namespace. */
export const within = (namespace: string): readonly string[] =>
  namespace === 'n1' ? [] : ['ip', 'netns', 'exec', namespace]

async function prepare(): Promise<void> {
  for (const command of [
    ['mount', '-t', 'tmpfs', 'tmpfs', '/run'],
    ['ip', 'link', 'set', 'lo', 'up'],
  ] as [string, ...string[]][]) {
    const result = await exec(command)
    if (result.kind !== 'done') throw new Error(`${command.join(' ')}: ${describe(result)}`)
  }
}
