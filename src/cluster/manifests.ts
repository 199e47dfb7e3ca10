import { readdirSync, realpathSync, statSync, type BigIntStats } from 'node:fs'
import { join } from 'node:path'
import type { Problem } from './manifest.ts'

/** The manifest files below some paths, in the order of the paths; inside folders by name. */
export interface Found {
  readonly files: readonly FoundFile[]
  /** Folders that were looked into: what to watch. */
  readonly folders: readonly FoundFolder[]
  readonly problems: readonly Problem[]
  /** Paths that are there and were not looked into: what they hold is not known. */
  readonly unread: readonly string[]
}

export interface FoundFile {
  readonly file: string
  /** Changes whenever the content may have. */
  readonly stamp: string
  /** In bytes. */
  readonly size: number
}

export interface FoundFolder {
  readonly folder: string
  /** Another folder of the same name has another one. */
  readonly inode: string
}

/** Files that are named are taken whatever they are called; in folders, *.yaml, *.yml and *.json. Hidden names are left out. */
export function findManifests(paths: readonly string[]): Found {
  const walk: Walk = { files: new Map(), folders: new Map(), problems: [], unread: [], full: false }
  for (const path of paths) {
    const stat = statOf(path, walk)
    if (stat === null) continue
    if (stat.isDirectory()) folder(path, stat, 0, walk)
    else file(path, stat, walk)
  }
  return { ...walk, files: [...walk.files.values()], folders: [...walk.folders.values()] }
}

interface Walk {
  readonly files: Map<string, FoundFile>
  /** By real path: a link back up does not go round in circles. */
  readonly folders: Map<string, FoundFolder>
  readonly problems: Problem[]
  readonly unread: string[]
  full: boolean
}

function folder(path: string, stat: BigIntStats, depth: number, walk: Walk): void {
  let names: string[]
  try {
    const real = realpathSync(path)
    if (walk.folders.has(real)) return
    walk.folders.set(real, { folder: path, inode: `${stat.dev} ${stat.ino}` })
    names = readdirSync(path).sort()
  } catch (error) {
    return complain(walk, path, `cannot be listed: ${(error as Error).message}`, 'check that it may be read')
  }
  for (const name of names) {
    // `.x.yaml.swp`, `..data` of a mounted ConfigMap, `.git`.
    if (name.startsWith('.')) continue
    const inside = join(path, name)
    const stat = statOf(inside, walk, true)
    if (stat === null) continue
    if (!stat.isDirectory()) {
      if (/\.(ya?ml|json)$/i.test(name)) file(inside, stat, walk)
    } else if (depth < DEPTH_MAX) folder(inside, stat, depth + 1, walk)
    else complain(walk, inside, `is more than ${DEPTH_MAX} folders deep; left out`, 'name it as a path of its own')
  }
}

/** Of a file as it is now; null: it cannot be told. */
export function stampOf(path: string): string | null {
  try {
    return stamp(statSync(path, { bigint: true }))
  } catch {
    return null
  }
}

function file(path: string, stat: BigIntStats, walk: Walk): void {
  const id = `${stat.dev} ${stat.ino}` // one file by several links is one file
  if (walk.files.has(id) || walk.full) return
  if (!stat.isFile()) return complain(walk, path, 'is no regular file; left out', 'name a file or folder')
  if (stat.size > FILE_MAX_BYTES) {
    const problem = `has ${stat.size} bytes, more than ${FILE_MAX_BYTES}; left out`
    return complain(walk, path, problem, 'split it into several files')
  }
  if (walk.files.size >= FILES_MAX) {
    walk.full = true
    return complain(
      walk,
      path,
      `and what follows is left out: over ${FILES_MAX} files`,
      'put more objects into each file',
    )
  }
  walk.files.set(id, { file: path, stamp: stamp(stat), size: Number(stat.size) })
}

const stamp = (stat: BigIntStats): string => `${stat.dev} ${stat.ino} ${stat.size} ${stat.mtimeNs} ${stat.ctimeNs}`

function statOf(path: string, walk: Walk, mayVanish = false): BigIntStats | null {
  try {
    return statSync(path, { bigint: true })
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    // Inside a folder: gone between the listing and now, or a dangling link, such as editors' lock files are.
    if (missing && mayVanish) return null
    if (missing) walk.problems.push({ file: path, line: 0, problem: 'does not exist', remedy: 'check the path' })
    else complain(walk, path, `cannot be read: ${(error as Error).message}`, 'check its permissions')
    return null
  }
}

function complain(walk: Walk, path: string, problem: string, remedy: string): void {
  walk.problems.push({ file: path, line: 0, problem, remedy })
  walk.unread.push(path)
}

const DEPTH_MAX = 32
const FILES_MAX = 10_000
const FILE_MAX_BYTES = 64 * 1024 * 1024
