/**
 * A machine of its own for a test that needs what the kernel here may not have: Debian's kernel in qemu, emulated where
 * there is no /dev/kvm, which takes some ten times as long as the processor itself. It sees the host's files, read-only, has
 * no network and no disk, and all that it writes is gone with it.
 */
import { spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { start } from '../../src/kernel/exec.ts'
import { kernel, missing, ramDisk } from './kernel.ts'

/** Runs the calling test file again inside a machine, as root, unless it already is in one. Call it first. */
export function enterMachine(): void {
  if (process.env['FAIRLEAD_MACHINE'] === '1') return
  // A process of its own, waited for: a test library that was imported already sees no time pass.
  const { status } = spawnSync(process.execPath, [import.meta.filename, process.execPath, ...process.argv.slice(1)], {
    stdio: 'inherit',
    env: { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` },
  })
  process.exit(status ?? 1)
}

/** Starts a machine and runs the command in it, from the folder we are in; what it says is printed. Returns its exit code. */
async function machine(command: readonly string[]): Promise<number> {
  const absent = await missing()
  if (absent !== null) {
    console.error(absent)
    return 1
  }
  const place = await mkdtemp(join(tmpdir(), 'fairlead-vm-'))
  try {
    const { version, root } = await kernel()
    const disk = await ramDisk({ version, root }, place)
    const cache = `NODE_COMPILE_CACHE=${process.env['NODE_COMPILE_CACHE'] ?? ''}` // compiling takes long in there
    // What the kernel does not know it hands to init.
    const words = ['console=ttyS0', 'quiet', 'panic=-1', '--', root, process.cwd(), 'env', cache, ...command]
    const child = start(
      [
        ...['setpriv', '--pdeathsig', 'KILL', 'qemu-system-x86_64'], // whoever ends us ends the machine
        ...['-accel', 'tcg', '-cpu', 'max', '-smp', '2', '-m', MEMORY, '-nodefaults', '-no-user-config', '-no-reboot'],
        ...['-kernel', join(root, 'boot', `vmlinuz-${version}`), '-initrd', disk],
        ...['-append', words.map((word) => `"${word}"`).join(' ')],
        ...['-virtfs', 'local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap'],
        ...['-display', 'none', '-serial', `file:${join(place, 'console')}`, '-serial', 'stdio'],
      ] as [string, ...string[]],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    child.once('error', (error) => console.error(error.message))
    let last = ''
    for await (const line of createInterface({ input: child.stdout! })) console.log((last = line))
    const code = /^machine: exit code (\d+)$/.exec(last)?.[1]
    if (code !== undefined) return Number(code)
    const said = await readFile(join(place, 'console'), 'utf8').catch(() => '')
    throw new Error(`the machine went down before its program ended; its console: ${said.slice(-4000)}`)
  } finally {
    await rm(place, { recursive: true, force: true })
  }
}

const MEMORY = '3G'

if (import.meta.main) process.exitCode = await machine(process.argv.slice(2))
