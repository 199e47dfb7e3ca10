import type { watch } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { describeProblem, readText, type Problem } from '../manifest.ts'
import { findManifests, stampOf, type Found, type FoundFile } from '../manifests.ts'
import { FolderWatch } from './folders.ts'
import { Holdings, type Change, type Identify, type Loaded } from './holdings.ts'

export interface WatchOptions {
  /** Files and folders. */
  readonly paths: readonly string[]
  readonly identify: Identify
  readonly signal: AbortSignal
  /** Called first with all there is (even when that is nothing), then with what each save changed (perhaps nothing). */
  readonly onChange: (change: Change) => void
  /** Called once when a problem appears. */
  readonly onProblem: (problem: Problem) => void
  /** Called with all problems there are, when they became others. */
  readonly onProblems?: (problems: readonly Problem[]) => void
  /** For tests. */
  readonly watchFolder?: typeof watch
  readonly doubtMs?: number
}

export interface Watched {
  /** What is wrong now, in the order of the files. */
  problems(): readonly Problem[]
  /** Resolves when `signal` was aborted and nothing is watched any more. */
  readonly done: Promise<void>
}

/**
 * Follows manifest files: what is saved is seen within 100 ms. A file that is broken stays as it last was, and is reported;
 * what a deleted file had is gone, a moment later. Where the kernel cannot tell (inotify limits, network file systems), it polls.
 */
export function watchManifests(options: WatchOptions): Watched {
  const files = new Files(options)
  return { problems: () => files.problems, done: files.run() }
}

class Files {
  readonly #options: WatchOptions
  readonly #holdings: Holdings
  readonly #folders: FolderWatch
  /** Of each file, what it was when it was last read. */
  readonly #stamps = new Map<string, string>()
  /** Of files that could not be read. */
  readonly #broken = new Map<string, readonly Problem[]>()
  /** Files that are empty or gone, or changed while they were read, and since when: perhaps they are being saved. */
  #doubtful = new Map<string, number>()
  /** What the last look at all names and times took. */
  #lookMs = 0
  #again = false
  #wake: () => void = () => {}
  problems: readonly Problem[] = []

  constructor(options: WatchOptions) {
    this.#options = options
    this.#holdings = new Holdings(options.identify)
    this.#folders = new FolderWatch(() => this.#ring(), options.watchFolder)
  }

  get #doubtMs(): number {
    return this.#options.doubtMs ?? DOUBT_MS
  }

  async run(): Promise<void> {
    const { signal } = this.#options
    const stop = () => this.#wake()
    signal.addEventListener('abort', stop, { once: true })
    for (let first = true; !signal.aborted; first = false) {
      await this.#scan(first)
      await this.#rest(this.#pause())
    }
    signal.removeEventListener('abort', stop)
    this.#folders.close()
  }

  #pause(): number {
    if (this.#doubtful.size > 0) return this.#doubtMs
    const watched = this.#folders.failure === null
    return Math.max(watched ? POLL_MS : POLL_ONLY_MS, this.#lookMs * (watched ? POLL_COST : POLL_ONLY_COST))
  }

  #ring(): void {
    this.#again = true
    this.#wake()
  }

  /** Until something happens, or for `ms`. Then a little longer: savings come in several events. */
  async #rest(ms: number): Promise<void> {
    const { signal } = this.#options
    if (!this.#again && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms)
        this.#wake = () => (clearTimeout(timer), resolve())
      })
      this.#wake = () => {}
    }
    for (let waited = 0; this.#again && !signal.aborted && waited < SETTLE_MAX_MS; waited += SETTLE_MS) {
      this.#again = false
      await sleep(SETTLE_MS)
    }
    this.#again = false
  }

  async #scan(first: boolean): Promise<void> {
    const { paths, onChange, signal } = this.#options
    const started = performance.now()
    const found = findManifests(paths)
    this.#lookMs = performance.now() - started
    if (this.#folders.set(found.folders, paths)) this.#again = true
    const doubtful = new Map<string, number>()
    const loaded = await this.#load(found.files, doubtful, first)
    const gone = this.#gone(found, doubtful)
    if (signal.aborted) return
    this.#doubtful = doubtful
    const order = found.files.map(({ file }) => file)
    const change = this.#holdings.update(order, loaded, gone)
    if (first || loaded.size > 0 || change.drop.length > 0) onChange(change)
    const sure = found.problems.filter(({ file }) => !doubtful.has(file))
    this.#complain([...sure, ...order.flatMap((file) => this.#broken.get(file) ?? [])], order)
  }

  /** Files that are new or changed, and can be read. */
  async #load(
    files: readonly FoundFile[],
    doubtful: Map<string, number>,
    first: boolean,
  ): Promise<Map<string, Loaded>> {
    const loaded = new Map<string, Loaded>()
    for (const { file, stamp, size } of files) {
      if (this.#stamps.get(file) === stamp || this.#options.signal.aborted) continue
      if (size === 0 && !first && this.#holdings.has(file) && this.#doubts(file, doubtful)) continue
      const text = await readText(file)
      // Still being written: half a YAML file often is a valid one, and no file at all is.
      if (this.#holdings.has(file) && stampOf(file) !== stamp && this.#doubts(file, doubtful)) continue
      this.#stamps.set(file, stamp)
      const read = typeof text === 'string' ? this.#holdings.read(file, text) : [text]
      if ('sections' in read) {
        this.#broken.delete(file)
        loaded.set(file, read)
      } else this.#broken.set(file, read)
    }
    return loaded
  }

  /** Whether to wait and see: it is perhaps only being saved. */
  #doubts(file: string, doubtful: Map<string, number>): boolean {
    const now = performance.now()
    const since = this.#doubtful.get(file) ?? now
    if (now - since >= this.#doubtMs) return false
    doubtful.set(file, since)
    return true
  }

  #gone({ files, unread }: Found, doubtful: Map<string, number>): readonly string[] {
    const there = new Set(files.map(({ file }) => file))
    const gone: string[] = []
    for (const file of this.#stamps.keys()) {
      if (there.has(file) || unread.some((path) => file === path || file.startsWith(`${path}/`))) continue
      if (!this.#holdings.has(file) || !this.#doubts(file, doubtful)) gone.push(file)
    }
    for (const file of gone) {
      this.#stamps.delete(file)
      this.#broken.delete(file)
    }
    return gone
  }

  #complain(problems: readonly Problem[], order: readonly string[]): void {
    const all = [...problems, ...this.#holdings.problems(order)]
    const { failure } = this.#folders
    if (failure !== null) {
      const problem = `is not watched by the kernel (${failure}), but looked at every ${POLL_ONLY_MS} ms or more`
      all.push({
        file: this.#options.paths[0] ?? '',
        line: 0,
        problem,
        remedy: 'raise fs.inotify.max_user_watches and max_user_instances',
      })
    }
    const known = new Set(this.problems.map(describeProblem))
    const fresh = all.filter((problem) => !known.has(describeProblem(problem)))
    const changed = fresh.length > 0 || all.length !== known.size
    this.problems = all
    for (const problem of fresh) this.#options.onProblem(problem)
    if (changed) this.#options.onProblems?.(all)
  }
}

/** Events of one save come within a few ms; 100 ms is the promise, so this is bounded. */
const SETTLE_MS = 15
const SETTLE_MAX_MS = 45
/** Editors that truncate and write, or rename and write, are done by then, on a busy machine too. */
const DOUBT_MS = 250
/** For what inotify does not see: targets of links, network file systems. */
const POLL_MS = 2000
const POLL_ONLY_MS = 50
/** A look that takes long is not taken often: at most 1/200 of the time, or 1/20 where it is the only way. */
const POLL_COST = 200
const POLL_ONLY_COST = 20
