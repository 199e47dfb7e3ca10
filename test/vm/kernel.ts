/**
 * Debian's kernel for the emulated machine, and the RAM disk that it starts from. The package comes through apt, as any user
 * may fetch it, is unpacked under ~/.cache/fairlead and installed nowhere.
 */
import { cp, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, join } from 'node:path'
import { describe, exec } from '../../src/kernel/exec.ts'

export interface Kernel {
  readonly version: string
  /** A folder that has boot/vmlinuz-VERSION and lib/modules/VERSION in it. */
  readonly root: string
}

/** What is not installed that a machine needs, with the command that installs it; null: all is there. */
export async function missing(): Promise<string | null> {
  const absent: string[] = []
  for (const tool of TOOLS) if ((await exec(['which', tool])).kind !== 'done') absent.push(tool)
  return absent.length === 0 ? null : `missing here: ${absent.join(', ')}\n  to mend it: bin/setup vm`
}

/** The kernel: what is under ~/.cache/fairlead, else fetched. Throws when apt has none. */
export async function kernel(): Promise<Kernel> {
  const cache = join(homedir(), '.cache/fairlead')
  const root = join(cache, PACKAGE)
  const there = await readdir(root).catch(() => null)
  if (there === null) {
    await mkdir(cache, { recursive: true })
    const place = await mkdtemp(join(cache, 'kernel-'))
    await fetch(place)
      .then((unpacked) => rename(unpacked, root)) // whole or not at all
      .finally(() => rm(place, { recursive: true, force: true }))
  }
  const [version] = await readdir(join(root, 'lib/modules'))
  return { version: version!, root }
}

async function fetch(place: string): Promise<string> {
  const depends = await run(['apt-cache', 'depends', PACKAGE])
  const name = /Depends: (linux-image-\S+)/.exec(depends)?.[1]
  if (name === undefined) throw new Error(`apt knows no ${PACKAGE}, which Debian 12 has: apt-get update`)
  // apt-get writes what it downloads to its current folder.
  await run(['env', `--chdir=${place}`, 'apt-get', '-q', '-o', 'Acquire::Retries=5', 'download', name])
  const [file] = await readdir(place)
  const unpacked = join(place, 'root')
  await run(['dpkg-deb', '--extract', join(place, file!), unpacked])
  const [version] = await readdir(join(unpacked, 'lib/modules'))
  await run(['depmod', '-b', unpacked, version!])
  return unpacked
}

/** Writes the RAM disk into the folder `place`: busybox, our init, and the modules it takes to see the host's files. */
export async function ramDisk({ version, root }: Kernel, place: string): Promise<string> {
  const disk = join(place, 'disk')
  for (const folder of ['bin', 'sbin', 'modules', 'proc', 'sys', 'dev', 'host', 'memory', 'merged'])
    await mkdir(join(disk, folder), { recursive: true })
  await cp(join(import.meta.dirname, 'init'), join(disk, 'init'))
  await cp((await run(['which', 'busybox'])).trim(), join(disk, 'bin/busybox'))
  const compressed: string[] = []
  for (const file of await modules(version, root)) {
    // Loaded in the order of their names.
    const copy = join(disk, 'modules', `${String(compressed.length).padStart(2, '0')}-${basename(file)}`)
    await cp(file, copy)
    compressed.push(copy)
  }
  await run(['xz', '--decompress', ...compressed])
  const names = await readdir(disk, { recursive: true })
  const made = join(place, 'initrd')
  await run(['cpio', '--quiet', '--create', '--format=newc', `--directory=${disk}`, `--file=${made}`], names.join('\n'))
  return made
}

/** In the order in which they must be loaded. */
async function modules(version: string, root: string): Promise<Set<string>> {
  const found = new Set<string>()
  for (const name of ['9p', '9pnet_virtio', 'overlay']) {
    const lines = await run(['modprobe', '-d', root, '-S', version, '--show-depends', name])
    for (const [, file] of lines.matchAll(/^insmod (\S+)/gm)) found.add(file!)
  }
  return found
}

async function run(command: readonly [string, ...string[]], stdin?: string): Promise<string> {
  const result = await exec(command, { timeoutMs: TIMEOUT_MS, ...(stdin !== undefined && { stdin }) })
  if (result.kind === 'done') return result.stdout
  throw new Error(`${command.slice(0, 2).join(' ')}: ${describe(result)}`)
}

/** A mirror may be slow. */
const TIMEOUT_MS = 15 * 60_000
const PACKAGE = 'linux-image-6.12-amd64'
const TOOLS = ['qemu-system-x86_64', 'busybox', 'cpio', 'modprobe', 'depmod', 'xz', 'dpkg-deb', 'apt-get']

// `bin/setup vm` has it fetched.
if (import.meta.main) await kernel()
