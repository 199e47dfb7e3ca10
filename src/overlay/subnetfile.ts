import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Delta, Drift, Refused, Target } from '../core/delta.ts'
import type { SubnetEnv } from './subnetenv.ts'

/** Keeps subnet.env at its path, whole at every moment. While there is no row it stays as it is: pods may be starting. */
export class SubnetFile implements Target<SubnetEnv> {
  readonly name = 'subnet.env'
  readonly #path: string
  #text: string | null = null

  constructor(path: string) {
    this.#path = path
  }

  async apply({ put }: Delta<SubnetEnv>): Promise<readonly Refused[]> {
    for (const { text } of put.values()) {
      this.#text = text
      if ((await this.#read()) === text) continue
      await mkdir(dirname(this.#path), { recursive: true })
      const fresh = `${this.#path}.new`
      await writeFile(fresh, text)
      await rename(fresh, this.#path)
    }
    return []
  }

  async audit(): Promise<Drift> {
    if (this.#text === null || (await this.#read()) === this.#text) return { clean: true }
    return { clean: false, detail: `${this.#path} says something else` }
  }

  async cleanup(): Promise<void> {
    await rm(this.#path, { force: true })
  }

  #read(): Promise<string | null> {
    return readFile(this.#path, 'utf8').catch(() => null)
  }
}
