import { statSync, watch, type FSWatcher } from 'node:fs'
import { basename, dirname, resolve } from 'node:path'
import type { FoundFolder } from '../manifests.ts'

/** Tells of anything that happens in a set of folders. Level-triggered: says that, not what. */
export class FolderWatch {
  readonly #onEvent: () => void
  readonly #watch: typeof watch
  readonly #watchers = new Map<string, FSWatcher>()
  #failure: string | null = null

  constructor(onEvent: () => void, watchFolder: typeof watch = watch) {
    this.#onEvent = onEvent
    this.#watch = watchFolder
  }

  /** Why not all is watched (the limits of inotify, usually); null: all is. */
  get failure(): string | null {
    return this.#failure
  }

  /**
   * Watches exactly these folders, and the paths themselves for being created, replaced or renamed (as editors save). True
   * when one is newly watched: what happened in it before is not known.
   */
  set(folders: readonly FoundFolder[], paths: readonly string[]): boolean {
    const wanted = new Map<string, () => FSWatcher>()
    // A folder that was replaced by another of the same name has another inode, and needs another watch.
    for (const { folder, inode } of folders) wanted.set(`${inode} ${folder}`, () => this.#watch(folder, this.#onEvent))
    for (const path of paths) {
      const parent = dirname(resolve(path))
      const name = basename(resolve(path))
      const inode = inodeOf(parent)
      if (inode === null || name === '') continue
      wanted.set(`${inode} ${parent} ${name}`, () =>
        this.#watch(parent, (_, file) => (file === null || file === name ? this.#onEvent() : undefined)),
      )
    }
    for (const [id, watcher] of this.#watchers) if (!wanted.has(id)) this.#close(id, watcher)
    this.#failure = null
    let added = false
    for (const [id, open] of wanted) if (!this.#watchers.has(id)) added = this.#open(id, open) || added
    return added
  }

  close(): void {
    for (const [id, watcher] of this.#watchers) this.#close(id, watcher)
  }

  #open(id: string, open: () => FSWatcher): boolean {
    try {
      const watcher = open()
      watcher.on('error', () => {
        this.#close(id, watcher)
        this.#onEvent()
      })
      this.#watchers.set(id, watcher)
      return true
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      if (code !== 'ENOENT') this.#failure ??= message
      return false
    }
  }

  #close(id: string, watcher: FSWatcher): void {
    this.#watchers.delete(id)
    watcher.close()
  }
}

function inodeOf(path: string): string | null {
  try {
    const stat = statSync(path, { bigint: true })
    return `${stat.dev} ${stat.ino}`
  } catch {
    return null
  }
}
