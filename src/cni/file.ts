import { accessSync, constants, readFileSync } from 'node:fs'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Delta, Drift, Refused, Target } from '../core/delta.ts'
import { FILE } from './conflist.ts'
import type { Conflist } from './rows.ts'

/**
 * Keeps our conflist in the folder that container runtimes read, whole at every moment, also after a power cut. Nothing else
 * there is touched. While there is no row it stays as it is.
 */
export class ConflistFile implements Target<Conflist> {
  readonly name = 'conflist'
  readonly #folder: string
  readonly #path: string
  #text: string | null = null
  /** The folder could not be used. */
  #isShut = false

  constructor(folder: string) {
    this.#folder = folder
    this.#path = join(folder, FILE)
  }

  async apply({ put }: Delta<Conflist>): Promise<readonly Refused[]> {
    const [first] = put
    if (first === undefined) return []
    const [key, { text }] = first
    this.#text = text
    this.#isShut = false
    if (this.#read() === text) return []
    try {
      await this.#replace(text)
      return []
    } catch (error) {
      const { code = '', message } = error as NodeJS.ErrnoException
      this.#isShut = SHUT.has(code)
      const reason = `${this.#path} cannot be written: ${message}`
      const remedy = `make ${this.#folder} a folder that the agent may write to (a hostPath volume), or name another: --cni-conf-dir`
      return [{ key, reason, remedy }]
    }
  }

  audit(): Promise<Drift> {
    const detail = this.differs()
    return Promise.resolve(detail === null ? { clean: true } : { clean: false, detail })
  }

  /** null: as it should be, or the folder still cannot be used. Cheap. */
  differs(): string | null {
    if (this.#text === null || this.#read() === this.#text) return null
    if (this.#isShut && !isUsable(this.#folder)) return null
    return `${this.#path} says something else`
  }

  async cleanup(): Promise<void> {
    await rm(this.#path, { force: true })
  }

  async #replace(text: string): Promise<void> {
    await mkdir(this.#folder, { recursive: true })
    const fresh = `${this.#path}.new` // of no kind that a runtime reads
    const file = await open(fresh, 'w', 0o644)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(fresh, this.#path)
    const folder = await open(this.#folder, 'r')
    await folder.sync().finally(() => folder.close())
  }

  #read(): string | null {
    try {
      return readFileSync(this.#path, 'utf8')
    } catch {
      return null
    }
  }
}

function isUsable(folder: string): boolean {
  try {
    accessSync(folder, constants.R_OK | constants.W_OK | constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Errors that last until somebody does something about the folder. */
const SHUT = new Set(['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'ENOENT', 'EEXIST'])
