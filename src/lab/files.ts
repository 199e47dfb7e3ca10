/** The manifest files the lab was given: applied at the start, and again whenever one of them is saved. */
import { watch, type FSWatcher } from 'node:fs'
import { dirname } from 'node:path'
import { describeProblem, readManifests, type Manifests } from '../cluster/manifest.ts'
import { findManifests } from '../cluster/manifests.ts'

export interface FilesEvents {
  /** The files as they are now. `problems` are for people; what is broken keeps its last good objects. */
  read(manifests: Manifests, problems: readonly string[]): void
}

export class Files {
  readonly #paths: readonly string[]
  readonly #events: FilesEvents
  readonly #watchers = new Map<string, FSWatcher>()
  #stamps = ''
  #timer: NodeJS.Timeout | undefined
  #reading = Promise.resolve()

  constructor(paths: readonly string[], events: FilesEvents) {
    this.#paths = paths
    this.#events = events
  }

  /** Reads everything once and watches from then on. */
  async start(): Promise<void> {
    await this.#read()
  }

  stop(): void {
    clearTimeout(this.#timer)
    for (const watcher of this.#watchers.values()) watcher.close()
  }

  #mark(): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#reading = this.#reading.then(() => this.#read())
    }, SETTLE_MS)
  }

  async #read(): Promise<void> {
    const found = findManifests(this.#paths)
    // Folders, not files: editors save by renaming a new file over the old one, which a watch on the file does not see.
    const folders = found.folders.map(({ folder }) => folder)
    const parents = [...found.files.map(({ file }) => file), ...this.#paths].map((path) => dirname(path))
    this.#watchFolders(new Set([...folders, ...parents]))
    const stamps = found.files.map(({ file, stamp }) => `${file} ${stamp}`).join('\n')
    if (stamps === this.#stamps) return
    this.#stamps = stamps
    const manifests = await readManifests(this.#paths)
    this.#events.read(manifests, manifests.problems.map(describeProblem))
  }

  #watchFolders(folders: ReadonlySet<string>): void {
    for (const [folder, watcher] of this.#watchers) {
      if (folders.has(folder)) continue
      watcher.close()
      this.#watchers.delete(folder)
    }
    for (const folder of folders) {
      if (this.#watchers.has(folder)) continue
      try {
        const watcher = watch(folder, () => this.#mark())
        watcher.on('error', () => this.#watchers.delete(folder))
        this.#watchers.set(folder, watcher)
      } catch {
        // Gone since it was listed: its parent is watched, and tells when it is back.
      }
    }
  }
}

/** A save is several events; this long after the last one it is over. */
const SETTLE_MS = 20
