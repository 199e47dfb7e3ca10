/**
 * The lab's views of the file system. They are in mount namespaces of its own, so nothing here is seen by the machine.
 * PID 1's: /run is private, `ip netns` keeps its names there. A node's: all of the machine's files can be read and none
 * can be changed; what is written to /etc, /var/lib and /tmp stays in the node.
 */
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { exec } from '../kernel/exec.ts'
import { run } from './command.ts'
import { CACHE } from './program.ts'

type Enter = readonly [string, ...string[]] | readonly []

/** For PID 1's mount namespace. `place` stays visible at its own path although /run is covered. */
export async function coverRun(place: string): Promise<void> {
  mkdirSync(stageIn(place), { recursive: true })
  await cover('/run', TMPFS, place, [])
}

/** For a node's; `enter` leads into its namespaces. */
export async function coverNode(place: string, enter: Enter): Promise<void> {
  const kept = [place, CACHE].filter((path) => existsSync(path))
  // A mount of its own stays writable when the one below it no longer is.
  for (const path of kept) await run([...enter, 'mount', '-n', '--bind', path, path])
  await cover('/run', TMPFS, place, enter)
  const overs = PRIVATE.map((path) => ({ path, over: `/run/over${path.replaceAll('/', '-')}` }))
  await run([...enter, 'mkdir', '-p', ...overs.flatMap(({ over }) => [`${over}/upper`, `${over}/work`])])
  // An overlay, not a tmpfs: the machine's own files are still there, and without root a folder that is missing
  // (/etc/cni) could not be made.
  for (const { path, over } of overs) {
    const options = `lowerdir=${path},upperdir=${over}/upper,workdir=${over}/work`
    await cover(path, ['-t', 'overlay', '-o', options, 'fairlead'], place, enter)
  }
  await Promise.all(
    writableMounts().map((path) => exec([...enter, 'mount', '-n', '-o', 'remount,bind,ro', path] as never)),
  )
}

/** Mounts over a folder, made in a stage first, so that a `place` inside of it can be carried along. */
async function cover(path: string, mount: readonly string[], place: string, enter: Enter): Promise<void> {
  const below = relative(path, place)
  if (below.startsWith('..')) return void (await run([...enter, 'mount', '-n', ...mount, path]))
  const stage = stageIn(place)
  await run([...enter, 'mount', '-n', ...mount, stage])
  await run([...enter, 'mkdir', '-p', join(stage, below)])
  await run([...enter, 'mount', '-n', '--bind', place, join(stage, below)])
  await run([...enter, 'mount', '-n', '--move', stage, path])
}

/** The machine's own, as the lab sees them. One that is hidden under another cannot be reached, nor need it be. */
function writableMounts(): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , , , path, options]) => path && !NOT_FILES.test(path) && options?.split(',').includes('rw'))
    .map(([, , , , path]) => path!.replaceAll('\\040', ' '))
}

const stageIn = (place: string): string => join(place, 'run')
const TMPFS = ['-t', 'tmpfs', '-o', 'mode=755', 'fairlead']
const PRIVATE = ['/etc', '/var/lib', '/tmp']
const NOT_FILES = /^\/(proc|sys|dev|run)(\/|$)/
