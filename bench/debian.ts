/**
 * Programs of Debian packages, unpacked into the cache and run from there: installed, their servers would start and take
 * ports of this machine.
 */
import { existsSync } from 'node:fs'
import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheFolder } from '../test/cluster/build.ts'
import { describe, exec } from '../src/kernel/exec.ts'

export interface Unpacked {
  /** Of a program. */
  readonly path: (program: string) => string
  /** With the libraries that came along. */
  readonly env: NodeJS.ProcessEnv
}

/** null: not there yet. */
export async function findDebian(packages: readonly string[]): Promise<Unpacked | null> {
  const root = rootOf(packages)
  const lib = join(root, 'usr/lib')
  const folders = await readdir(lib).catch(() => null)
  if (folders === null) return null
  const libraries = folders.filter((name) => name.endsWith('-linux-gnu')).map((name) => join(lib, name))
  return {
    path: (program) => join(root, PLACES.find((at) => existsSync(join(root, at, program))) ?? 'usr/sbin', program),
    env: { ...process.env, LD_LIBRARY_PATH: libraries.join(':') },
  }
}

/** Fetches what is not there yet, with what it depends on. Returns why that cannot be; null when it is there. */
export async function fetchDebian(packages: readonly string[]): Promise<string | null> {
  if ((await findDebian(packages)) !== null) return null
  const fresh = `${rootOf(packages)}.${process.pid}`
  const archives = join(fresh, 'archives')
  await mkdir(join(archives, 'partial'), { recursive: true })
  try {
    const fetch = ['apt-get', '-q', '-y', '--no-install-recommends', '--reinstall', '--download-only'] as const
    const command = [...fetch, '-o', `Dir::Cache::archives=${archives}`, 'install', ...packages] as const
    const known = await exec(command, { timeoutMs: FETCH_MAX_MS })
    // Lists of packages that are too old, or not there.
    if (known.kind === 'failed') await exec(['apt-get', '-q', 'update'], { timeoutMs: FETCH_MAX_MS })
    const fetched = known.kind === 'done' ? known : await exec(command, { timeoutMs: FETCH_MAX_MS })
    if (fetched.kind !== 'done') return describe(fetched)
    const root = join(fresh, 'root')
    for (const file of await readdir(archives)) {
      if (!file.endsWith('.deb')) continue
      const unpacked = await exec(['dpkg-deb', '-x', join(archives, file), root])
      if (unpacked.kind !== 'done') return describe(unpacked)
    }
    await rename(root, rootOf(packages))
    return null
  } finally {
    await rm(fresh, { recursive: true, force: true })
  }
}

const rootOf = (packages: readonly string[]): string => join(cacheFolder(), `debian-${packages.join('-')}`)
const PLACES = ['usr/sbin', 'usr/bin']
const FETCH_MAX_MS = 120_000
