/**
 * The lab's views of the file system. They are in mount namespaces of its own, so nothing here is seen by the machine.
 * PID 1's: /run is private, `ip netns` keeps its names there. A node's: all of the machine's files can be read and none
 * can be changed; what is written to /etc, /var/lib and /tmp stays in the node.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
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
    const overlay = ['-t', 'overlay', '-o', options, 'fairlead']
    if (await canMount(overlay, place, enter)) await cover(path, overlay, place, enter)
    else await coverWithLinks(path, place, enter)
  }
  const writable = writableMounts()
  const linked = [...PRIVATE, ...writable].map((path) => UNDER + path)
  await Promise.all(
    [...writable, ...linked].map((path) => exec([...enter, 'mount', '-n', '-o', 'remount,bind,ro', path] as never)),
  )
}

/**
 * Without root an overlay is refused over a folder with a mount of the machine in it (/var/lib/docker, a container's
 * /etc/hosts): it would show what that mount hides (clone_private_mount() and has_locked_children(), fs/namespace.c).
 */
async function canMount(mount: readonly string[], place: string, enter: Enter): Promise<boolean> {
  const stage = stageIn(place)
  const tried = await exec([...enter, 'mount', '-n', ...mount, stage] as never)
  if (tried.kind === 'done') await run([...enter, 'umount', '-n', stage])
  return tried.kind === 'done'
}

/** What the machine has there, as links to where it is then: new files can be made, the machine's can only be read. */
async function coverWithLinks(path: string, place: string, enter: Enter): Promise<void> {
  const under = UNDER + path
  await run([...enter, 'mkdir', '-p', under])
  await run([...enter, 'mount', '-n', '--rbind', path, under])
  const own = [...LAB_OWN, relative(path, place).split(sep)[0]]
  const shown = readdirSync(path).filter((name) => !own.includes(name))
  await cover(path, TMPFS_FOR_ALL, place, enter)
  for (let from = 0; from < shown.length; from += LINKS_AT_ONCE) {
    const targets = shown.slice(from, from + LINKS_AT_ONCE).map((name) => join(under, name))
    await run([...enter, 'ln', '-s', '-t', path, '--', ...targets])
  }
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
const TMPFS_FOR_ALL = ['-t', 'tmpfs', '-o', 'mode=1777', 'fairlead']
const PRIVATE = ['/etc', '/var/lib', '/tmp']
/** Where what is covered with links can be read. */
const UNDER = '/run/under'
/** Folders that a node writes to: in /etc and in /var/lib. */
const LAB_OWN: readonly (string | undefined)[] = ['cni', 'fairlead']
const LINKS_AT_ONCE = 1000
const NOT_FILES = /^\/(proc|sys|dev|run)(\/|$)/
